# SPDX-License-Identifier: Apache-2.0
"""Are records sealed, written once, listed in order and gone when deleted?"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor.model import errors
from karbor.sdk.testing.faults import FaultyBank
from karbor.vault.codec import Codec
from karbor.vault.keys import DomainKeys
from karbor.vault.locks import Locks
from karbor.vault.locktime import LockTime
from karbor.vault.records import Records
from tests.support.vaults import StillClock, memory_bank

CODEC = Codec(DomainKeys.from_data_key(b"k" * 32), compression_level=1)


def over(bank):
    clock, here = StillClock(), {"prefix": "d/x/", "codec": CODEC}
    locks = Locks(bank, clock=clock, time=LockTime(bank, clock), **here)
    return Records(bank, clock=clock, locks=locks, **here)


@pytest.fixture
def bank():
    return memory_bank()


@pytest.fixture
def records(bank):
    return over(bank)


def test_a_document_comes_back(records):
    document = {"plan": {"name": "ä"}, "list": [1, 2.5, None, True]}
    records.put("checkpoint", "1", document)
    assert records.get("checkpoint", "1") == document


def test_the_same_again_is_no_error_and_another_one_is(records):
    records.put("checkpoint", "1", {"a": 1})
    records.put("checkpoint", "1", {"a": 1})
    with pytest.raises(errors.Conflict):
        records.put("checkpoint", "1", {"a": 2})
    assert records.get("checkpoint", "1") == {"a": 1}


def test_kinds_are_apart(records):
    records.put("checkpoint", "1", {"a": 1})
    records.put("state", "1", {"a": 2})
    assert records.get("checkpoint", "1") == {"a": 1}
    assert list(records.list("state", "", 10)) == ["1"]
    assert list(records.list("stat", "", 10)) == []


def test_what_was_deleted_is_gone_and_stays_gone(records):
    records.put("checkpoint", "1", {"a": 1})
    records.delete("checkpoint", "1")
    records.delete("checkpoint", "1")
    assert list(records.list("checkpoint", "", 10)) == []
    with pytest.raises(errors.ObjectNotFound):
        records.get("checkpoint", "1")
    with pytest.raises(errors.Conflict):
        records.put("checkpoint", "1", {"a": 1})


def test_a_tombstone_counts_before_the_object_is_gone(bank, records):
    records.put("checkpoint", "1", {"a": 1})
    kept = dict(bank.objects)
    records.delete("checkpoint", "1")
    bank.objects.update(kept)  # as after a crash between the two
    assert list(records.list("checkpoint", "", 10)) == []
    with pytest.raises(errors.ObjectNotFound):
        records.get("checkpoint", "1")
    records.delete("checkpoint", "1")
    assert not [name for name in bank.objects if name.startswith("d/x/record/")]


@settings(deadline=None)
@given(
    ids=st.sets(st.integers(0, 60)),
    gone=st.sets(st.integers(0, 60)),
    unfinished=st.sets(st.integers(0, 60)),
    limit=st.integers(1, 20),
)
def test_pages_visit_each_record_once_in_order(ids, gone, unfinished, limit):
    bank = memory_bank()
    records = over(bank)
    for number in ids:
        records.put("checkpoint", f"id-{number}", {"n": number})
    kept = dict(bank.objects)
    for number in gone:
        records.delete("checkpoint", f"id-{number}")
    for number in unfinished & gone & ids:
        name = f"d/x/record/checkpoint/id-{number}"
        bank.objects[name] = kept[name]
    found = []
    while True:
        page = records.list("checkpoint", found[-1] if found else "", limit)
        found += page
        if len(page) < limit:
            break
    assert found == sorted(f"id-{number}" for number in ids - gone)


def test_a_list_goes_beyond_a_page_of_the_bank(bank, records):
    for number in range(1100):
        records.put("checkpoint", f"{number:05d}", {})
    for number in range(1050):
        records.delete("checkpoint", f"{number:05d}")
    assert list(records.list("checkpoint", "", 1000)) == [f"{number:05d}" for number in range(1050, 1100)]
    assert list(records.list("checkpoint", "01060", 5)) == [f"{number:05d}" for number in range(1061, 1066)]


def test_damage_is_noticed(bank, records):
    records.put("checkpoint", "1", {"a": 1})
    (name,) = bank.objects
    bank.objects[name] = bank.objects[name][:-1] + b"\x00"
    with pytest.raises(errors.IntegrityError):
        records.get("checkpoint", "1")


@pytest.mark.parametrize("record_id", ["..", "a/b", "", "../../key/00000001"])
def test_an_id_that_could_leave_its_place_is_refused(records, record_id):
    for call in (lambda: records.put("checkpoint", record_id, {}), lambda: records.get("checkpoint", record_id)):
        with pytest.raises(errors.InvalidInput):
            call()
    with pytest.raises(errors.InvalidInput):
        records.delete("checkpoint", record_id)


def test_a_record_that_was_given_up_can_never_be_put(records, bank):
    assert records.give_up("checkpoint", "1") is True
    assert records.give_up("checkpoint", "1") is True
    assert records.is_deleted("checkpoint", "1")
    with pytest.raises(errors.Conflict):
        records.put("checkpoint", "1", {"a": 1})
    assert records.list("checkpoint", "", 10) == []
    assert list(bank.objects) == ["d/x/gone/record/checkpoint/1"]


def test_a_record_that_was_put_cannot_be_given_up(records):
    records.put("checkpoint", "1", {"a": 1})
    assert records.give_up("checkpoint", "1") is False
    assert records.get("checkpoint", "1") == {"a": 1}


def test_whoever_is_stopped_behind_the_last_look_finds_the_decision(records):
    with pytest.raises(errors.Conflict):
        records.put("checkpoint", "1", {"a": 1}, confirm=lambda: records.give_up("checkpoint", "1"))
    with pytest.raises(errors.ObjectNotFound):
        records.get("checkpoint", "1")
    assert records.list("checkpoint", "", 10) == []


@pytest.mark.parametrize("nth", [2, 3])
def test_giving_up_can_be_gone_on_with_after_any_call(bank, nth):
    faulty = FaultyBank(bank)
    broken, records = over(faulty), over(bank)
    faulty.fail(nth, after=True, lasting=True)
    with pytest.raises(errors.BankUnavailable):
        broken.give_up("checkpoint", "1")
    with pytest.raises(errors.Conflict):
        records.put("checkpoint", "1", {"a": 1})
    assert records.give_up("checkpoint", "1") is True


def test_what_confirm_raises_keeps_the_record_out(records, bank):
    def lost():
        raise errors.WriteLeaseLost

    with pytest.raises(errors.WriteLeaseLost):
        records.put("checkpoint", "1", {"a": 1}, confirm=lost)
    assert bank.objects == {}

# SPDX-License-Identifier: Apache-2.0
"""Can a writer that lost its lease make anything that counts?"""

import pytest

from karbor.model import errors
from karbor.sdk.testing.faults import FaultyBank
from karbor.vault.leases import Terms
from tests.support.cleanroom import KIND, TERMS, CleanRoom
from tests.support.vaults import content_of, memory_bank

DATA = b"some content" * 3000


def test_a_lease_is_there_while_the_job_writes_and_gone_afterwards(room):
    lease = room.lease()
    room.write(DATA, lease)
    assert room.names("lease/") == ["lease/job.0000000001.00000000"]
    room.site().put_record(KIND, "job", {"version": 1}, lease=lease)
    assert lease.end() is True
    assert room.names("lease/") == []
    assert lease.end(committed=True) is True


def test_a_lease_is_renewed_by_time_and_leaves_one_object_before(room):
    lease = room.lease()
    for _ in range(5):
        room.clock.pass_time(TERMS.term / 3)
        lease.check()
    assert [name[-1] for name in room.names("lease/")] == ["4", "5"]
    room.clock.pass_time(1)
    lease.check()
    assert len(room.names("lease/")) == 2


def test_a_writer_that_was_stopped_past_its_lease_cannot_commit_anything(room):
    lease = room.lease()
    room.write(DATA, lease)
    before = set(room.names_of_domain())
    room.clock.pass_time(TERMS.term - TERMS.margin)
    calls = (
        lease.check,
        lease.confirm,
        lambda: room.write(b"more" * 5000, lease),
        lambda: room.site().put_record(KIND, "job", {"version": 1}, lease=lease),
    )
    for call in calls:
        with pytest.raises(errors.WriteLeaseLost):
            call()
    assert {name for name in room.names_of_domain() if not name.startswith("pack/")} <= before


@pytest.mark.parametrize("late", ["clock set back", "clock stood"])
def test_of_two_clocks_the_one_that_ran_further_counts(room, late):
    lease = room.lease()
    if late == "clock set back":
        room.clock.pass_time(TERMS.term)
        room.clock._start -= 2 * (room.clock.now() - room.clock._start)
    else:
        room.clock._start += (room.clock.now() - room.clock._start) + type(room.clock._start - room.clock._start)(
            seconds=TERMS.term
        )
    with pytest.raises(errors.WriteLeaseLost):
        lease.check()


def test_a_later_claim_takes_the_lease_over_and_the_earlier_one_commits_nothing(room):
    old = room.lease()
    stream = room.write(DATA, old)
    new = room.lease(fence=2, site="there")
    assert new.seen == old.seen
    with pytest.raises(errors.LeaseLost):
        room.site().put_record(KIND, "job", {"version": 1, "by": "old"}, lease=old)
    with pytest.raises(errors.LeaseLost):
        room.lease(fence=1)
    room.site("there").put_record(KIND, "job", {"version": 1, "streams": [stream.id]}, lease=new)
    new.end(committed=True)
    room.clean()
    assert content_of(room.site(), stream.id) == DATA


def test_a_dead_owner_is_given_up_and_its_record_never_counts(room):
    lease = room.lease()
    room.write(DATA, lease)
    room.clock.pass_time(TERMS.term)
    assert room.clean().leases_given_up == 0  # within the skew of clocks
    room.clock.pass_time(TERMS.skew + 1)
    assert room.clean().leases_given_up == 1
    assert room.names("lease/") == room.names("record/") == room.names("pack/") == []
    # It was about to put its record when it was stopped, and has asked everything before.
    with pytest.raises(errors.Conflict):
        room.site().put_record(KIND, "job", {"version": 1})
    with pytest.raises(errors.Conflict):
        room.lease(fence=2)
    with pytest.raises(errors.ObjectNotFound):
        room.site().get_record(KIND, "job")
    assert room.site().records(KIND) == []


def test_a_record_that_was_put_stands_when_its_dead_owner_is_given_up(room):
    lease = room.lease()
    stream = room.write(DATA, lease)
    room.site().put_record(KIND, "job", {"version": 1, "streams": [stream.id]}, lease=lease)
    room.clock.pass_time(2 * TERMS.term)
    room.clean()
    assert room.names("lease/") == []
    assert room.site().records(KIND) == ["job"]
    assert content_of(room.site(), stream.id) == DATA


def test_a_job_that_failed_leaves_nothing_and_can_be_told_twice(room):
    lease = room.lease()
    room.write(DATA, lease)
    assert lease.end() is False
    assert lease.end() is False
    room.site().end_lease("job", (KIND, "job"))
    room.clean()
    assert room.names("pack/") == room.names("stream/") == room.names("index/") == room.names("lease/") == []


def test_a_bank_that_is_away_for_a_while_does_not_end_the_lease(tmp_path):
    bank = FaultyBank(memory_bank())
    room = CleanRoom(tmp_path, bank)
    lease = room.lease()
    bank.fail(1, lasting=True)
    room.clock.pass_time(TERMS.term / 2)
    lease.check()
    room.clock.pass_time(TERMS.term / 2)
    with pytest.raises(errors.WriteLeaseLost):
        lease.check()
    room.close()


def test_a_renewal_that_took_effect_unnoticed_is_done_again_under_the_next_number(tmp_path):
    inner = memory_bank()
    bank = FaultyBank(inner)
    room = CleanRoom(tmp_path, bank)
    lease = room.lease()
    room.clock.pass_time(TERMS.term / 2)
    bank.fail(1, method="put_if_absent", after=True)
    lease.check()
    room.clock.pass_time(1)
    lease.check()
    assert [name[-1] for name in sorted(inner.objects) if "/lease/" in name] == ["1", "2"]
    room.close()


def test_puts_that_are_done_twice_on_their_way_are_ours_all_the_same(tmp_path):
    inner = memory_bank()
    bank = FaultyBank(inner)
    bank.duplicate(lasting=True)
    room = CleanRoom(tmp_path, bank)
    lease = room.lease()
    room.clock.pass_time(TERMS.term / 2)
    lease.check()
    lease.confirm()
    assert [name[-1] for name in sorted(inner.objects) if "/lease/" in name] == ["0", "1"]
    room.close()


def test_a_lease_that_is_damaged_stops_clean_up_and_no_backup(room):
    room.protect("a", DATA)
    room.lease("b")
    [name] = [name for name in room.bank.objects if "/lease/" in name]
    room.bank.objects[name] = b"rot"
    with pytest.raises(errors.IntegrityError):
        room.clean()
    room.protect("c", DATA)


@pytest.mark.parametrize("terms", [{"term": 60, "margin": 40}, {"skew": -1}, {"margin": -1}])
def test_terms_that_cannot_work_are_refused(terms):
    with pytest.raises(errors.ConfigurationError):
        Terms(**terms)

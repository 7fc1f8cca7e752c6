# SPDX-License-Identifier: Apache-2.0
"""Does the faulty bank fail, lie and hang exactly as it is told?"""

import pytest

from karbor.model import errors
from karbor.sdk.testing.faults import FaultyBank
from karbor.sdk.testing.memory_bank import MemoryBank


@pytest.fixture
def told():
    return []


@pytest.fixture
def bank(told):
    bank = FaultyBank(MemoryBank(MemoryBank.Settings()), told=lambda *call: told.append(call))
    bank.initialise()
    told.clear()
    return bank


def test_a_truncated_object_is_said_to_be_whole(bank):
    bank.truncate(2, name="pack/", keep=0.25)
    assert bank.put_if_absent("pack/a", b"x" * 100) and bank.put_if_absent("index/a", b"x" * 100)
    assert bank.put_if_absent("pack/b", b"x" * 100) and bank.put_if_absent("pack/c", b"x" * 100)
    assert [bank.stat(name).size for name in ("pack/a", "index/a", "pack/b", "pack/c")] == [100, 100, 25, 100]


def test_a_lasting_lie_begins_where_it_is_told_to(bank):
    bank.forget(2, lasting=True)
    assert all(bank.put_own(name, b"1") for name in ("a", "b", "c"))
    assert [info.name for info in bank.list()] == ["a"]
    bank.heal()
    assert bank.put_if_absent("b", b"1") and len(bank.list()) == 2


def test_what_is_forgotten_is_not_taken_from_somebody_else(bank):
    bank.put_if_absent("a", b"theirs")
    bank.forget()
    assert not bank.put_if_absent("a", b"mine")
    assert bank.get("a") == b"theirs"


def test_a_put_that_is_done_twice_finds_itself_there(bank):
    bank.duplicate()
    assert not bank.put_if_absent("a", b"1")
    assert bank.get("a") == b"1"


def test_a_delay_comes_before_the_call_and_for_the_method_asked_for(bank):
    waited = []
    bank.delay(10, method="get", pause=waited.append)
    bank.put_if_absent("a", b"1")
    assert waited == []
    bank.get("a")
    assert waited == [10]
    bank.delay(3, pause=waited.append)
    bank.stat("a")
    bank.heal()
    bank.stat("a")
    assert waited == [10, 3]


@pytest.mark.parametrize("put", ["put_if_absent", "put_own"])
def test_to_fail_in_a_put_means_every_way_to_put(bank, put):
    bank.fail(1, method="put_if_absent", error=errors.BankFull, lasting=True)
    bank.list()
    for _ in range(2):
        with pytest.raises(errors.BankFull):
            getattr(bank, put)("a", b"1")
    assert bank.list() == []


def test_every_call_is_told_of_with_its_size(bank, told):
    bank.put_if_absent("a", b"123")
    bank.get("a", 1, 1)
    bank.list()
    assert told == [("put_if_absent", "a", 3), ("get", "a", 0), ("list", "", 0)]

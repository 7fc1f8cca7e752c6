# SPDX-License-Identifier: Apache-2.0
"""Does the bank's own word keep a locked record, against deletions at the same time, tombstones and clean-up?"""

from datetime import timedelta

import pytest

from karbor.model import errors
from karbor.model.lock import Lock
from karbor.sdk.testing.memory_bank import MemoryBank
from tests.support import bankworld, lockworld, wronglocks
from tests.support.cleanroom import KIND, CleanRoom
from tests.support.clock import TwinClock

DAY = timedelta(days=1)
DATA = bytes(range(256)) * 4000


@pytest.fixture
def room(tmp_path):
    found = CleanRoom(tmp_path)
    yield found
    found.close()


def lock(room, job, days, *, mode="compliance", site="here"):
    return room.site(site).lock_record(KIND, job, "lock", mode=mode, until=room.clock.now() + days * DAY)


def locks(room, site="here"):
    return room.site(site)._for_writing().records.locks


def test_a_locked_record_cannot_be_deleted_until_its_time_has_passed(room):
    [stream] = room.protect("a", DATA)
    lock(room, "a", 2)
    with pytest.raises(errors.CheckpointLocked, match="compliance"):
        room.site("there").delete_record(KIND, "a")
    room.clean()
    assert room.site().get_record(KIND, "a") and room.site().open_stream(stream).read(0, 9) == DATA[:9]
    room.clock.pass_time(2 * 86400)
    room.site("there").delete_record(KIND, "a")
    room.clean()
    assert not room.names("record/") and not room.names("pack/")


def test_a_lock_is_extended_by_one_more_object(room):
    room.protect("a", DATA)
    lock(room, "a", 2)
    assert lock(room, "a", 5, site="there").until == room.clock.now() + 5 * DAY
    with pytest.raises(errors.CheckpointLocked):
        lock(room, "a", 4)
    assert room.names("hold/") == [f"hold/{KIND}.a.0000000{number}" for number in (1, 2)]
    lock(room, "a", 5)  # asked for twice
    assert len(room.names("hold/")) == 2


def test_a_governance_lock_can_be_lifted_and_a_hold_released(room):
    room.protect("a", DATA)
    lock(room, "a", 2, mode="governance")
    room.site().lock_record(KIND, "a", "hold", reason="case 7")
    assert room.site("there").lock_record(KIND, "a", "unlock").held_reason == "case 7"
    with pytest.raises(errors.CheckpointLocked, match="case 7"):
        room.site().delete_record(KIND, "a")
    room.site().lock_record(KIND, "a", "release")
    assert room.site().locks_of(KIND, "a") == Lock()
    room.site().delete_record(KIND, "a")


def test_a_record_that_is_not_there_cannot_be_locked(room):
    room.protect("a", DATA)
    with pytest.raises(errors.ObjectNotFound):
        lock(room, "b", 1)
    room.site().delete_record(KIND, "a")
    with pytest.raises(errors.ObjectNotFound):
        lock(room, "a", 1)


def test_a_tombstone_that_somebody_puts_nevertheless_does_not_count_while_the_lock_does(room):
    [stream] = room.protect("a", DATA)
    lock(room, "a", 2)
    room.site()._for_writing().records._bury(f"record/{KIND}/a", {})
    room.clean()
    assert room.site("there").get_record(KIND, "a")
    assert list(room.site().records(KIND)) == ["a"]
    assert room.site().open_stream(stream).read(0, 5) == DATA[:5]
    lock(room, "a", 3)  # it can still be extended
    room.clock.pass_time(3 * 86400)
    room.clean()
    assert not room.names("record/") and not room.names("pack/")


def test_whoever_locks_what_is_being_deleted_is_told(room):
    room.protect("a", DATA)
    records = room.site()._for_writing().records

    class Slow:
        """The other site begins to delete right behind our first look."""

        def __init__(self, inner):
            self.inner = inner

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def add(self, *given, **wish):
            self.inner.close(f"{KIND}/a")
            return self.inner.add(*given, **wish)

    records.locks = Slow(records.locks)
    with pytest.raises(errors.Conflict, match="being deleted"):
        lock(room, "a", 1)


def test_a_record_is_locked_before_it_is_there_and_a_job_that_is_given_up_leaves_nothing(room):
    lease = room.lease("a")
    until = room.clock.now() + 2 * DAY
    locks(room).add(f"{KIND}/a", "lock", mode="compliance", until=until)  # and then its process was killed
    lease.end()
    with pytest.raises(errors.Conflict):
        room.site().put_record(KIND, "a", {"version": 1}, lock=("compliance", until))
    assert list(room.site().records(KIND)) == []
    room.site().delete_record(KIND, "a")  # nothing to keep
    room.clock.pass_time(3 * 86400)
    room.clean()
    assert not room.names("hold/") and not room.names("gone/")


def test_a_record_that_is_put_with_a_lock_is_never_without_it(room):
    lease = room.lease("a")
    until = room.clock.now() + DAY
    room.site().put_record(KIND, "a", {"version": 1}, lease=lease, lock=("governance", until))
    lease.end(committed=True)
    assert room.site().locks_of(KIND, "a") == Lock(governance_until=until)
    room.site().put_record(KIND, "a", {"version": 1}, lock=("governance", until + DAY))  # by another try
    assert room.site().locks_of(KIND, "a").until == until
    assert room.site().locked_records() == [f"{KIND}/a"]


def test_of_two_that_want_the_same_number_one_looks_again(room):
    room.protect("a", DATA)
    ours, theirs = locks(room), locks(room, "there")

    class Racing:
        """A bank in which the other site is always a moment earlier, once."""

        def __init__(self, inner):
            self.inner, self.left = inner, 1

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def put_if_absent(self, name, data):
            if self.left:
                self.left = 0
                theirs.add(f"{KIND}/a", "hold", reason="theirs")
            return self.inner.put_if_absent(name, data)

    ours._bank = Racing(ours._bank)
    found = ours.add(f"{KIND}/a", "lock", mode="compliance", until=room.clock.now() + DAY)
    assert found.held_reason == "theirs" and found.compliance_until == room.clock.now() + DAY


def test_where_the_bank_locks_objects_it_keeps_the_words_too(tmp_path):
    clock = TwinClock()
    bank = MemoryBank(clock=clock)
    bank.initialise()
    room = CleanRoom(tmp_path, bank)
    room.clock = clock
    room.protect("a", DATA)
    found = lock(room, "a", 1)
    prefix = room.site()._for_writing().store.prefix
    for name in room.names("hold/"):
        with pytest.raises(errors.ObjectLocked):
            bank.delete(prefix + name)
        assert bank.retained(prefix + name) == found.until
    room.close()


@pytest.mark.parametrize("seed", [0, 1, 30024, 40019, 700046])  # the last ones are orders that were wrong once
def test_what_was_promised_stays_whatever_happens_at_the_same_time(seed):
    bankworld.run(seed, world=lockworld.LockWorld, lag=20 * (seed in (0, 700046)))


@pytest.mark.parametrize("wrong", [wronglocks.LooksOnce, wronglocks.NeverLooksBack])
def test_wrong_locks_are_caught(wrong):
    with pytest.raises(bankworld.Broken, match="gone, but told"):
        for seed in range(0, 80, 2):  # in the others the bank itself keeps what is locked
            bankworld.run(seed, world=wrong)

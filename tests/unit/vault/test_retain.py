# SPDX-License-Identifier: Apache-2.0
"""Does a bank that locks objects keep exactly what a locked record needs, as long as the longest of its holders?"""

import random
from datetime import timedelta

import pytest

from karbor.model import errors
from karbor.sdk.testing.memory_bank import MemoryBank
from karbor.vault.cleanup import Settings
from tests.support.cleanroom import AT_ONCE, KIND, CleanRoom
from tests.support.clock import TwinClock

DAY = timedelta(days=1)
ONE, TWO, THREE = (random.Random(seed).randbytes(300_000) for seed in range(3))


@pytest.fixture
def room(tmp_path):
    clock = TwinClock()
    bank = MemoryBank(clock=clock)
    bank.initialise()
    found = CleanRoom(tmp_path, bank)
    found.clock = clock
    yield found
    found.close()


def lock(room, job, days):
    return room.site().lock_record(KIND, job, "lock", mode="compliance", until=room.clock.now() + days * DAY).until


def kept(room):
    prefix = room.site()._for_writing().store.prefix
    return {name.removeprefix(prefix): until for name, until in room.bank.kept.items()}


def test_all_that_a_locked_record_needs_is_kept_and_nothing_else(room):
    [stream] = room.protect("a", ONE)
    [other] = room.protect("b", TWO)
    until = lock(room, "a", 3)
    found = kept(room)
    assert set(found.values()) == {until}
    assert {f"stream/{stream}", f"record/{KIND}/a", "key/00000001"} <= set(found)
    assert not {f"stream/{other}", f"record/{KIND}/b"} & set(found)
    assert len([name for name in found if name.startswith("pack/")]) == 1
    assert len([name for name in found if name.startswith("index/")]) == 1
    with pytest.raises(errors.ObjectLocked):
        room.bank.delete(next(name for name in room.bank.kept if "/pack/" in name))


def test_what_two_share_is_kept_until_the_last_lock_ends(room):
    room.protect("a", ONE)
    room.protect("b", ONE + TWO)
    longer, shorter = lock(room, "a", 9), lock(room, "b", 2)
    packs = [until for name, until in kept(room).items() if name.startswith("pack/")]
    assert sorted(packs) == [shorter, longer]
    assert kept(room)[f"record/{KIND}/b"] == shorter


def test_clean_up_leaves_what_the_bank_keeps_and_takes_it_when_its_time_has_passed(room):
    room.protect("a", ONE)
    room.protect("b", ONE + TWO)
    lock(room, "a", 9)
    lock(room, "b", 2)
    room.clock.pass_time(2 * 86400)
    room.site().delete_record(KIND, "b")
    room.clean()
    assert len(room.names("pack/")) == 1
    assert room.site().get_record(KIND, "a")
    room.clock.pass_time(7 * 86400)
    room.site().delete_record(KIND, "a")
    room.clean()
    assert not room.names("pack/") and not room.names("index/") and not room.names("stream/")


def test_a_pack_that_is_thin_but_kept_is_not_written_anew(room):
    room.protect("a", ONE + TWO)
    lock(room, "a", 5)
    [pack] = room.names("pack/")
    # Its lock still lasts by the bank; by somebody's word the checkpoint may go.
    prefix = room.site()._for_writing().store.prefix
    room.protect("b", ONE)
    for name in list(room.bank.objects):
        if name.startswith(f"{prefix}hold/") or name == f"{prefix}record/{KIND}/a":
            room.bank.kept.pop(name, None)
            room.bank.delete(name)
    report = room.clean(Settings(grace=0, tombstones=86400, small_index=1000, thin=1.0))
    assert pack in room.names("pack/") and report.bytes_rewritten == 0 and report.objects_kept
    room.clock.pass_time(5 * 86400)
    report = room.clean(Settings(grace=0, tombstones=86400, small_index=1000, thin=1.0))
    assert pack not in room.names("pack/") and report.bytes_rewritten
    assert room.site().get_record(KIND, "b")


def test_a_damaged_checkpoint_is_not_said_to_be_kept(room):
    room.protect("a", ONE)
    [pack] = [name for name in room.bank.objects if "/pack/" in name]
    room.bank.delete(pack)
    with pytest.raises(errors.IntegrityError):
        lock(room, "a", 5)


def test_a_lock_that_is_asked_for_again_keeps_what_was_not_kept_yet(room):
    room.protect("a", THREE)
    until = room.clock.now() + DAY
    room.site()._for_writing().records.lock(KIND, "a", "lock", mode="compliance", until=until)  # and was killed then
    assert not any(name.startswith("pack/") for name in kept(room))
    room.site().lock_record(KIND, "a", "lock", mode="compliance", until=until)
    assert any(name.startswith("pack/") for name in kept(room))
    room.clean(AT_ONCE)

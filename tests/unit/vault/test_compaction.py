# SPDX-License-Identifier: Apache-2.0
"""Is what is written anew whole, and are no more objects left than must be?"""

import random

import pytest

from karbor.vault import format
from karbor.vault.compaction import rewrite_index, rewrite_packs
from karbor.vault.pace import Pace
from tests.support.vaults import BytesSource, content_of, nothing

NOISE = random.Random(1).randbytes(300_000)


@pytest.fixture
def store(room):
    room.protect("a", NOISE)
    return room.site()._for_writing().store


@pytest.fixture
def pace(room):
    return Pace(room.clock, lambda _: None, bytes_per_second=None, requests=None)


def only_pack(room):
    [name] = room.names("pack/")
    return format.pack_id_of(name)


def test_all_of_a_pack_moves_and_can_be_read_from_the_new_one(room, store, pace):
    old = only_pack(room)
    able, made = rewrite_packs(store, [old], moving=set, pace=pace)
    assert able == {old}
    [new] = made
    assert made[new] == room.bank.stat(store.prefix + format.pack_name(new)).size
    assert store.index.is_proven(new)
    room.bank.delete(store.prefix + format.pack_name(old))
    [stream] = [name.removeprefix("stream/") for name in room.names("stream/")]
    assert content_of(room.site("elsewhere"), stream) == NOISE


def test_what_need_not_move_is_left_and_a_damaged_pack_stays(room, store, pace):
    old = only_pack(room)
    assert rewrite_packs(store, [old], moving=lambda ids: set(), pace=pace) == ({old}, {})
    name = store.prefix + format.pack_name(old)
    room.bank.objects[name] = room.bank.objects[name][:100] + b"?" + room.bank.objects[name][101:]
    assert rewrite_packs(store, [old], moving=set, pace=pace) == (set(), {})
    assert rewrite_packs(store, [bytes(16)], moving=set, pace=pace) == (set(), {})


def test_index_objects_are_joined_and_what_is_proven_stays_so(room, store, pace):
    for number in range(3):
        room.protect(f"more{number}", random.Random(number + 5).randbytes(20_000))
    room.site().write_stream(BytesSource(b"x" * 9999), advance=nothing)
    names = room.names("index/")
    keep = store.index.packs()
    going = rewrite_index(store, names, keep=keep, pace=pace)
    assert sorted(going) == names
    new = set(room.names("index/")) - set(names)
    assert len(new) == 2  # one of packs that were read back, one of the other
    listed = [directory.pack_id for name in new for directory in store.index_objects.get(name)]
    assert sorted(listed) == sorted(keep)
    assert len(set(room.names("proven/")) & {format.proof_name(name) for name in new}) == 1


def test_index_objects_that_are_gone_and_packs_that_go_are_left_out(room, store, pace):
    [name] = room.names("index/")
    assert rewrite_index(store, [name, format.index_name("0" * 32)], keep=set(), pace=pace) == [name]
    assert room.names("index/") == [name]

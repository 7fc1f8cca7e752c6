# SPDX-License-Identifier: Apache-2.0
"""Is everything marked that a stream needs, once, and are packs weighed by it?"""

import random

import pytest

from karbor.vault import format, listing
from karbor.vault.marks import Marks
from karbor.vault.pace import Pace
from karbor.vault.pack import open_pack
from tests.support.vaults import MIB, BytesSource, nothing

NOISE = random.Random(1).randbytes(3 * MIB)


@pytest.fixture
def store(room):
    return room.site()._for_writing().store


@pytest.fixture
def marks(room, store):
    with Marks(
        store, room.directory, pace=Pace(room.clock, lambda _: None, bytes_per_second=None, requests=None)
    ) as found:
        yield found


def top(store, stream_id):
    name = format.stream_name(stream_id)
    return bytes.fromhex(store.codec.open_document(name, store.bank.get(store.prefix + name))["root"])


def look(marks, store):
    return marks.packs_here(listing.objects(store.bank, f"{store.prefix}pack/"), cutoff=1e12)


def test_all_chunks_and_nodes_of_a_stream_are_marked(room, store, marks):
    info = room.write(NOISE)
    assert marks.walk([top(store, info.id)], 1) == 0
    look(marks, store)
    assert marks.lost() == 0
    held = {
        entry.id
        for name in room.names("pack/")
        for entry, _ in open_pack(store.codec, format.pack_id_of(name), store.bank.get(store.prefix + name))
    }
    assert {row[0] for row in marks._run("SELECT id FROM live")} == held
    assert marks.shares(thin=0.5) == ([], [])


def test_a_pack_that_nothing_refers_to_is_dead_and_one_with_little_is_thin(room, store, marks):
    room.write(NOISE)
    dead = room.names("pack/")
    small = room.write(random.Random(2).randbytes(MIB))
    half = room.write(random.Random(2).randbytes(MIB)[: MIB // 4])
    assert marks.walk([top(store, half.id)], 1) == 0
    count, size = look(marks, store)
    assert (count, size) == (
        len(room.names("pack/")),
        sum(room.bank.stat(store.prefix + name).size for name in room.names("pack/")),
    )
    found, thin = marks.shares(thin=0.5)
    assert {format.pack_name(share.pack_id) for share in found} == set(dead)
    assert [share.live < share.size / 2 for share in thin] == [True]
    assert small.packs


def test_nodes_that_cannot_be_read_are_counted(room, store, marks):
    info = room.write(NOISE)
    assert marks.walk([top(store, info.id), bytes(16)], 2) == 1
    look(marks, store)
    assert marks.lost() == 0  # no record needs it


def test_a_pack_goes_only_where_a_proven_copy_stays(room, store, marks):
    info = room.write(NOISE)
    marks.walk([top(store, info.id)], 1)
    look(marks, store)
    packs = [format.pack_id_of(name) for name in room.names("pack/")]
    marks.doom(packs)
    assert marks.needed(2) == set(packs)
    assert marks.dead(room.names("index/")) == {}
    marks.deleted([])
    assert marks.here() == set(packs)


def test_a_pack_that_another_index_object_lists_stays(room, store, marks):
    room.site().write_stream(BytesSource(NOISE), advance=nothing)
    look(marks, store)
    packs = [format.pack_id_of(name) for name in room.names("pack/")]
    marks.doom(packs)
    assert marks.dead([]) == {}
    assert set(marks.dead(room.names("index/"))) == set(packs)
    marks.deleted(packs)
    assert marks.here() == set()

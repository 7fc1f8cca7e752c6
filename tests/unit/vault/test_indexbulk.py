# SPDX-License-Identifier: Apache-2.0
"""Does an index that learned much at once tell the same as one that learned it bit by bit?"""

import random

import pytest

from karbor.model import errors
from karbor.vault.format import Cursor, put_varint
from karbor.vault.index import Index, Known
from karbor.vault.indexbulk import Bulk
from karbor.vault.pack import Directory, Entry


def directories(count: int, seed: int) -> list[Directory]:
    numbers = random.Random(seed)
    return [
        Directory(numbers.randbytes(16), [Entry(numbers.randbytes(16), 1, 48 + 9 * at, 9, 20) for at in range(30)])
        for _ in range(count)
    ]


@pytest.fixture
def index(tmp_path):
    found = Index(tmp_path / "index")
    yield found
    found.close()


def listed(found: list[Directory]) -> Cursor:
    out = bytearray()
    put_varint(out, len(found))
    return Cursor(bytes(out) + b"".join(directory.pack_id + directory.encode() for directory in found))


def ids_of(found: list[Directory]) -> list[bytes]:
    return [entry.id for directory in found for entry in directory.entries]


def test_it_tells_the_same_as_step_by_step(index, tmp_path):
    parts = {f"index/{number}": directories(5, number) for number in range(8)}
    parts["index/again"] = parts["index/1"] + parts["index/2"][:2]
    slow = Index(tmp_path / "slow")
    with Bulk(index) as bulk:
        for name, found in parts.items():
            bulk.add(listed(found), source=name)
            slow.add(found, source=name)
        assert index.sources() == set()
        bulk.finish()
    ids = [one for found in parts.values() for one in ids_of(found)]
    assert index.locate(ids) == slow.locate(ids)
    assert index.known(ids) == slow.known(ids)
    assert index.sources() == slow.sources() == set(parts)
    assert index.pending() == slow.pending() == []
    for source in ("index/1", "index/again"):
        index.drop_source(source)
        slow.drop_source(source)
        assert index.packs() == slow.packs()
        assert index.known(ids) == slow.known(ids)
    slow.close()
    assert [entry.name for entry in tmp_path.iterdir() if "bulk" in entry.name] == []


def test_what_is_known_already_or_learned_meanwhile_is_known_once(index):
    before, meanwhile, news = directories(3, 1), directories(3, 2), directories(3, 3)
    index.add(before)
    with Bulk(index) as bulk:
        bulk.add(listed([*before, *meanwhile, *news]), source="index/1")
        index.add(meanwhile)
        bulk.finish()
    everything = [*before, *meanwhile, *news]
    for directory in everything:
        for entry in directory.entries:
            assert len(index.places([entry.id])[entry.id]) == 1
            assert index.known([entry.id]) == {entry.id: Known(directory.pack_id, indexed=True)}
    assert index.packs() == {directory.pack_id for directory in everything}
    assert index.pending() == []


def test_what_was_gathered_by_one_that_died_is_never_seen(index):
    dead, news = directories(3, 1), directories(3, 2)
    with Bulk(index) as bulk:
        bulk.add(listed(dead), source="index/dead")
    index.add(news, source="index/1")
    assert index.locate(ids_of(dead)) == {}
    assert set(index.locate(ids_of(news))) == set(ids_of(news))
    with Bulk(index) as bulk:
        bulk.add(listed(dead), source="index/dead")
        bulk.finish()
    assert set(index.locate(ids_of(dead))) == set(ids_of(dead))


def test_of_a_damaged_index_object_nothing_is_gathered(index):
    whole, news = directories(3, 1), directories(2, 2)
    with Bulk(index) as bulk:
        cut = Cursor(listed(whole).data[:-3])
        with pytest.raises(errors.IntegrityError):
            bulk.add(cut, source="index/cut")
        bulk.add(listed(news), source="index/1")
        bulk.finish()
    assert index.sources() == {"index/1"}
    assert index.packs() == {directory.pack_id for directory in news}
    assert index.locate(ids_of(whole)) == {}

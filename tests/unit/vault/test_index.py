# SPDX-License-Identifier: Apache-2.0
"""Is every chunk found again, also after the cache was lost?"""

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from karbor.vault.index import Index, Known, Location
from karbor.vault.pack import Directory, Entry


def directory(pack, *chunks):
    return Directory(pack * 16, [Entry(chunk * 16, 1, 32 + 10 * at, 10, 20) for at, chunk in enumerate(chunks)])


@pytest.fixture
def index(tmp_path):
    found = Index(tmp_path / "cache" / "index")
    yield found
    found.close()


def test_chunks_are_located(index):
    index.add([directory(b"P", b"a", b"b")])
    assert index.locate([b"a" * 16, b"b" * 16, b"c" * 16]) == {
        b"a" * 16: Location(b"P" * 16, offset=32, stored=10, size=20, flags=1),
        b"b" * 16: Location(b"P" * 16, offset=42, stored=10, size=20, flags=1),
    }


def test_many_chunks_are_located_at_once(index):
    ids = [number.to_bytes(16) for number in range(3000)]
    index.add([Directory(b"P" * 16, [Entry(chunk_id, 0, 32, 1, 1) for chunk_id in ids])])
    assert set(index.locate(ids)) == set(ids) == set(index.known(ids))


def test_a_pack_that_no_index_object_lists_is_pending(index):
    index.add([directory(b"P", b"a")])
    index.add([directory(b"Q", b"b")], source="index/1")
    assert index.pending() == [b"P" * 16]
    assert index.known([b"a" * 16, b"b" * 16]) == {
        b"a" * 16: Known(b"P" * 16, indexed=False),
        b"b" * 16: Known(b"Q" * 16, indexed=True),
    }
    index.add([directory(b"P", b"a")], source="index/2")
    assert index.pending() == []
    assert index.sources() == {"index/1", "index/2"}


def test_of_several_copies_a_listed_one_wins(index):
    index.add([directory(b"P", b"a"), directory(b"R", b"a")])
    index.add([directory(b"Q", b"a")], source="index/1")
    assert index.known([b"a" * 16]) == {b"a" * 16: Known(b"Q" * 16, indexed=True)}


def test_a_pack_goes_with_the_last_index_object_that_lists_it(index):
    index.add([directory(b"P", b"a"), directory(b"Q", b"b")], source="index/1")
    index.add([directory(b"Q", b"b")], source="index/2")
    index.drop_source("index/1")
    assert index.packs() == {b"Q" * 16}
    assert set(index.locate([b"a" * 16, b"b" * 16])) == {b"b" * 16}
    index.drop_source("index/2")
    index.drop_source("index/2")
    assert index.packs() == set()
    assert index.locate([b"b" * 16]) == {}


def test_a_forgotten_pack_can_be_learnt_again(index):
    index.add([directory(b"P", b"a")], source="index/1")
    index.forget(b"P" * 16)
    assert index.locate([b"a" * 16]) == {}
    index.add([directory(b"P", b"a")])
    assert set(index.locate([b"a" * 16])) == {b"a" * 16}


def test_what_was_learnt_is_there_after_a_restart(tmp_path):
    first = Index(tmp_path / "index")
    first.add([directory(b"P", b"a")], source="index/1")
    first.close()
    second = Index(tmp_path / "index")
    assert set(second.locate([b"a" * 16])) == {b"a" * 16}
    second.close()


def test_a_file_that_is_no_index_is_replaced(tmp_path):
    (tmp_path / "index").write_bytes(b"rubbish" * 1000)
    index = Index(tmp_path / "index")
    assert index.packs() == set()
    index.close()


def test_the_index_of_another_version_is_replaced(tmp_path):
    connection = sqlite3.connect(tmp_path / "index")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    index = Index(tmp_path / "index")
    index.add([directory(b"P", b"a")])
    assert index.packs() == {b"P" * 16}
    index.close()


def test_two_processes_may_use_one_file(tmp_path):
    views = [Index(tmp_path / "index") for _ in range(2)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: views[n % 2].add([directory(bytes([n]), bytes([n]))], source=f"index/{n}"), range(40)))
    assert views[0].packs() == views[1].packs() == {bytes([n]) * 16 for n in range(40)}
    for view in views:
        view.close()


def test_all_places_of_a_chunk_are_told_the_one_that_is_read_first(index):
    index.add([directory(b"P", b"a"), directory(b"Q", b"a", b"b")])
    places = index.places([b"a" * 16, b"b" * 16, b"c" * 16])
    assert [place.pack_id[:1] for place in places[b"a" * 16]] == [b"Q", b"P"]
    assert places[b"a" * 16][0] == index.locate([b"a" * 16])[b"a" * 16]
    assert set(places) == {b"a" * 16, b"b" * 16}


def test_a_copy_that_is_lost_is_not_known_any_more(index):
    index.add([directory(b"P", b"a"), directory(b"Q", b"a", b"b")])
    index.distrust([(b"a" * 16, b"Q" * 16)], note="damage/1")
    assert [place.pack_id[:1] for place in index.places([b"a" * 16])[b"a" * 16]] == [b"P", b"Q"]
    assert index.locate([b"a" * 16])[b"a" * 16].pack_id[:1] == b"P"
    assert index.known([b"a" * 16])[b"a" * 16].pack_id[:1] == b"P"
    index.distrust([(b"a" * 16, b"P" * 16)])
    assert index.known([b"a" * 16, b"b" * 16]).keys() == {b"b" * 16}
    assert index.locate([b"a" * 16]).keys() == {b"a" * 16}  # perhaps it can be read again some day
    assert index.notes() == {"damage/1"}


def test_the_chunks_of_a_pack_are_told(index):
    index.add([directory(b"P", b"a"), directory(b"Q", b"a", b"b")])
    assert sorted(index.chunks_of(b"Q" * 16)) == [b"a" * 16, b"b" * 16]
    assert index.chunks_of(b"R" * 16) == []


def test_the_index_objects_that_list_a_pack_are_known(index):
    index.add([directory(b"P", b"a")], source="index/2")
    index.add([directory(b"P", b"a")], source="index/1")
    assert index.sources_of(b"P" * 16) == ["index/1", "index/2"]
    assert index.sources_of(b"Q" * 16) == []


def test_chunks_in_condemned_packs_are_not_known_but_located(index):
    index.add([directory(b"P", b"a"), directory(b"Q", b"a", b"b")], source="index/1")
    index.condemn("list", packs=[b"Q" * 16], streams=["s"])
    assert index.known([b"a" * 16, b"b" * 16]) == {b"a" * 16: Known(b"P" * 16, True)}
    assert set(index.locate([b"b" * 16])) == {b"b" * 16}
    assert index.condemning("s") == {"list"} == index.condemned_lists()
    index.spare("list")
    assert set(index.known([b"b" * 16])) == {b"b" * 16}
    assert index.condemning("s") == index.condemned_lists() == set()


def test_what_is_known_of_forgotten_packs_is_dropped(index):
    index.add([directory(b"P", b"a"), directory(b"Q", b"b")])
    index.forget(b"P" * 16)
    index.prune()
    connection = sqlite3.connect(index.path)
    assert connection.execute("SELECT count(*) FROM chunk").fetchone() == (1,)
    connection.close()

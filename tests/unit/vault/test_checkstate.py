# SPDX-License-Identifier: Apache-2.0
"""Does a run know what it looked at, without leaving anything behind?"""

import pytest

from karbor.vault.checkstate import Bad, CheckState, PackSeen


@pytest.fixture
def state(tmp_path):
    found = CheckState(tmp_path / "cache")
    found.next_round()
    yield found
    found.close()


def test_nothing_is_left_on_the_disk_whatever_ends_the_process(state, tmp_path):
    state.enter([b"a"])
    assert list((tmp_path / "cache").iterdir()) == []


def test_several_runs_do_not_share_anything(state, tmp_path):
    other = CheckState(tmp_path / "cache")
    state.enter([b"a"])
    assert other.enter([b"a"]) == [b"a"]
    other.close()


def test_a_node_is_entered_once(state):
    assert state.enter([b"a", b"b", b"a"]) == [b"a", b"b"]
    assert state.enter([b"b", b"c"]) == [b"c"]


def test_a_chunk_is_looked_at_again_only_where_more_of_it_is_needed(state):
    state.saw({b"a": 10})
    assert state.unseen({b"a": 10, b"b": 1}) == {b"b": 1}
    assert state.unseen({b"a": 11}) == {b"a": 11}


def test_the_first_reason_stays(state):
    state.add_bad(b"a", Bad("gone", "x"))
    state.add_bad(b"a", Bad("worse", "y"))
    assert state.bad([b"a", b"b"]) == {b"a": Bad("gone", "x")}


def test_what_earlier_rounds_found_whole_stays_clean(state):
    state.enter([b"old"])
    assert state.is_clean(b"old") and state.is_clean(b"never seen")
    state.next_round()
    state.enter([b"new", b"good"])
    state.add_bad(b"chunk", Bad("gone", "x"))
    state.mark_clean(b"good")
    assert [state.is_clean(node) for node in (b"old", b"new", b"good", b"never seen")] == [True, False, True, False]


def test_a_pack_has_the_size_that_an_index_object_tells_and_the_one_that_was_found(state):
    assert state.pack(b"p") == PackSeen(None, None, listed=False, seen=False)
    state.saw_pack(b"p", 5)
    state.expect_packs([(b"p", 6), (b"q", 7)])
    assert state.pack(b"p") == PackSeen(6, 5, listed=True, seen=True)
    assert state.pack(b"q") == PackSeen(7, None, listed=True, seen=False)


def test_the_parts_of_a_pack_that_were_read_are_known(state):
    state.saw_copies(b"unknown", [48])
    state.saw_pack(b"p", 100)
    state.saw_copies(b"p", [48, 60])
    state.saw_copies(b"p", [60, 70])
    assert state.copies(b"p") == {48, 60, 70} and state.copies(b"unknown") == set()


def test_an_object_is_seen_once(state):
    assert state.saw_object("a") and not state.saw_object("a")
    assert state.knows_object("a") and not state.knows_object("b")


def test_many_ids_are_asked_for_at_once(state):
    ids = [number.to_bytes(16) for number in range(3000)]
    assert state.enter(ids) == ids and state.enter(ids) == []

# SPDX-License-Identifier: Apache-2.0
"""Does a condemned list say the same to everybody?"""

import pytest

from karbor.model import errors
from karbor.vault.condemned import CondemnedLists


@pytest.fixture
def lists(room):
    store = room.site()._for_writing().store
    return CondemnedLists(room.bank, prefix=store.prefix, codec=store.codec)


def put(lists, room, **more):
    parts = {"packs": frozenset(), "streams": frozenset(), "index": frozenset()}
    return lists.put(at=room.clock.now(), **{**parts, **more})


def test_a_list_comes_back_as_it_was_put(lists, room):
    packs = frozenset([b"1" * 16, b"2" * 16])
    made = put(lists, room, packs=packs, streams=frozenset(["a" * 32]), index=frozenset(["index/x"]))
    assert lists.ids() == [made.id]
    assert lists.get(made.id) == made
    assert lists.there(made.id)
    lists.delete(made.id)
    lists.delete(made.id)
    assert lists.ids() == []
    assert not lists.there(made.id)
    with pytest.raises(errors.ObjectNotFound):
        lists.get(made.id)


def test_ids_are_never_used_again(lists, room):
    assert len({put(lists, room).id for _ in range(20)}) == 20


def test_writers_do_not_refer_to_what_is_condemned(lists, room):
    content = b"wanted again" * 4000
    room.protect("a", content)
    [pack] = room.names("pack/")
    made = put(lists, room, packs=frozenset([bytes.fromhex(pack[-32:])]))
    room.protect("b", content)
    assert len(room.names("pack/")) == 2
    lists.delete(made.id)
    room.protect("c", content)
    assert len(room.names("pack/")) == 2

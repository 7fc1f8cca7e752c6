# SPDX-License-Identifier: Apache-2.0
"""Is every stream that a record or a hold names found, whatever the record looks like?"""

import pytest

from karbor.model import errors
from karbor.vault.references import References
from tests.support.cleanroom import KIND

ONE, TWO, THREE = "1" * 32, "2" * 32, "3" * 32


@pytest.fixture
def references(room):
    store, records, *_ = room.site()._for_writing()
    return References(room.bank, prefix=store.prefix, codec=store.codec, records=records)


def test_streams_are_named_anywhere_in_a_record(room, references):
    room.site().put_record(KIND, "a", {"resources": [{"streams": {"vda": ONE}}], "note": "2" * 31})
    room.site().put_record("other", "b", {TWO: {"deep": [[THREE, 7, None]]}})
    assert references.named() == {ONE, TWO, THREE}
    room.site().delete_record(KIND, "a")
    assert references.named() == {TWO, THREE}


def test_a_damaged_record_is_not_passed_over(room, references):
    room.site().put_record(KIND, "a", {"stream": ONE})
    [name] = [name for name in room.bank.objects if "/record/" in name]
    room.bank.objects[name] = b"rot"
    with pytest.raises(errors.IntegrityError):
        references.named()


def test_the_top_of_a_damaged_root_is_left_out_only_where_that_is_allowed(room, references):
    info = room.write(b"content" * 9000)
    assert len(list(references.tops({info.id}, tolerant=False))) == 1
    [name] = [name for name in room.bank.objects if "/stream/" in name]
    room.bank.objects[name] = b"rot"
    assert list(references.tops({info.id, ONE}, tolerant=True)) == []
    with pytest.raises(errors.IntegrityError):
        list(references.tops({info.id}, tolerant=False))


def test_a_record_that_came_back_behind_its_tombstone_is_removed(room, references):
    room.site().put_record(KIND, "a", {"stream": ONE})
    [name] = [name for name in room.bank.objects if "/record/" in name]
    data = room.bank.objects[name]
    room.site().delete_record(KIND, "a")
    room.bank.objects[name] = data
    assert references.clear(60, now=room.clock.now(), spare=set()) == 0
    assert name not in room.bank.objects
    room.clock.pass_time(60)
    assert references.clear(60, now=room.clock.now(), spare={(KIND, "a")}) == 0
    assert references.clear(60, now=room.clock.now(), spare=set()) == 1

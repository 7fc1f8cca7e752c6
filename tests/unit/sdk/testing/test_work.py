# SPDX-License-Identifier: Apache-2.0
"""Do the memory twins keep the contract, and tell when the other side does not?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor.model import errors
from karbor.model.checkpoint import SavedResource
from karbor.model.resource import Resource
from karbor.sdk.streams import Extent, Kind
from karbor.sdk.testing.work import BytesStream, TwinWork

DISK = Resource("Disk", "vda", "vda", per_parent=True)


class Mixed:
    """A source of parts: each a kind and its bytes (those of the base where SAME)."""

    def __init__(self, parts):
        self.size = sum(len(data) for _kind, data in parts)
        self._parts = parts
        self.content = b"".join(bytes(len(data)) if kind is Kind.ZERO else data for kind, data in parts)

    def extents(self):
        offset = 0
        for kind, data in self._parts:
            yield Extent(offset, len(data), kind)
            offset += len(data)

    def read(self, offset, length):
        return self.content[offset : offset + length]


class Listed(BytesStream):
    """A source whose extents are as given."""

    def __init__(self, data, extents):
        super().__init__(data)
        self._extents = extents

    def extents(self):
        return [Extent(*extent) for extent in self._extents]


def _reading(work, info):
    """A work that restores what ``work`` wrote."""
    saved = SavedResource(work.key.text, "plugin", {}, {"content": info.id})
    return TwinWork("restore", DISK, saved=saved, stored=work.stored)


@given(st.lists(st.tuples(st.sampled_from(Kind), st.binary(min_size=1, max_size=20)), max_size=6))
def test_a_stream_comes_back_as_it_was_written_and_only_data_is_read(parts):
    source = Mixed(parts)
    work = TwinWork("protect", DISK)
    base = work.streams.write("base", BytesStream(source.content))
    work.done = 0
    info = work.streams.write("content", source, base_id=base.id)
    reader = _reading(work, info).streams.read("content")
    assert reader.read(0, reader.size) == source.content
    assert info.bytes_read == work.done == sum(len(data) for kind, data in parts if kind is Kind.DATA)
    assert (info.size, work.streams.exists(info.id)) == (source.size, True)


@pytest.mark.parametrize(
    "extents",
    [
        [],
        [(0, 5, Kind.DATA)],
        [(5, 5, Kind.DATA)],
        [(0, 4, Kind.DATA), (5, 5, Kind.DATA)],
        [(0, 6, Kind.DATA), (5, 5, Kind.DATA)],
        [(0, 10, Kind.DATA), (10, 0, Kind.ZERO)],
        [(0, 11, Kind.ZERO)],
        [(0, 11, Kind.DATA)],
        [(5, 5, Kind.DATA), (0, 5, Kind.DATA)],
    ],
)
def test_a_source_that_breaks_its_contract_is_told(extents):
    with pytest.raises(AssertionError):
        TwinWork("protect", DISK).streams.write("content", Listed(bytes(10), extents))


@pytest.mark.parametrize("base_id", [None, "gone"])
def test_same_without_a_base_is_refused(base_id):
    work = TwinWork("protect", DISK)
    with pytest.raises(errors.InvalidInput, match="base"):
        work.streams.write("content", Listed(bytes(10), [(0, 10, Kind.SAME)]), base_id=base_id)


def test_a_stream_that_the_checkpoint_does_not_hold_is_damage():
    with pytest.raises(errors.IntegrityError):
        TwinWork("restore", DISK).streams.read("content")
    saved = SavedResource("Disk#vda", "plugin", {}, {"content": "gone"})
    with pytest.raises(errors.IntegrityError):
        TwinWork("restore", DISK, saved=saved).streams.read("content")


def test_a_stop_ends_the_work_at_the_next_check_and_in_mid_stream():
    work = TwinWork("protect", DISK)
    work.check()
    work.stop = errors.Cancelled()
    for end in (work.check, lambda: work.advance(1), lambda: work.streams.write("content", BytesStream(b"data"))):
        with pytest.raises(errors.Cancelled):
            end()


def test_expected_and_done_bytes_are_counted():
    work = TwinWork("protect", DISK)
    work.expect(10)
    work.advance(3)
    work.advance(4)
    assert (work.expected, work.done) == (10, 7)


def test_the_key_holds_the_parent_only_where_the_data_belongs_to_it():
    domain = Resource("Domain", "d", "d")
    assert TwinWork("protect", DISK, parent=domain).key.text == "Disk#vda@d"
    assert TwinWork("protect", DISK).key.text == "Disk#vda"
    assert TwinWork("protect", Resource("Disk", "vda", "vda"), parent=domain).key.text == "Disk#vda"


def test_works_of_one_attempt_have_the_ids_of_its_checkpoint():
    one, other = (TwinWork("protect", DISK, checkpoint_id="c") for _ in range(2))
    assert (one.checkpoint_id, one.operation_id) == (other.checkpoint_id, other.operation_id)

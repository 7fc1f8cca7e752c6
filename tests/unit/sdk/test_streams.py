# SPDX-License-Identifier: Apache-2.0
"""Is what came of a stream plain JSON, and does every source fill memory?"""

import json

import pytest

from karbor.model import errors
from karbor.sdk.streams import FillingSource, StreamInfo, fill
from tests.support.vaults import BytesSource


class Filling(BytesSource):
    """A source that can put its bytes in place, and must not be asked otherwise."""

    def read(self, offset, length):
        raise AssertionError

    def read_into(self, offset, into):
        into[:] = self.data[offset : offset + len(into)]


@pytest.mark.parametrize("kind", [BytesSource, Filling])
def test_every_source_fills_memory(kind):
    room = bytearray(b"......")
    fill(kind(b"abcdefgh"), 2, memoryview(room)[1:5])
    assert room == b".cdef."


def test_only_sources_that_say_so_are_asked_to_fill():
    assert isinstance(Filling(b""), FillingSource)
    assert not isinstance(BytesSource(b""), FillingSource)


def test_a_source_that_gives_too_little_has_lost_its_view():
    with pytest.raises(errors.CaptureLost) as caught:
        fill(BytesSource(b"abcdefgh"), 6, memoryview(bytearray(4)))
    assert caught.value.detail == "2 of 4 bytes at 6"


def test_the_outcome_of_a_write_is_json():
    info = StreamInfo("id", 10, 8, 4, ("pack-1", "pack-2"))
    assert json.loads(json.dumps(info.to_dict())) == {
        "id": "id",
        "size": 10,
        "bytes_read": 8,
        "bytes_stored": 4,
        "packs": ["pack-1", "pack-2"],
    }

# SPDX-License-Identifier: Apache-2.0
"""Is each answer in the form that was agreed, and no longer than it may be?"""

import errno
import struct

import pytest

from karbor.sdk.streams import Extent, Kind
from karbor.virt import nbd_wire as wire
from karbor.virt.nbd_handshake import Agreed, Hangup
from karbor.virt.nbdanswers import Answers, Request

MIB = 1 << 20
REQ_ONE = 8


class Comb:
    """A stream of pages that are data and holes by turns."""

    size = 64 * MIB

    def extents(self, start=0, stop=None):
        for at in range(start, self.size if stop is None else stop, 4096):
            yield Extent(at, 4096, Kind.ZERO if at // 4096 % 2 else Kind.DATA)

    def parts(self, start, stop):
        return [(at, memoryview(b"d" * 4096)) for at in range(start, stop, 4096) if not at // 4096 % 2]


ANSWERS = Answers(Comb(), Agreed("comb", structured=True, allocation=True))


def answer(command, offset, length, flags=0, answers=ANSWERS):
    request = Request(flags, command, 9, offset, length)
    return b"".join(bytes(buffer) for buffers in answers.to(request) for buffer in buffers)


def chunks(data):
    found = []
    while data:
        magic, flags, kind, cookie, length = struct.unpack_from(">IHHQI", data)
        assert (magic, cookie) == (wire.STRUCTURED_MAGIC, 9)
        found.append((flags, kind, data[20 : 20 + length]))
        data = data[20 + length :]
    return found


def test_data_and_holes_alternate_and_the_last_chunk_says_so():
    found = chunks(answer(wire.READ, 0, 3 * 4096))
    assert found == [
        (0, wire.CHUNK_DATA, struct.pack(">Q", 0) + b"d" * 4096),
        (0, wire.CHUNK_HOLE, struct.pack(">QI", 4096, 4096)),
        (0, wire.CHUNK_DATA, struct.pack(">Q", 8192) + b"d" * 4096),
        (wire.FLAG_DONE, wire.CHUNK_NONE, b""),
    ]


def test_status_has_a_bound_and_may_be_for_one_extent():
    [(flags, kind, data)] = chunks(answer(wire.BLOCK_STATUS, 0, 64 * MIB))
    assert (flags, kind, len(data)) == (wire.FLAG_DONE, wire.CHUNK_STATUS, 4 + 4096 * 8)
    assert struct.unpack_from(">IIIII", data) == (1, 4096, 0, 4096, 3)
    [(_, _, data)] = chunks(answer(wire.BLOCK_STATUS, 4096, MIB, REQ_ONE))
    assert data == struct.pack(">III", 1, 4096, 3)


@pytest.mark.parametrize(
    ("command", "offset", "length", "flags"),
    [
        (wire.READ, 64 * MIB, 1, 0),
        (wire.READ, 0, 33 * MIB, 0),
        (wire.READ, 0, 4096, 4),  # not in pieces: was not offered
        (wire.BLOCK_STATUS, 0, 0, 0),
        (wire.BLOCK_STATUS, 63 * MIB, 2 * MIB, 0),
    ],
)
def test_what_cannot_be_is_refused_in_the_form_of_its_command(command, offset, length, flags):
    [(done, kind, data)] = chunks(answer(command, offset, length, flags))
    assert (done, kind & wire.CHUNK_ERROR, data) == (1, wire.CHUNK_ERROR, struct.pack(">IH", errno.EINVAL, 0))


def test_without_structured_replies_all_is_sent_at_once_or_refused():
    plain = Answers(Comb(), Agreed("comb", structured=False, allocation=False))
    assert answer(wire.READ, 0, 8192, answers=plain) == (
        struct.pack(">IIQ", wire.SIMPLE_MAGIC, 0, 9) + b"d" * 4096 + bytes(4096)
    )
    assert answer(wire.WRITE, 0, 8192, answers=plain) == struct.pack(">IIQ", wire.SIMPLE_MAGIC, errno.EPERM, 9)


@pytest.mark.parametrize(
    ("magic", "command", "length"),
    [(1, wire.READ, 1), (wire.REQUEST_MAGIC, wire.DISC, 0), (wire.REQUEST_MAGIC, wire.WRITE, 33 * MIB)],
)
def test_some_requests_end_the_connection(magic, command, length):
    with pytest.raises(Hangup):
        Request.parse(struct.pack(">IHHQQI", magic, 0, command, 1, 0, length))

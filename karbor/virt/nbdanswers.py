# SPDX-License-Identifier: Apache-2.0
"""What does a read-only export answer to each request of an NBD client?"""

import errno
import logging
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from karbor.model import errors
from karbor.sdk.streams import Extent, Kind
from karbor.virt import nbd_wire as wire
from karbor.virt.nbd_handshake import ALLOCATION_ID, MAXIMUM, Agreed, Hangup

LOG = logging.getLogger(__name__)

_TRIM, _CACHE = 4, 5
_WRITING = (wire.WRITE, _TRIM, wire.WRITE_ZEROES)
_REQ_ONE = 1 << 3
_DATA, _HOLE = 0, 3  # of base:allocation: allocated; a hole that reads as zeroes
_DESCRIPTORS = 4096
_PORTION = 1 << 20  # is gathered and sent at a time; a leaf of a recipe
_STATUS_SPAN = 1 << 30  # of one answer about block status; it may be less than was asked for
_HEAD = struct.Struct(">IHHQQI")

#: What is sent in one go.
Buffers = Sequence[bytes | memoryview]


class Readable(Protocol):
    """A stream, any range of which can be told of and read. Thread-safe; raises as a StreamReader does."""

    size: int

    def extents(self, start: int = 0, stop: int | None = None) -> Iterable[Extent]: ...

    def parts(self, start: int, stop: int) -> Sequence[tuple[int, memoryview]]:
        """(offset, bytes) of what is not zero, ascending."""
        ...


@dataclass(frozen=True)
class Request:
    """One request. ``cookie`` tells the client which one an answer is for."""

    SIZE: ClassVar[int] = _HEAD.size

    flags: int
    command: int
    cookie: int
    offset: int
    length: int

    @classmethod
    def parse(cls, data: bytes) -> "Request":
        """Raises Hangup where the client says good-bye or makes no sense."""
        magic, flags, command, cookie, offset, length = _HEAD.unpack(data)
        if magic != wire.REQUEST_MAGIC or command == wire.DISC or (command == wire.WRITE and length > MAXIMUM):
            raise Hangup
        return cls(flags, command, cookie, offset, length)

    @property
    def payload(self) -> int:
        """Bytes that follow the request."""
        return self.length if self.command == wire.WRITE else 0

    @property
    def reads(self) -> bool:
        return self.command == wire.READ


class Answers:
    """The answers of one export to one client. Thread-safe."""

    def __init__(self, stream: Readable, agreed: Agreed) -> None:
        self._stream = stream
        self._agreed = agreed

    def to(self, request: Request) -> Iterator[Buffers]:
        """What to send, piece by piece; between the pieces others may be sent."""
        if request.command in _WRITING:
            yield self._refusal(request, errno.EPERM)
        elif not self._fits(request):
            yield self._refusal(request, errno.EINVAL)
        elif request.command == wire.READ:
            yield from self._read(request) if self._agreed.structured else self._simple_read(request)
        elif request.command == wire.BLOCK_STATUS and self._agreed.allocation and request.length:
            yield self._status(request)
        elif request.command == _CACHE:
            yield [struct.pack(">IIQ", wire.SIMPLE_MAGIC, 0, request.cookie)]  # a hint, and we read ahead as we like
        else:
            yield self._refusal(request, errno.EINVAL)

    def _fits(self, request: Request) -> bool:
        flags = _REQ_ONE if request.command == wire.BLOCK_STATUS else 0
        limit = MAXIMUM if request.command == wire.READ else self._stream.size
        inside = request.offset + request.length <= self._stream.size
        return inside and request.length <= limit and not request.flags & ~flags

    def _refusal(self, request: Request, number: int) -> Buffers:
        if self._agreed.structured and request.command in (wire.READ, wire.BLOCK_STATUS):
            body = struct.pack(">IH", number, 0)
            return [self._chunk(request, wire.CHUNK_ERROR | 1, len(body), flags=wire.FLAG_DONE), body]
        return [struct.pack(">IIQ", wire.SIMPLE_MAGIC, number, request.cookie)]

    def _chunk(self, request: Request, kind: int, length: int, *, flags: int = 0) -> bytes:
        return struct.pack(">IHHQI", wire.STRUCTURED_MAGIC, flags, kind, request.cookie, length)

    def _read(self, request: Request) -> Iterator[Buffers]:
        """Data and holes, as they lie. A fault ends the answer: the client drops what it has of it."""
        end = request.offset + request.length
        for start in range(request.offset, end, _PORTION):
            stop = min(start + _PORTION, end)
            try:
                parts = self._stream.parts(start, stop)
            except errors.KarborError as fault:
                _tell(start, fault)
                yield self._refusal(request, errno.EIO)
                return
            yield list(self._structured(request, parts, start, stop))
        yield [self._chunk(request, wire.CHUNK_NONE, 0, flags=wire.FLAG_DONE)]

    def _structured(
        self, request: Request, parts: Sequence[tuple[int, memoryview]], start: int, stop: int
    ) -> Iterator[bytes | memoryview]:
        """One chunk for each run of data and for each gap."""
        number, at = 0, start
        while at < stop:
            first = parts[number][0] if number < len(parts) else stop
            if first > at:
                yield self._chunk(request, wire.CHUNK_HOLE, 12) + struct.pack(">QI", at, first - at)
                at = first
                continue
            run: list[memoryview] = []
            while number < len(parts) and parts[number][0] == at:
                run.append(parts[number][1])
                at += len(run[-1])
                number += 1
            yield self._chunk(request, wire.CHUNK_DATA, 8 + at - first) + struct.pack(">Q", first)
            yield from run

    def _simple_read(self, request: Request) -> Iterator[Buffers]:
        """All of it before the first byte: after that nothing can be said any more."""
        end = request.offset + request.length
        out = bytearray(request.length)
        for start in range(request.offset, end, _PORTION):
            try:
                parts = self._stream.parts(start, min(start + _PORTION, end))
            except errors.KarborError as fault:
                _tell(start, fault)
                yield self._refusal(request, errno.EIO)
                return
            for at, part in parts:
                out[at - request.offset : at - request.offset + len(part)] = part
        yield [struct.pack(">IIQ", wire.SIMPLE_MAGIC, 0, request.cookie), memoryview(out)]

    def _status(self, request: Request) -> Buffers:
        most = 1 if request.flags & _REQ_ONE else _DESCRIPTORS
        found: list[list[int]] = []
        stop = request.offset + min(request.length, _STATUS_SPAN)
        for length, state in self._states(request.offset, stop):
            if found and found[-1][1] == state:
                found[-1][0] += length
            elif len(found) == most:
                break
            else:
                found.append([length, state])
        body = struct.pack(">I", ALLOCATION_ID) + b"".join(struct.pack(">II", *entry) for entry in found)
        return [self._chunk(request, wire.CHUNK_STATUS, len(body), flags=wire.FLAG_DONE), body]

    def _states(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """(length, state) in order. Where nobody can tell, it is data: so it is read, and the error is seen."""
        leaf_by_leaf = False  # once something in the range was found damaged, until we are past it
        while start < stop:
            end = min(start - start % _PORTION + _PORTION, stop) if leaf_by_leaf else stop
            try:
                for extent in self._stream.extents(start, end):
                    start = extent.offset + extent.length
                    yield extent.length, _HOLE if extent.kind is Kind.ZERO else _DATA
            except errors.KarborError as fault:
                if leaf_by_leaf:
                    _tell(start, fault)
                    yield end - start, _DATA
                    start = end
                leaf_by_leaf = not leaf_by_leaf


def _tell(offset: int, fault: errors.KarborError) -> None:
    LOG.warning("part of an export cannot be read offset=%d cause=%s", offset, fault.operator_text())

# SPDX-License-Identifier: Apache-2.0
"""How are the bytes of an NBD export read and written? A small client for unix sockets."""

import errno
import itertools
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

from karbor.model import errors
from karbor.virt import nbd_wire as wire

BASE_ALLOCATION = "base:allocation"
ALLOCATION_DEPTH = "qemu:allocation-depth"
#: Bit of base:allocation: the range reads as zeroes.
ZERO_BIT = 2
#: Bit of a dirty bitmap: the range was written.
DIRTY_BIT = 1

#: Measured: larger requests bring nothing more, smaller ones cost CPU on both sides; four hide the round trip.
REQUEST_SIZE = 1 << 20
IN_FLIGHT = 4
#: Lengths are 32 bits wide; this is the largest power of two below.
_STATUS_STEP = 1 << 31
_ZERO_STEP = 1 << 30
#: A block status reply carries at most 2^17 extents of 8 bytes.
_REPLY_LIMIT = 1 << 21
#: Memory that a connection keeps between reads, at most.
_KEPT_BUFFER = 8 << 20


def dirty_bitmap(name: str) -> str:
    """The meta context of a dirty bitmap that is exported under ``name``."""
    return f"qemu:dirty-bitmap:{name}"


class NbdRefused(errors.StepFailed):
    """The disk could not be read or written."""

    def __init__(self, command: int, number: int, text: str) -> None:
        self.errno = number
        name = errno.errorcode.get(number, str(number))
        super().__init__(detail=f"NBD command {command} failed with {name} (errno {number}): {text}")


@dataclass
class _Request:
    command: int
    offset: int
    length: int
    payload: Sequence[memoryview] = ()
    into: memoryview | None = None  # where read bytes go
    covered: int = 0
    status: dict[int, bytes] = field(default_factory=dict)


class NbdConnection:
    """One connection to one export; its methods may be called from several threads, one request runs at a time.

    ``contexts`` are those that the server granted. Raises CaptureLost where the server goes away or does not answer
    within ``timeout`` seconds; the connection is then of no more use. Raises NbdRefused (with ``errno``) for a request
    that the server answers with an error; the connection stays usable.
    """

    def __init__(
        self, socket_path: str, export: str, *, contexts: Sequence[str] = (BASE_ALLOCATION,), timeout: float = 60
    ) -> None:
        self._wire = wire.Wire(socket_path, timeout)
        self._lock = threading.RLock()
        self._buffer = bytearray()  # guarded by _lock
        self._handles = itertools.count(1)
        self._usable = True
        try:
            found = wire.negotiate(self._wire, export, contexts)
        except BaseException:
            self._wire.close()
            raise
        self.size = found.size
        self.contexts = frozenset(found.contexts.values())
        self._flags = found.flags
        self._context_ids = {name: number for number, name in found.contexts.items()}

    def block_status(self, context: str, offset: int, length: int) -> Iterator[tuple[int, int, int]]:
        """(offset, length, flags) of every extent of a range, in order. Raises CaptureLost for a context not granted.

        Other requests may be made while the iterator is open.
        """
        end = offset + length
        if context not in self._context_ids:
            raise self._wire.lost(f"it does not offer {context}")
        while offset < end:
            request = _Request(wire.BLOCK_STATUS, offset, min(_STATUS_STEP, end - offset))
            self._exchange([request])
            pairs = request.status.get(self._context_ids[context], b"")
            if not pairs:
                raise self._wire.lost("a block status without extents")
            for step, flags in struct.iter_unpack(">II", pairs):
                # The server may describe less than we asked for, and the last extent may reach behind it.
                step = min(step, end - offset)
                if step:
                    yield offset, step, flags
                offset += step

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes."""
        with self._lock:
            view = self._room(length)
            self.read_into(offset, view)
            return bytes(view)

    def read_into(self, offset: int, into: memoryview) -> None:
        """The same into memory of the caller."""
        self._exchange(
            _Request(wire.READ, offset + at, min(REQUEST_SIZE, len(into) - at), into=into[at : at + REQUEST_SIZE])
            for at in range(0, len(into), REQUEST_SIZE)
        )

    def write(self, offset: int, *parts: bytes | memoryview) -> None:
        """Write the parts, one behind the other; durable after ``flush``."""
        self._exchange(
            _Request(wire.WRITE, offset + at, length, together)
            for at, length, together in wire.portions(parts, REQUEST_SIZE)
        )

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zeroes, as a hole where the image allows it."""
        if not self._flags & wire.CAN_WRITE_ZEROES:
            raise NbdRefused(wire.WRITE_ZEROES, errno.EOPNOTSUPP, "not offered")
        self._exchange(
            _Request(wire.WRITE_ZEROES, offset + at, min(_ZERO_STEP, length - at))
            for at in range(0, length, _ZERO_STEP)
        )

    def flush(self) -> None:
        """All writes answered before are durable when this returns."""
        if self._flags & wire.CAN_FLUSH:
            self._exchange([_Request(wire.FLUSH, 0, 0)])

    def close(self) -> None:
        """Say good-bye and close. May be called again, and by another thread while a request waits."""
        if self._lock.acquire(blocking=False):
            try:
                if self._usable:
                    self._send(_Request(wire.DISC, 0, 0))
            except errors.CaptureLost:
                pass  # it is gone already
            finally:
                self._usable = False
                self._lock.release()
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _room(self, length: int) -> memoryview:
        """Room for a reply, the same memory each time: fresh pages for every read cost more CPU than the copy."""
        if length > len(self._buffer):
            self._buffer = bytearray(length)
        room = memoryview(self._buffer)[:length]
        if length > _KEPT_BUFFER:
            self._buffer = bytearray()
        return room

    def _send(self, request: _Request) -> int:
        handle = next(self._handles)
        head = struct.pack(">IHHQQI", wire.REQUEST_MAGIC, 0, request.command, handle, request.offset, request.length)
        self._wire.send(head, *request.payload)
        return handle

    def _exchange(self, requests: Iterable[_Request]) -> None:
        """Send requests, ``IN_FLIGHT`` at a time, and take in their replies. The first refusal is raised after all
        requests under way are answered, so that the connection stays in step."""
        with self._lock:
            if not self._usable:
                raise self._wire.lost("the connection is closed")
            waiting: dict[int, _Request] = {}
            refusals: list[errors.KarborError] = []
            try:
                for request in requests:
                    waiting[self._send(request)] = request
                    while len(waiting) >= IN_FLIGHT:
                        self._reply(waiting, refusals.append)
                    if refusals:
                        break
                while waiting:
                    self._reply(waiting, refusals.append)
            except BaseException:
                self._usable = False  # replies may still be under way: never use them for another request
                raise
        if refusals:
            raise refusals[0]

    def _reply(self, waiting: dict[int, _Request], refuse: Callable[[errors.KarborError], None]) -> None:
        """Take in one reply, or one chunk of a structured reply."""
        head = self._wire.receive(16)
        magic = struct.unpack_from(">I", head)[0]
        if magic == wire.SIMPLE_MAGIC:
            number, handle = struct.unpack_from(">IQ", head, 4)
            request = self._known(waiting, handle)
            del waiting[handle]
            if number:
                refuse(self._refusal(request, number, ""))
            elif request.command in (wire.READ, wire.BLOCK_STATUS):
                raise self._wire.lost("a reply without content")
            return
        if magic != wire.STRUCTURED_MAGIC:
            raise self._wire.lost("a reply that makes no sense")
        flags, kind, handle = struct.unpack_from(">HHQ", head, 4)
        length = struct.unpack(">I", self._wire.receive(4))[0]
        request = self._known(waiting, handle)
        refused = self._chunk(request, kind, length)
        if refused:
            refuse(refused)
            request.covered = request.length
        if flags & wire.FLAG_DONE:
            del waiting[handle]
            if request.command == wire.READ and request.covered != request.length:
                raise self._wire.lost(f"it sent {request.covered} of {request.length} bytes")

    def _known(self, waiting: dict[int, _Request], handle: int) -> _Request:
        try:
            return waiting[handle]
        except KeyError:
            raise self._wire.lost("a reply to nothing we asked") from None

    def _chunk(self, request: _Request, kind: int, length: int) -> errors.KarborError | None:
        """Take in the payload of one chunk; returns the refusal where it is one."""
        if kind == wire.CHUNK_DATA and request.into is not None and 8 < length <= request.length + 8:
            at = struct.unpack(">Q", self._wire.receive(8))[0] - request.offset
            if not 0 <= at <= request.length - (length - 8):
                raise self._wire.lost("data outside of what we asked for")
            self._wire.receive_into(request.into[at : at + length - 8])
            request.covered += length - 8
            return None
        if length > _REPLY_LIMIT:
            raise self._wire.lost("a reply that is too large")
        payload = self._wire.receive(length)
        if kind == wire.CHUNK_HOLE and request.into is not None and length == 12:
            at, size = struct.unpack(">QI", payload)
            if not 0 <= at - request.offset <= request.length - size:
                raise self._wire.lost("a hole outside of what we asked for")
            request.into[at - request.offset : at - request.offset + size] = bytes(size)
            request.covered += size
        elif kind == wire.CHUNK_STATUS and length >= 4 and (length - 4) % 8 == 0:
            request.status[struct.unpack_from(">I", payload)[0]] = payload[4:]
        elif kind & wire.CHUNK_ERROR and length >= 6:
            number, size = struct.unpack_from(">IH", payload)
            return self._refusal(request, number, payload[6 : 6 + size].decode(errors="replace"))
        elif kind != wire.CHUNK_NONE:
            raise self._wire.lost(f"a chunk of kind {kind} that does not fit")
        return None

    def _refusal(self, request: _Request, number: int, text: str) -> errors.KarborError:
        if number == errno.ESHUTDOWN:
            return self._wire.lost("it shuts down")
        return NbdRefused(request.command, number, text)

# SPDX-License-Identifier: Apache-2.0
"""What goes over the wire between an NBD client and a server: handshake, framing, numbers of the protocol?

Fixed newstyle negotiation with structured replies and meta contexts, as the NBD protocol document describes them.
"""

import contextlib
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from karbor.model import errors

READ, WRITE, DISC, FLUSH, WRITE_ZEROES, BLOCK_STATUS = 0, 1, 2, 3, 6, 7
REQUEST_MAGIC, SIMPLE_MAGIC, STRUCTURED_MAGIC = 0x25609513, 0x67446698, 0x668E33EF
CHUNK_NONE, CHUNK_DATA, CHUNK_HOLE, CHUNK_STATUS, CHUNK_ERROR = 0, 1, 2, 5, 0x8000
FLAG_DONE = 1
#: Flags of an export that we need to know.
CAN_FLUSH, CAN_WRITE_ZEROES, READ_ONLY = 1 << 2, 1 << 6, 1 << 1

OPTION_MAGIC = 0x49484156454F5054
REPLY_MAGIC = 0x3E889045565A9
OPT_GO, OPT_STRUCTURED, OPT_SET_META = 7, 8, 10
REP_ACK, REP_INFO, REP_META, REP_ERROR = 1, 3, 4, 1 << 31
FIXED_NEWSTYLE, NO_ZEROES = 1, 2
#: No option reply is larger than this; more means that the other side does not speak NBD.
_REPLY_LIMIT = 1 << 16


@dataclass(frozen=True)
class Export:
    """What the server told of an export. ``contexts`` maps the id of each granted meta context to its name."""

    size: int
    flags: int
    contexts: dict[int, str]


class Wire:
    """A unix socket on which every wait ends after ``timeout`` seconds. Raises CaptureLost for whatever goes wrong."""

    def __init__(self, path: str, timeout: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._path = path
        # The kernel's own timeouts, on a blocking socket: one call then takes in a whole reply. Python's timeouts
        # would poll before each of many small reads.
        limit = struct.pack("@ll", int(timeout), int(timeout % 1 * 1e6))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        try:
            self._socket.connect(path)
        except OSError as fault:
            self._socket.close()
            raise self.lost(f"cannot connect: {fault}") from fault

    def lost(self, cause: str) -> errors.CaptureLost:
        """The error to raise for ``cause``."""
        return errors.CaptureLost(
            detail=f"NBD server at {self._path}: {cause}", next_action="see whether the guest or qemu-nbd still runs"
        )

    def send(self, *parts: bytes | memoryview) -> None:
        """Send the parts, one behind the other; they are not copied together first."""
        left = [memoryview(part) for part in parts]
        try:
            while left:
                sent = self._socket.sendmsg(left)
                while left and sent >= len(left[0]):
                    sent -= len(left.pop(0))
                if left:
                    left[0] = left[0][sent:]
        except BlockingIOError as fault:
            raise self.lost("it takes nothing more") from fault
        except OSError as fault:
            raise self.lost(f"cannot send: {fault}") from fault

    def receive(self, length: int) -> bytes:
        buffer = bytearray(length)
        self.receive_into(memoryview(buffer))
        return bytes(buffer)

    def receive_into(self, view: memoryview) -> None:
        try:
            while view:
                count = self._socket.recv_into(view, 0, socket.MSG_WAITALL)
                if count == 0:
                    raise self.lost("the server closed the connection")
                view = view[count:]
        except BlockingIOError as fault:
            raise self.lost("it did not answer in time") from fault
        except OSError as fault:
            raise self.lost(f"cannot receive: {fault}") from fault

    def close(self) -> None:
        """Close; a thread that waits on the socket is woken with CaptureLost."""
        with contextlib.suppress(OSError):  # the server may have been faster
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def negotiate(wire: Wire, export: str, contexts: Sequence[str]) -> Export:
    """Do the handshake up to the transmission phase."""
    magic, option_magic, flags = struct.unpack(">8sQH", wire.receive(18))
    if magic != b"NBDMAGIC" or option_magic != OPTION_MAGIC or not flags & FIXED_NEWSTYLE:
        raise wire.lost("it does not speak the fixed newstyle protocol")
    wire.send(struct.pack(">I", FIXED_NEWSTYLE | (flags & NO_ZEROES)))
    _option(wire, OPT_STRUCTURED, b"")
    name = _text(export)
    granted: dict[int, str] = {}
    if contexts:
        queries = b"".join(_text(context) for context in contexts)
        for kind, data in _option(wire, OPT_SET_META, name + struct.pack(">I", len(contexts)) + queries):
            if kind == REP_META and len(data) >= 4:
                granted[struct.unpack(">I", data[:4])[0]] = data[4:].decode(errors="replace")
    for kind, data in _option(wire, OPT_GO, name + struct.pack(">H", 0)):
        if kind == REP_INFO and len(data) == 12 and data[:2] == b"\0\0":
            size, flags = struct.unpack(">QH", data[2:])
            return Export(size, flags, granted)
    raise wire.lost("it did not say how large the export is")


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack(">I", len(data)) + data


def _option(wire: Wire, option: int, data: bytes) -> list[tuple[int, bytes]]:
    """Send an option and collect the replies up to the acknowledgement."""
    wire.send(struct.pack(">QII", OPTION_MAGIC, option, len(data)) + data)
    replies: list[tuple[int, bytes]] = []
    while len(replies) < 64:
        magic, echoed, kind, length = struct.unpack(">QIII", wire.receive(20))
        if magic != REPLY_MAGIC or echoed != option or length > _REPLY_LIMIT:
            raise wire.lost("the handshake makes no sense")
        payload = wire.receive(length)
        if kind & REP_ERROR:
            text = payload.decode(errors="replace")
            raise wire.lost(f"it refuses option {option} with error {kind & ~REP_ERROR}: {text}")
        if kind == REP_ACK:
            return replies
        replies.append((kind, payload))
    raise wire.lost("the handshake does not end")


def portions(parts: Iterable[bytes | memoryview], most: int) -> Iterator[tuple[int, int, Sequence[memoryview]]]:
    """(offset, length, what it consists of) of portions of at most ``most`` bytes of all parts."""
    start = length = 0
    held: list[memoryview] = []
    for part in parts:
        view = memoryview(part)
        while view:
            held.append(view[: most - length])
            length += len(held[-1])
            view = view[len(held[-1]) :]
            if length == most:
                yield start, length, held
                start, length, held = start + length, 0, []
    if held:
        yield start, length, held

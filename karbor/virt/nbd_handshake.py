# SPDX-License-Identifier: Apache-2.0
"""How does a server agree with a client on an export? The server's half of the fixed newstyle handshake.

What the client says is not trusted: every length has a bound, and whoever does not keep to the protocol is let go.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from karbor.virt import nbd_wire as wire

#: Flags of an export: there are flags; read only; several connections see the same; may be asked to read ahead.
FLAGS = 1 << 0 | wire.READ_ONLY | 1 << 8 | 1 << 10
#: The id by which block status answers name base:allocation.
ALLOCATION_ID = 1
_ALLOCATION = b"base:allocation"
#: Requests may begin anywhere; 64 KiB is good; no reply is larger than the last.
MINIMUM, PREFERRED, MAXIMUM = 1, 64 << 10, 32 << 20

_EXPORT_NAME, _ABORT, _LIST, _INFO, _LIST_META = 1, 2, 3, 6, 9
_REP_SERVER, _INFO_EXPORT, _INFO_BLOCK_SIZE = 2, 0, 3
_ERR_UNSUP, _ERR_INVALID, _ERR_UNKNOWN = (wire.REP_ERROR + number for number in (1, 3, 6))
_OPTION_LIMIT = 1 << 16
_OPTIONS = 64  # a client that asks for more wants no export


class Hangup(Exception):
    """The client is gone, says good-bye, or does not keep to the protocol."""


@dataclass(frozen=True)
class Agreed:
    """What the handshake came to: an export, and how to answer."""

    name: str
    structured: bool
    allocation: bool  # block status may be asked for


class Handshake:
    """With one client. ``receive(n)`` gives exactly n bytes or raises Hangup; ``sizes`` are those of the exports.

    Exports are found by their names; where there is one, the empty name means it.
    """

    def __init__(
        self, receive: Callable[[int], bytes], send: Callable[[bytes], None], sizes: Mapping[str, int]
    ) -> None:
        self._receive = receive
        self._send = send
        self._sizes = sizes
        self._structured = False
        self._allocation_of: str | None = None

    def run(self) -> Agreed:
        """Up to the transmission phase. Raises Hangup."""
        self._send(b"NBDMAGIC" + struct.pack(">QH", wire.OPTION_MAGIC, wire.FIXED_NEWSTYLE | wire.NO_ZEROES))
        [flags] = struct.unpack(">I", self._receive(4))
        if flags & ~(wire.FIXED_NEWSTYLE | wire.NO_ZEROES) or not flags & wire.FIXED_NEWSTYLE:
            raise Hangup
        for _ in range(_OPTIONS):
            magic, option, length = struct.unpack(">QII", self._receive(16))
            if magic != wire.OPTION_MAGIC or length > _OPTION_LIMIT:
                raise Hangup
            data = self._receive(length)
            if option == _EXPORT_NAME:
                return self._old_way(data, zeroes=not flags & wire.NO_ZEROES)
            name = self._option(option, data)
            if name is not None:
                return self._agreed(name)
        raise Hangup

    def _agreed(self, name: str) -> Agreed:
        return Agreed(name, self._structured, self._structured and self._allocation_of == name)

    def _old_way(self, data: bytes, *, zeroes: bool) -> Agreed:
        """EXPORT_NAME has no answer for an error."""
        name = self._find(data)
        if name is None:
            raise Hangup
        self._send(struct.pack(">QH", self._sizes[name], FLAGS) + bytes(124 if zeroes else 0))
        return self._agreed(name)

    def _option(self, option: int, data: bytes) -> str | None:
        """Answer an option; the name of the export where transmission begins."""
        if option == _ABORT:
            self._reply(option, wire.REP_ACK)
            raise Hangup
        if option == _LIST and not data:
            for name in self._sizes:
                self._reply(option, _REP_SERVER, _text(name.encode()))
            self._reply(option, wire.REP_ACK)
        elif option == wire.OPT_STRUCTURED and not data:
            self._structured = True
            self._reply(option, wire.REP_ACK)
        elif option in (_INFO, wire.OPT_GO):
            return self._info(option, data)
        elif option in (_LIST_META, wire.OPT_SET_META):
            self._meta(option, data)
        elif option in (_LIST, wire.OPT_STRUCTURED):
            self._reply(option, _ERR_INVALID, b"this option has no data")
        else:
            self._reply(option, _ERR_UNSUP)
        return None

    def _info(self, option: int, data: bytes) -> str | None:
        try:
            asked, rest = _take_text(data)
            [count] = struct.unpack_from(">H", rest)
            if len(rest) != 2 + 2 * count:
                raise ValueError
        except (ValueError, struct.error):
            self._reply(option, _ERR_INVALID, b"malformed")
            return None
        name = self._find(asked)
        if name is None:
            self._reply(option, _ERR_UNKNOWN, b"there is no such export; several: name one")
            return None
        self._reply(option, wire.REP_INFO, struct.pack(">HQH", _INFO_EXPORT, self._sizes[name], FLAGS))
        self._reply(option, wire.REP_INFO, struct.pack(">HIII", _INFO_BLOCK_SIZE, MINIMUM, PREFERRED, MAXIMUM))
        self._reply(option, wire.REP_ACK)
        return name if option == wire.OPT_GO else None

    def _meta(self, option: int, data: bytes) -> None:
        try:
            asked, rest = _take_text(data)
            [count] = struct.unpack_from(">I", rest)
            queries, rest = [], rest[4:]
            for _ in range(min(count, _OPTION_LIMIT)):
                query, rest = _take_text(rest)
                queries.append(query)
            if rest or not self._structured:
                raise ValueError
        except (ValueError, struct.error):
            self._reply(option, _ERR_INVALID, b"malformed, or before structured replies")
            return
        name = self._find(asked)
        if name is None:
            self._reply(option, _ERR_UNKNOWN, b"there is no such export")
            return
        listing = option == _LIST_META
        granted = _ALLOCATION in queries or (listing and (not queries or b"base:" in queries))
        if granted:
            number = 0 if listing else ALLOCATION_ID
            self._reply(option, wire.REP_META, struct.pack(">I", number) + _ALLOCATION)
        if not listing:
            self._allocation_of = name if granted else None
        self._reply(option, wire.REP_ACK)

    def _find(self, asked: bytes) -> str | None:
        name = asked.decode(errors="replace")
        if not name and len(self._sizes) == 1:
            [name] = self._sizes
        return name if name in self._sizes else None

    def _reply(self, option: int, kind: int, data: bytes = b"") -> None:
        self._send(struct.pack(">QIII", wire.REPLY_MAGIC, option, kind, len(data)) + data)


def _text(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _take_text(data: bytes) -> tuple[bytes, bytes]:
    """A counted text and what is behind it. Raises ValueError, struct.error."""
    [length] = struct.unpack_from(">I", data)
    if length > len(data) - 4:
        raise ValueError
    return data[4 : 4 + length], data[4 + length :]

# SPDX-License-Identifier: Apache-2.0
"""How do many chunks make one object that describes itself?

header (48) | sealed chunk | sealed chunk | ... | sealed directory | length of the directory (4) | end mark (8)
"""

import secrets
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cryptography.exceptions import InvalidTag

from karbor.model import errors
from karbor.vault import format
from karbor.vault.codec import Codec, open_chunk, seal_chunk
from karbor.vault.format import Cursor, put_varint

_HEADER = struct.Struct(">8sHHI16s16s")
_TAIL = struct.Struct(">I8s")
_DIRECTORY_NONCE = bytes(12)  # no chunk lies at offset 0


class Entry(NamedTuple):
    """One chunk in a pack. ``stored`` counts sealed bytes, ``size`` plain ones."""

    id: bytes
    flags: int
    offset: int
    stored: int
    size: int


@dataclass(frozen=True)
class Directory:
    """What a pack holds. Written twice: at the end of the pack, and in an index object."""

    pack_id: bytes
    entries: Sequence[Entry]

    def encode(self) -> bytes:
        out = bytearray()
        put_varint(out, len(self.entries))
        for entry in self.entries:
            out.append(entry.flags)
            put_varint(out, entry.stored)
            put_varint(out, entry.size)
        out += b"".join(entry.id for entry in self.entries)
        return bytes(out)

    @property
    def pack_size(self) -> int:
        """How many bytes the whole pack has."""
        chunks = sum(entry.stored for entry in self.entries)
        return format.HEADER_SIZE + chunks + len(self.encode()) + format.TAG_SIZE + format.TAIL_SIZE

    @classmethod
    def decode(cls, pack_id: bytes, cursor: Cursor) -> "Directory":
        """Raises IntegrityError."""
        rows = directory_rows(cursor, 0)
        return cls(pack_id, [Entry(chunk_id, *shape) for chunk_id, _, *shape in rows])


def directory_rows(cursor: Cursor, number: int) -> Sequence[tuple[bytes, int, int, int, int, int]]:
    """(id, ``number``, flags, offset, stored, size) of all chunks of an encoded directory. Raises IntegrityError.

    An index has many millions of them, so nothing is called in here, and plain tuples come out.
    """
    count = cursor.varint()
    data, at = cursor.data, cursor.at
    shapes = []
    offset = format.HEADER_SIZE
    try:
        for _ in range(count):
            flags, byte = data[at], data[at + 1]
            at += 2
            stored, shift = byte & 0x7F, 7
            while byte > 0x7F and shift < 63:
                byte = data[at]
                stored |= (byte & 0x7F) << shift
                at += 1
                shift += 7
            byte = data[at]
            at += 1
            size, shift = byte & 0x7F, 7
            while byte > 0x7F and shift < 63:
                byte = data[at]
                size |= (byte & 0x7F) << shift
                at += 1
                shift += 7
            shapes.append((flags, offset, stored, size))
            offset += stored
    except IndexError:
        raise errors.IntegrityError(detail="number runs past the end") from None
    cursor.at = at
    ids = cursor.ids(count)
    return [(chunk_id, number, *shape) for chunk_id, shape in zip(ids, shapes, strict=True)]


class PackBuilder:
    """A pack that is being filled. Not thread-safe."""

    def __init__(self, codec: Codec) -> None:
        self.pack_id = secrets.token_bytes(format.ID_SIZE)
        self.entries: list[Entry] = []
        self.size = format.HEADER_SIZE
        self._cipher = codec.cipher(self.pack_id)
        self._header = _header(self.pack_id)
        self._parts = [self._header]  # never joined here: fresh memory for all of it costs more than the sealing

    @property
    def full(self) -> bool:
        return self.size >= format.PACK_SIZE or len(self.entries) >= format.PACK_ENTRIES

    def add(self, chunk_id: bytes, *, flags: int, size: int, body: bytes | memoryview) -> None:
        """Seal one chunk into the pack. ``size`` is that of the plain bytes."""
        sealed = seal_chunk(self._cipher, chunk_id, flags=flags, size=size, offset=self.size, body=body)
        self.entries.append(Entry(chunk_id, flags, self.size, len(sealed), size))
        self._parts.append(sealed)
        self.size += len(sealed)

    def finish(self) -> tuple[Directory, Sequence[bytes]]:
        """The directory, and the whole pack in parts. Adds the directory at the end: call it once."""
        directory = Directory(self.pack_id, tuple(self.entries))
        sealed = self._cipher.encrypt(_DIRECTORY_NONCE, directory.encode(), self._header)
        self._parts.append(sealed + _TAIL.pack(len(sealed), format.PACK_END))
        return directory, self._parts


def directory_span(pack_size: int, tail: bytes) -> tuple[int, int]:
    """(offset, length) of the sealed directory, from the last 12 bytes of a pack. Raises IntegrityError."""
    try:
        length, mark = _TAIL.unpack(tail)
    except struct.error:
        length, mark = 0, b""
    offset = pack_size - format.TAIL_SIZE - length
    if mark != format.PACK_END or offset < format.HEADER_SIZE:
        raise errors.IntegrityError(detail="no end of a pack")
    return offset, length


def open_directory(codec: Codec, pack_id: bytes, *, header: bytes, sealed: bytes) -> Directory:
    """Raises IntegrityError where header or directory are not those of this pack."""
    if header != _header(pack_id):
        raise errors.IntegrityError(detail=f"pack {pack_id.hex()}: unknown head")
    try:
        plain = codec.cipher(pack_id).decrypt(_DIRECTORY_NONCE, sealed, header)
    except InvalidTag as fault:
        raise errors.IntegrityError(detail=f"pack {pack_id.hex()}: directory does not open") from fault
    cursor = Cursor(plain)
    directory = Directory.decode(pack_id, cursor)
    cursor.end()
    return directory


def open_pack(codec: Codec, pack_id: bytes, data: bytes | memoryview) -> Iterator[tuple[Entry, bytes]]:
    """Every chunk of a whole pack with its plain bytes. Raises IntegrityError for any byte that is not as written."""
    view = memoryview(data)
    offset, length = directory_span(len(view), bytes(view[-format.TAIL_SIZE :]))
    header = bytes(view[: format.HEADER_SIZE])
    directory = open_directory(codec, pack_id, header=header, sealed=bytes(view[offset : offset + length]))
    end = format.HEADER_SIZE + sum(entry.stored for entry in directory.entries)
    if end != offset:
        raise errors.IntegrityError(detail=f"pack {pack_id.hex()}: directory and length disagree")
    cipher = codec.cipher(pack_id)
    for entry in directory.entries:
        sealed = view[entry.offset : entry.offset + entry.stored]
        plain = open_chunk(cipher, entry.id, flags=entry.flags, size=entry.size, offset=entry.offset, sealed=sealed)
        yield entry, plain


def _header(pack_id: bytes) -> bytes:
    return _HEADER.pack(format.PACK_MAGIC, format.VERSION, format.KEY_SCHEME, 0, format.NO_KEY, pack_id)

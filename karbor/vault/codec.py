# SPDX-License-Identifier: Apache-2.0
"""How do plain bytes become sealed ones, and back?

A key never seals two things with one nonce: every pack and every sealed object has a key of its own, derived with a
random 128-bit salt; within a pack the nonce of a chunk is its offset. So the count of chunks under one data key does
not matter: two of 2^40 packs share a salt with a chance of 2^-49, and no pack comes near the limits of AES-GCM.
"""

import json
import secrets
import struct
import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from karbor.model import errors
from karbor.vault import format
from karbor.vault.keys import DomainKeys, derive

_HEADER = struct.Struct(">8sHHI16s16s")
_CHUNK = struct.Struct(">16sBI")
_MAX_OBJECT = 256 << 20
_PER_THREAD = threading.local()


class Compressor:
    """zstd, one state per thread. What does not get smaller by a thirty-second is kept as it is."""

    def __init__(self, level: int) -> None:
        self._level = level
        self._local = threading.local()

    def shrink(self, plain: bytes | memoryview) -> tuple[int, bytes | memoryview]:
        """(flags, body): ZSTD and a frame, or 0 and the same bytes."""
        body = self._compressor().compress(plain)
        return (format.ZSTD, body) if len(body) < len(plain) - len(plain) // 32 else (0, plain)

    def _compressor(self) -> zstandard.ZstdCompressor:
        found: zstandard.ZstdCompressor | None = getattr(self._local, "compressor", None)
        if found is None:
            # The seal proves the bytes, so no checksum. A frame that says its size opens in one pass, without a window.
            found = self._local.compressor = zstandard.ZstdCompressor(
                level=self._level, write_content_size=True, write_checksum=False
            )
        return found


def grow(flags: int, body: bytes, size: int) -> bytes:
    """The plain bytes behind ``shrink``. Raises IntegrityError where they are not ``size`` bytes."""
    if flags & format.ZSTD:
        try:
            if zstandard.frame_content_size(body) > size:  # it would be given all the memory that it asks for
                raise errors.IntegrityError(detail=f"a frame that says more than {size} bytes")
            body = _decompressor().decompress(body, max_output_size=size) if size else b""
        except zstandard.ZstdError as fault:
            raise errors.IntegrityError(detail=f"zstd: {fault}") from fault
    if len(body) != size:
        raise errors.IntegrityError(detail=f"{len(body)} bytes where {size} are wanted")
    return body


def _decompressor() -> zstandard.ZstdDecompressor:
    """That of this thread: making one costs a third of the work that it does on a chunk."""
    found: zstandard.ZstdDecompressor | None = getattr(_PER_THREAD, "decompressor", None)
    if found is None:
        found = _PER_THREAD.decompressor = zstandard.ZstdDecompressor()
    return found


class Codec:
    """Names and seals the chunks and objects of one domain. Thread-safe."""

    def __init__(self, keys: DomainKeys, *, compression_level: int) -> None:
        self._known: DomainKeys | None = keys
        self.compressor = Compressor(compression_level)
        self.cipher = lru_cache(maxsize=512)(self._cipher)

    def forget(self) -> None:
        """The key of the domain was destroyed: nothing is sealed or opened any more."""
        self._known = None
        self.cipher.cache_clear()

    def require_keys(self) -> None:
        """Raise KeyDestroyed after ``forget``."""
        _ = self._keys

    @property
    def _keys(self) -> DomainKeys:
        """Raises KeyDestroyed after ``forget``."""
        if self._known is None:
            raise errors.KeyDestroyed()
        return self._known

    def chunk_id(self, plain: bytes | memoryview, *, flags: int) -> bytes:
        """The name of a content in this domain: keyed BLAKE3, 128 bits. Nodes and content never share a name."""
        key = self._keys.node_ids if flags & format.NODE else self._keys.chunk_ids
        return blake3(plain, key=key).digest(format.ID_SIZE)

    def _cipher(self, pack_id: bytes) -> AESGCM:
        return AESGCM(derive(self._keys.packs, salt=pack_id, info=b"karbor 1 pack"))

    def seal_object(self, name: str, plain: bytes) -> bytes:
        """The bytes of a sealed object. ``name`` is relative to the domain; the object opens under no other."""
        flags, body = self.compressor.shrink(plain)
        salt = secrets.token_bytes(16)
        head = _HEADER.pack(format.OBJECT_MAGIC, format.VERSION, format.KEY_SCHEME, flags, format.NO_KEY, salt)
        sized = struct.pack(">I", len(plain)) + bytes(body)
        return head + self._object_cipher(name, salt).encrypt(bytes(12), sized, head)

    def open_object(self, name: str, data: bytes) -> bytes:
        """The plain bytes of a sealed object. Raises IntegrityError naming it where anything is not as sealed."""
        head = data[: format.HEADER_SIZE]
        if len(head) != format.HEADER_SIZE:
            raise errors.IntegrityError(detail=f"{name}: too short")
        magic, version, scheme, flags, key_reference, salt = _HEADER.unpack(head)
        wanted = (format.OBJECT_MAGIC, format.VERSION, format.KEY_SCHEME, format.NO_KEY)
        if (magic, version, scheme, key_reference) != wanted:
            raise errors.IntegrityError(detail=f"{name}: unknown head")
        try:
            sized = self._object_cipher(name, salt).decrypt(bytes(12), data[format.HEADER_SIZE :], head)
        except InvalidTag as fault:
            raise errors.IntegrityError(detail=f"{name}: does not open") from fault
        size = int.from_bytes(sized[:4])
        if len(sized) < 4 or size > _MAX_OBJECT:
            raise errors.IntegrityError(detail=f"{name}: no size")
        return grow(flags, sized[4:], size)

    def seal_document(self, name: str, document: Mapping[str, Any]) -> bytes:
        """The same for a JSON document."""
        return self.seal_object(name, json.dumps(document, sort_keys=True, separators=(",", ":")).encode())

    def open_document(self, name: str, data: bytes) -> dict[str, Any]:
        """The same for a JSON document."""
        try:
            document: dict[str, Any] = json.loads(self.open_object(name, data))
        except ValueError as fault:
            raise errors.IntegrityError(detail=f"{name}: not JSON") from fault
        return document

    def _object_cipher(self, name: str, salt: bytes) -> AESGCM:
        return AESGCM(derive(self._keys.objects, salt=salt, info=b"karbor 1 object " + name.encode()))


def seal_chunk(
    cipher: AESGCM, chunk_id: bytes, *, flags: int, size: int, offset: int, body: bytes | memoryview
) -> bytes:
    """``body`` sealed for the place ``offset`` in its pack."""
    return cipher.encrypt(offset.to_bytes(12), body, _CHUNK.pack(chunk_id, flags, size))


def open_chunk(
    cipher: AESGCM, chunk_id: bytes, *, flags: int, size: int, offset: int, sealed: bytes | memoryview
) -> bytes:
    """The plain bytes of a chunk. The seal proves that the writer gave them this id; raises IntegrityError."""
    if size > format.MAX_CHUNK:
        raise errors.IntegrityError(detail="a chunk larger than any")
    try:
        body = cipher.decrypt(offset.to_bytes(12), sealed, _CHUNK.pack(chunk_id, flags, size))
    except InvalidTag as fault:
        raise errors.IntegrityError(detail=f"chunk {chunk_id.hex()} does not open") from fault
    return grow(flags, body, size)

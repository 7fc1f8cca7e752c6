# SPDX-License-Identifier: Apache-2.0
"""How are the bytes of a stream read at any place, proven, in bounded memory?"""

from collections.abc import Iterator, Set

from karbor.model import errors
from karbor.sdk.streams import Extent, Kind
from karbor.vault.recipe import Piece, Tree
from karbor.vault.store import ByteCache, ChunkStore

_PORTION = 4 << 20
_CACHE = 8 << 20


class ChunkedReader:
    """A StreamReader over a recipe. Thread-safe; keeps the chunks it opened last for readers with small portions."""

    def __init__(self, store: ChunkStore, tree: Tree) -> None:
        self.size = tree.size
        self._store = store
        self._tree = tree
        self._cache = ByteCache(_CACHE)

    def extents(self) -> Iterator[Extent]:
        """DATA and ZERO from 0 to ``size``."""
        start = end = 0  # of the data that is being gathered
        for piece in self._tree.pieces(0, self.size):
            if piece.offset > end:
                if end > start:
                    yield Extent(start, end - start, Kind.DATA)
                yield Extent(end, piece.offset - end, Kind.ZERO)
                start = piece.offset
            end = piece.offset + piece.length
        if end > start:
            yield Extent(start, end - start, Kind.DATA)
        if end < self.size:
            yield Extent(end, self.size - end, Kind.ZERO)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes. Raises InvalidInput outside of the stream, IntegrityError for damage."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise errors.InvalidInput(
                "There are no such bytes in the stream.", detail=f"{offset}+{length} of {self.size}"
            )
        out = bytearray(length)
        for start in range(offset, offset + length, _PORTION):
            stop = min(start + _PORTION, offset + length)
            wanted: dict[bytes, list[Piece]] = {}
            for piece in self._tree.pieces(start, stop):
                wanted.setdefault(piece.chunk, []).append(piece)
            for chunk_id, chunk in self._chunks(wanted.keys()):
                for piece in wanted[chunk_id]:
                    at = piece.offset - offset
                    out[at : at + piece.length] = _part(piece, chunk)
        return bytes(out)

    def _chunks(self, ids: Set[bytes]) -> Iterator[tuple[bytes, bytes]]:
        missing = []
        for chunk_id in ids:
            value = self._cache.get(chunk_id)
            if value is None:
                missing.append(chunk_id)
            else:
                yield chunk_id, value
        for chunk_id, value in self._store.chunks(missing):
            self._cache.put(chunk_id, value)
            yield chunk_id, value


def _part(piece: Piece, chunk: bytes) -> memoryview:
    part = memoryview(chunk)[piece.within : piece.within + piece.length]
    if len(part) != piece.length:
        raise errors.IntegrityError(detail=f"chunk {piece.chunk.hex()} is shorter than the recipe says")
    return part

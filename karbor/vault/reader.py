# SPDX-License-Identifier: Apache-2.0
"""How are the bytes of a stream read at any place, proven, in bounded memory?"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from karbor.model import errors
from karbor.sdk.streams import Advance, Extent, Kind, Old, Put, StreamReader
from karbor.vault.chunkcache import ChunkCache
from karbor.vault.recipe import LEAF_SPAN, Piece, Tree, between, part_of
from karbor.vault.scatter import Scatter
from karbor.vault.store import ChunkStore

_PORTION = 4 << 20
_LEAVES = 64  # of the recipe, that are kept decoded for readers of small parts
#: Bytes of chunks that a reader keeps, unless it is told another number.
READER_CACHE = 8 << 20


class ChunkedReader(StreamReader):
    """A StreamReader over a recipe. Thread-safe; keeps the chunks it opened last for readers with small portions:
    up to ``cache`` bytes."""

    def __init__(self, store: ChunkStore, tree: Tree, *, cache: int = READER_CACHE) -> None:
        self.size = tree.size
        self._store = store
        self._tree = tree
        self._chunks = ChunkCache(store, cache).chunks
        self._leaf = lru_cache(_LEAVES)(self._read_leaf)

    def extents(self, start: int = 0, stop: int | None = None) -> Iterator[Extent]:
        """DATA and ZERO between two offsets, by default from 0 to ``size``. Reads no more of the recipe than it must.
        Raises IntegrityError where that is damaged."""
        begin, limit = start, self.size if stop is None else min(stop, self.size)
        start = end = begin  # of the data that is being gathered
        for piece in self._tree.pieces(begin, limit):
            if piece.offset > end:
                if end > start:
                    yield Extent(start, end - start, Kind.DATA)
                yield Extent(end, piece.offset - end, Kind.ZERO)
                start = piece.offset
            end = piece.offset + piece.length
        if end > start:
            yield Extent(start, end - start, Kind.DATA)
        if end < limit:
            yield Extent(end, limit - end, Kind.ZERO)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes. Raises InvalidInput outside of the stream, IntegrityError for damage."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise errors.InvalidInput(
                "There are no such bytes in the stream.", detail=f"{offset}+{length} of {self.size}"
            )
        out = bytearray(length)
        for start in range(offset, offset + length, _PORTION):
            wanted: dict[bytes, list[Piece]] = {}
            for piece in self._tree.pieces(start, min(start + _PORTION, offset + length)):
                wanted.setdefault(piece.chunk, []).append(piece)
            for chunk_id, chunk in self._chunks(wanted):
                for piece in wanted[chunk_id]:
                    at = piece.offset - offset
                    out[at : at + piece.length] = part_of(piece, chunk)
        return bytes(out)

    def parts(self, start: int, stop: int) -> Sequence[tuple[int, memoryview]]:
        """(offset, bytes) of what lies between two offsets, ascending; gaps are zeroes. Nothing is copied: all chunks
        that are needed are held at once, so ask for little. Raises IntegrityError for damage."""
        found: list[Piece] = []
        for index in range(start // LEAF_SPAN, -(-stop // LEAF_SPAN)):
            found += between(self._leaf(index), start, stop)
        chunks = dict(self._chunks({piece.chunk for piece in found}))
        return [(piece.offset, part_of(piece, chunks[piece.chunk])) for piece in found]

    def scatter(self, put: Put, advance: Advance, *, old: Old | None = None) -> None:
        """See StreamReader: in the order of the packs, several requests under way, opened in several threads. A chunk
        that ``old`` holds as a whole is not even read."""
        Scatter(self._store, self._tree, put, old).run(advance)

    def _read_leaf(self, index: int) -> Sequence[Piece]:
        node_id = self._tree.node_at(0, index)
        return self._tree.leaf(index, node_id) if node_id is not None else ()

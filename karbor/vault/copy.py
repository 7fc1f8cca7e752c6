# SPDX-License-Identifier: Apache-2.0
"""How does a stream get into another domain, without sending what is there already?

Names and seals of chunks belong to one domain, so nothing can be passed on as it lies: each chunk is opened here, named
and sealed anew there. What the other domain holds under the new name is not sent. The recipe keeps its shape, so where
an earlier stream was copied before, whatever the new one has in common with it is taken over there without being read
here.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, field
from typing import NamedTuple

from karbor.sdk.streams import Advance
from karbor.vault.builder import RecipeBuilder
from karbor.vault.layout import Same
from karbor.vault.recipe import Piece, Tree, span
from karbor.vault.session import TICK, NewChunk, Session
from karbor.vault.store import ChunkStore

_PORTION = 4 << 20  # bytes of content that one thread holds
_PARTS = 4096
_NAMES = 1 << 16  # names that are remembered: content that occurs again is not read again
Names = Mapping[bytes, bytes]


class Pair(NamedTuple):
    """One stream in two domains: ``there`` is the copy of ``here``."""

    here: Tree
    there: Tree


@dataclass
class _Portion:
    """A run of the stream that is dealt with at once. ``names`` are those that are known without reading."""

    parts: list[Piece | Same] = field(default_factory=list)
    names: dict[bytes, bytes] = field(default_factory=dict)
    size: int = 0

    def add(self, part: Piece | Same) -> None:
        last = self.parts[-1] if self.parts else None
        if isinstance(part, Same) and isinstance(last, Same) and last.stop == part.start:
            self.parts[-1] = Same(last.start, part.stop)
            return
        self.parts.append(part)
        self.size += part.length if isinstance(part, Piece) else 0

    @property
    def full(self) -> bool:
        return self.size >= _PORTION or len(self.parts) >= _PARTS


class StreamCopy:
    """Copies one stream into one session of another domain. ``pair`` is an earlier stream that was copied before."""

    def __init__(self, here: ChunkStore, there: ChunkStore, session: Session, *, tree: Tree, pair: Pair | None) -> None:
        self._here = here
        self._there = there
        self._session = session
        self._tree = tree
        self._pair = pair
        self._builder = RecipeBuilder(tree.size, session.put_node)
        self._names: OrderedDict[bytes, bytes] = OrderedDict()
        self._reached = 0
        self.bytes_read = 0

    def run(self, advance: Advance, *, threads: int) -> bytes | None:
        """Send everything and return the root of the recipe there. Ends its threads, whatever is raised.

        ``advance`` is told how far in the stream we are, and 0 while we wait.
        """
        waiting: deque[tuple[_Portion, Future[tuple[Names, int]]]] = deque()
        with ThreadPoolExecutor(threads, thread_name_prefix="vault-copy") as pool:
            try:
                for portion in self._portions():
                    waiting.append((portion, pool.submit(self._send, self._unknown(portion))))
                    if len(waiting) > threads + 1:
                        self._take(*waiting.popleft(), advance)
                while waiting:
                    self._take(*waiting.popleft(), advance)
                advance(self._tree.size - self._reached)
                return self._builder.root()
            except BaseException:
                self._session.abort()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _portions(self) -> Iterator[_Portion]:
        portion = _Portion()
        for index, part in self._walk():
            if isinstance(part, Same):
                portion.add(part)
            else:
                portion.names.update(self._names_at(index))
                for piece in part:
                    portion.add(piece)
            if portion.full:
                yield portion
                portion = _Portion()
        if portion.parts:
            yield portion

    def _walk(self) -> Iterator[tuple[int, Same | Sequence[Piece]]]:
        """Ascending: what the earlier stream has at the same place, and the pieces of every other leaf."""
        if self._tree.root is not None:
            yield from self._below(self._tree.level, 0, self._tree.root)

    def _below(self, level: int, index: int, node_id: bytes) -> Iterator[tuple[int, Same | Sequence[Piece]]]:
        if self._is_shared(level, index, node_id):
            # Where the streams end within this node, equal nodes say that both end in zeroes.
            yield index, Same(index * span(level), min((index + 1) * span(level), self._tree.size))
        elif level:
            children = list(self._tree.children(level, index, node_id))
            self._load(level - 1, [child for child in children if not self._is_shared(level - 1, *child)])
            for child, child_id in children:
                yield from self._below(level - 1, child, child_id)
        else:
            yield index, self._tree.leaf(index, node_id)

    def _is_shared(self, level: int, index: int, node_id: bytes) -> bool:
        return self._pair is not None and self._pair.here.node_at(level, index) == node_id

    def _load(self, level: int, nodes: Sequence[tuple[int, bytes]]) -> None:
        """Read nodes that lie below one, all at once; with leaves also those that stand at their places."""
        wanted, known = [node_id for _, node_id in nodes], []
        if self._pair is not None and level == 0:
            places = [[tree.node_at(0, index) for index, _ in nodes] for tree in self._pair]
            wanted += [node_id for node_id in places[0] if node_id]
            known = [node_id for node_id in places[1] if node_id]
        self._here.load_nodes(wanted)
        self._there.load_nodes(known)

    def _names_at(self, index: int) -> Names:
        """What the chunks of the earlier stream's leaf at this place are called there."""
        if self._pair is None:
            return {}
        here, there = (tree.node_at(0, index) for tree in self._pair)
        if here is None or there is None:
            return {}
        ours, theirs = self._pair.here.leaf(index, here), self._pair.there.leaf(index, there)
        if [piece._replace(chunk=b"") for piece in ours] != [piece._replace(chunk=b"") for piece in theirs]:
            return {}  # not the leaf we sent: trust nothing of it
        return {our.chunk: their.chunk for our, their in zip(ours, theirs, strict=True)}

    def _unknown(self, portion: _Portion) -> Sequence[bytes]:
        for piece in portion.parts:
            if isinstance(piece, Piece) and piece.chunk in self._names:
                portion.names[piece.chunk] = self._names[piece.chunk]
        wanted = {piece.chunk for piece in portion.parts if isinstance(piece, Piece)}
        return sorted(wanted - portion.names.keys())

    def _send(self, ids: Sequence[bytes]) -> tuple[Names, int]:
        """In a worker: open chunks here, name them for there, store what is new there. (names, bytes opened)"""
        names: dict[bytes, bytes] = {}
        opened = 0
        for group in self._groups(ids):
            plain = {}
            for chunk_id, content in self._here.chunks(group):
                names[chunk_id] = self._there.codec.chunk_id(content, flags=0)
                plain[names[chunk_id]] = content
                opened += len(content)
            fresh = self._session.claim(list(plain))
            shrink = self._there.codec.compressor.shrink
            chunks = []
            for name in fresh:
                flags, body = shrink(plain[name])
                chunks.append(NewChunk(name, flags, len(plain[name]), body))
            self._session.store(chunks)
        return names, opened

    def _groups(self, ids: Iterable[bytes]) -> Iterator[Sequence[bytes]]:
        """The ids in the order in which they lie, as many at once as may be held."""
        group: list[bytes] = []
        size = 0
        for place, chunk_id in sorted((place, chunk_id) for chunk_id, place in self._here.locate(ids).items()):
            group.append(chunk_id)
            size += place.size
            if size >= _PORTION:
                yield group
                group, size = [], 0
        if group:
            yield group

    def _take(self, portion: _Portion, future: Future[tuple[Names, int]], advance: Advance) -> None:
        """Put one portion into the recipe."""
        while True:
            try:
                sent, opened = future.result(timeout=TICK)
                break
            except NotYet:
                advance(0)
        self._remember(sent)
        self.bytes_read += opened
        for part in portion.parts:
            if isinstance(part, Piece):
                name = sent.get(part.chunk) or portion.names[part.chunk]
                self._builder.piece(part._replace(chunk=name))
            elif self._pair is not None:
                self._builder.base_range(self._pair.there, part.start, part.stop)
        last = portion.parts[-1]
        reached = last.stop if isinstance(last, Same) else last.offset + last.length
        advance(reached - self._reached)
        self._reached = reached

    def _remember(self, names: Names) -> None:
        self._names.update(names)
        while len(self._names) > _NAMES:
            self._names.popitem(last=False)

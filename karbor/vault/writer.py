# SPDX-License-Identifier: Apache-2.0
"""How does a source become a stream: read, cut, named, compressed, sealed, and its recipe built, all at once?

Worker threads take windows; this thread takes their results in order and builds the recipe. Every queue is bounded, so
memory is a few windows and two packs, whatever the size of the source.
"""

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet

from karbor.model import errors
from karbor.sdk.streams import Advance, Source, fill
from karbor.vault.builder import RecipeBuilder
from karbor.vault.chunker import Cut, cut_at_pages
from karbor.vault.format import MAX_CHUNK
from karbor.vault.layout import Run, Same, Window, plan
from karbor.vault.narrower import Given, Narrower, Spans
from karbor.vault.recipe import Piece, Tree
from karbor.vault.rooms import Share
from karbor.vault.session import TICK, NewChunk, Session
from karbor.vault.store import AHEAD, ChunkStore

#: Windows of a stream that are read while others are compressed: a disk and a processor need not wait for each other.
_AHEAD = AHEAD


class StreamWriter:
    """Writes one source into one session."""

    def __init__(
        self,
        store: ChunkStore,
        session: Session,
        *,
        source: Source,
        base: Tree | None,
        threads: int,
        cut: Cut = cut_at_pages,
    ) -> None:
        self._store = store
        self._session = session
        self._source = source
        self._base = base
        self._cut = cut
        self._threads = threads
        self._computing = threading.Semaphore(threads)
        self._share = Share()
        self._narrower = Narrower(store, base, self._computing) if base is not None and base.size else None
        self._builder = RecipeBuilder(source.size, session.put_node)
        self.bytes_read = 0

    def write(self, advance: Advance) -> bytes | None:
        """Store everything and return the root of the recipe. Ends its threads, whatever is raised."""
        base_size = None if self._base is None else self._base.size
        waiting: deque[tuple[Future[list[Piece | Same]], int]] = deque()
        workers = self._threads + _AHEAD
        with ThreadPoolExecutor(workers, thread_name_prefix="vault-write") as pool:
            try:
                for window in plan(self._source.extents(), size=self._source.size, base_size=base_size):
                    waiting.append((pool.submit(self._window, window), window.length))
                    while len(waiting) > workers + 1:
                        self._take(*waiting.popleft(), advance)
                while waiting:
                    self._take(*waiting.popleft(), advance)
                return self._builder.root()
            except BaseException:
                self._session.abort()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _take(self, window: Future[list[Piece | Same]], length: int, advance: Advance) -> None:
        """Put the result of a window into the recipe."""
        while True:
            try:
                parts = window.result(timeout=TICK)
                break
            except NotYet:
                advance(0)
        for part in parts:
            self._append(part)
        self.bytes_read += length
        advance(length)

    def _append(self, part: Piece | Same) -> None:
        if isinstance(part, Piece):
            self._builder.piece(part)
        elif self._base is not None:
            self._builder.base_range(self._base, part.start, part.stop)

    def _window(self, window: Window) -> list[Piece | Same]:
        """In a worker: read, cut, name, and store what is new."""
        with self._store.windows.lend(self._session.check, self._share) as room:
            return self._stored(window, self._read(window, room))

    def _stored(self, window: Window, runs: Sequence[Given]) -> list[Piece | Same]:
        """What a window that was read consists of; what is new of it lies in a pack by then."""
        spans = iter(self._narrower.changed(runs) if self._narrower else [[(0, len(run.data))] for run in runs])
        found: list[Piece | Same] = []
        plain: dict[bytes, memoryview] = {}
        with self._computing:
            left = iter(runs)
            for part in window.parts:
                if isinstance(part, Same):
                    found.append(part)
                else:
                    self._cut_up(next(left), next(spans), found, plain)
            fresh = self._session.claim(list(plain))
            shrink = self._store.codec.compressor.shrink
            self._session.store(
                [NewChunk(key, *_flagged(shrink(view), view)) for key, view in plain.items() if key in fresh]
            )
        return found

    def _read(self, window: Window, left: memoryview) -> list[Given]:
        """The runs of a window, one behind the other in the memory that was lent."""
        runs = []
        for part in window.parts:
            if isinstance(part, Run):
                data, left = left[: part.length], left[part.length :]
                fill(self._source, part.offset, data)
                runs.append(Given(part.offset, data))
        return runs

    def _cut_up(self, run: Given, spans: Spans, parts: list[Piece | Same], plain: dict[bytes, memoryview]) -> None:
        """Append what a run consists of, and gather its chunks by their names."""
        at = 0
        for start, stop in spans:
            if at < start:
                parts.append(Same(run.offset + at, run.offset + start))
            for first, last in self._cut(run.data[start:stop], run.offset + start):
                content = run.data[start + first : start + last]
                if len(content) > MAX_CHUNK:
                    raise errors.InvalidInput("The chunker made a chunk larger than the format allows.")
                chunk_id = self._store.codec.chunk_id(content, flags=0)
                plain.setdefault(chunk_id, content)
                parts.append(Piece(run.offset + start + first, last - first, chunk_id, 0))
            at = stop
        if at < len(run.data):
            parts.append(Same(run.offset + at, run.offset + len(run.data)))


def _flagged(shrunk: tuple[int, bytes | memoryview], view: memoryview) -> tuple[int, int, bytes | memoryview]:
    return shrunk[0], len(view), shrunk[1]

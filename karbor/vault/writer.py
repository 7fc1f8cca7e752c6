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
from typing import NamedTuple

from karbor.model import errors
from karbor.sdk.streams import Advance, Source, fill
from karbor.vault.builder import RecipeBuilder
from karbor.vault.chunker import Cut, changed_spans, cut_at_pages
from karbor.vault.format import MAX_CHUNK
from karbor.vault.layout import Same, Window, plan
from karbor.vault.reader import ChunkedReader
from karbor.vault.recipe import Piece, Tree
from karbor.vault.session import TICK, NewChunk, Session
from karbor.vault.store import ChunkStore

_PLANNED = 256  # ranges of the base that may wait between windows
_AHEAD = 2  # windows that are read while others are compressed: a disk and a processor need not wait for each other


class _Run(NamedTuple):
    """Bytes of the source from ``offset`` on, and the spans of them that must be stored."""

    offset: int
    data: memoryview
    spans: Sequence[tuple[int, int]]


class Narrower:
    """Finds in what was reported as changed that which did not change after all.

    A dirty bitmap counts 64 KiB where a guest wrote 4. Comparing costs reading the old bytes, so it is given up where
    it does not pay, and tried again now and then. Thread-safe.
    """

    _FIRST = 256 << 10  # a run that differs so far was written as a whole
    _TRIAL = 16 << 20
    _AGAIN = 16

    def __init__(self, base: ChunkedReader) -> None:
        self._base = base
        self._lock = threading.Lock()
        self._compared = 0
        self._spared = 0
        self._skipped = 0

    def changed(self, offset: int, data: memoryview) -> Sequence[tuple[int, int]]:
        """The spans of ``data`` that must be stored; the rest is as in the base."""
        if offset + len(data) > self._base.size or not self._worth_it():
            return [(0, len(data))]
        first = min(self._FIRST, len(data))
        spans = self._compared_with_base(offset, data, 0, first)
        if spans == [(0, first)]:
            return [(0, len(data))]
        return [*spans, *self._compared_with_base(offset, data, first, len(data))]

    def _compared_with_base(self, offset: int, data: memoryview, start: int, stop: int) -> Sequence[tuple[int, int]]:
        if start == stop:
            return []
        try:
            old = self._base.read(offset + start, stop - start)
        except errors.IntegrityError:
            return [(start, stop)]  # the base is damaged here: store what we have
        spans = changed_spans(bytes(data[start:stop]), old, offset + start)
        with self._lock:
            self._compared += stop - start
            self._spared += stop - start - sum(last - first for first, last in spans)
        return [(start + first, start + last) for first, last in spans]

    def _worth_it(self) -> bool:
        with self._lock:
            if self._compared < self._TRIAL or self._spared * 8 >= self._compared:
                return True
            self._skipped += 1
            return self._skipped % self._AGAIN == 0


class StreamWriter:
    """Writes one source into one session."""

    def __init__(
        self, store: ChunkStore, session: Session, *, source: Source, base: Tree | None, cut: Cut = cut_at_pages
    ) -> None:
        self._store = store
        self._session = session
        self._source = source
        self._base = base
        self._cut = cut
        self._narrower = Narrower(ChunkedReader(store, base)) if base is not None and base.size else None
        self._builder = RecipeBuilder(source.size, session.put_node)
        self._per_thread = threading.local()
        self.bytes_read = 0

    def write(self, advance: Advance, *, threads: int) -> bytes | None:
        """Store everything and return the root of the recipe. Ends its threads, whatever is raised."""
        base_size = None if self._base is None else self._base.size
        waiting: deque[tuple[Future[list[Piece | Same]] | Same, int]] = deque()
        reading, workers = 0, threads + _AHEAD
        computing = threading.Semaphore(threads)
        with ThreadPoolExecutor(workers, thread_name_prefix="vault-write") as pool:
            try:
                for portion in plan(self._source.extents(), size=self._source.size, base_size=base_size):
                    if isinstance(portion, Same):
                        waiting.append((portion, 0))
                    else:
                        waiting.append((pool.submit(self._window, portion, computing), portion.length))
                        reading += 1
                    while reading > workers + 1 or len(waiting) > _PLANNED:
                        reading -= self._take(*waiting.popleft(), advance)
                while waiting:
                    self._take(*waiting.popleft(), advance)
                return self._builder.root()
            except BaseException:
                self._session.abort()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _take(self, item: Future[list[Piece | Same]] | Same, length: int, advance: Advance) -> int:
        """Put one result into the recipe; returns how many windows that was."""
        if isinstance(item, Same):
            self._append(item)
            return 0
        while True:
            try:
                parts = item.result(timeout=TICK)
                break
            except NotYet:
                advance(0)
        for part in parts:
            self._append(part)
        self.bytes_read += length
        advance(length)
        return 1

    def _append(self, part: Piece | Same) -> None:
        if isinstance(part, Piece):
            self._builder.piece(part)
        elif self._base is not None:
            self._builder.base_range(self._base, part.start, part.stop)

    def _window(self, window: Window, computing: threading.Semaphore) -> list[Piece | Same]:
        """In a worker: read, cut, name, and store what is new."""
        runs = self._read(window)
        parts: list[Piece | Same] = []
        plain: dict[bytes, memoryview] = {}
        with computing:
            for run in runs:
                self._cut_up(run, parts, plain)
            fresh = self._session.claim(list(plain))
            shrink = self._store.codec.compressor.shrink
            self._session.store(
                [NewChunk(key, *_flagged(shrink(view), view)) for key, view in plain.items() if key in fresh]
            )
        return parts

    def _read(self, window: Window) -> list[_Run]:
        """The runs of a window, in memory that this thread keeps until its next window."""
        room: bytearray | None = getattr(self._per_thread, "room", None)
        if room is None or len(room) < window.length:
            room = self._per_thread.room = bytearray(window.length)
        left = memoryview(room)
        runs = []
        for offset, length in window.runs:
            data, left = left[:length], left[length:]
            fill(self._source, offset, data)
            spans = self._narrower.changed(offset, data) if self._narrower else [(0, length)]
            runs.append(_Run(offset, data, spans))
        return runs

    def _cut_up(self, run: _Run, parts: list[Piece | Same], plain: dict[bytes, memoryview]) -> None:
        """Append what a run consists of, and gather its chunks by their names."""
        at = 0
        for start, stop in run.spans:
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

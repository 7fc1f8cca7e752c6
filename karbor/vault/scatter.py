# SPDX-License-Identifier: Apache-2.0
"""How does a whole stream get out of the bank as fast as bank and processors allow, in bounded memory?

The stream is taken in windows of many pieces. The chunks of a window are read in the order in which they lie in their
packs, several requests at a time; each is opened once and handed to every place of the window that wants it. While one
window is worked on, the nodes and places of the next are looked up.
"""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import chain, repeat
from typing import NamedTuple

from karbor.model import errors
from karbor.sdk.streams import Advance, Old, Put
from karbor.vault.chunker import changed_spans
from karbor.vault.index import Location
from karbor.vault.recipe import Piece, Tree, part_of
from karbor.vault.store import READS, ChunkStore, Group, grouped

#: Requests under way, each of 4 MiB at most: enough to hide the round trip of an object store.
_IN_FLIGHT = READS
#: Pieces of a window; the last is about 600 MiB of a disk that was written in one go. The first are small, for nothing
#: can be fetched before they are looked up.
_PIECES = (256, 1024, 4096, 8192)
#: Bytes that are handed over at once. Each call into the system makes a thread wait for the interpreter once more.
_TOGETHER = 256 << 10
_PARTS = 256  # of them; the system takes 1024
_TICK = 1.0  # seconds between two questions whether the work is still wanted


class Window(NamedTuple):
    """A part of the stream. ``covered`` counts its bytes, zeroes included."""

    covered: int
    pieces: dict[bytes, list[Piece]]
    groups: Sequence[Group]


class Scatter:
    """One walk over one stream. See StreamReader.scatter."""

    def __init__(self, store: ChunkStore, tree: Tree, put: Put, old: Old | None = None) -> None:
        self._store = store
        self._tree = tree
        self._put = put
        self._old = old
        self._stop = threading.Event()
        # More threads than processors wait for the bank; only so many may compute, or they would trip over each other.
        self._processors = threading.Semaphore(os.cpu_count() or 1)

    def run(self, advance: Advance) -> None:
        """Hand out everything. Ends its threads, whatever is raised."""
        windows = self._windows()
        with ThreadPoolExecutor(_IN_FLIGHT + 1, thread_name_prefix="vault-scatter") as pool:
            try:
                coming = pool.submit(next, windows, None)
                under_way: set[Future[int]] = set()
                while (window := _result(coming, advance)) is not None:
                    coming = pool.submit(next, windows, None)
                    advance(window.covered - sum(p.length for found in window.pieces.values() for p in found))
                    for group in window.groups:
                        under_way.add(pool.submit(self._group, group, window.pieces))
                        while len(under_way) >= _IN_FLIGHT:
                            under_way = _collect(under_way, advance)
                while under_way:
                    under_way = _collect(under_way, advance)
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _windows(self) -> Iterator[Window]:
        """In order of the stream. Each is looked up when it is asked for."""
        at = start = 0
        pieces: dict[bytes, list[Piece]] = {}
        count = 0
        rooms = chain(_PIECES, repeat(_PIECES[-1]))
        room = next(rooms)
        for piece in _joined(self._tree.pieces(0, self._tree.size)):
            if count >= room:
                yield self._window(pieces, piece.offset - start)
                start, pieces, count, room = piece.offset, {}, 0, next(rooms)
            pieces.setdefault(piece.chunk, []).append(piece)
            count += 1
            at = piece.offset + piece.length
        if pieces:
            yield self._window(pieces, at - start)
        if at < self._tree.size:
            yield Window(self._tree.size - at, {}, ())

    def _window(self, pieces: dict[bytes, list[Piece]], covered: int) -> Window:
        places = sorted((place, chunk_id) for chunk_id, place in self._store.locate(pieces).items())
        groups = sorted(grouped(places), key=lambda group: pieces[group[0][1]][0].offset)
        return Window(covered, pieces, groups)

    def _group(self, group: Group, pieces: dict[bytes, list[Piece]]) -> int:
        """In a worker: one run of chunks. The bytes of the stream they make up."""
        total = sum(piece.length for _, chunk_id in group for piece in pieces[chunk_id])
        wanted = {chunk_id: pieces[chunk_id] for _, chunk_id in group}
        if self._old is not None:
            with self._processors:
                wanted = {
                    chunk_id: rest for place, chunk_id in group if (rest := self._missing(place, pieces[chunk_id]))
                }
        for part in grouped(entry for entry in group if entry[1] in wanted):
            with self._store.rooms.lend(self._check) as room:
                self._open(part, self._read(part, room), wanted)
        return total

    def _open(self, part: Group, data: bytes | memoryview | None, wanted: Mapping[bytes, Sequence[Piece]]) -> None:
        """Open the chunks of a run that was read, and hand over what is wanted of them."""
        with self._processors:
            opened = self._store.opened(part, data) if data is not None else self._store.chunks([e[1] for e in part])
            run = _Run(self._put)
            for chunk_id, plain in opened:
                self._check()
                for piece in wanted[chunk_id]:
                    self._hand_over(run, piece.offset, part_of(piece, plain))
            run.put()

    def _check(self) -> None:
        if self._stop.is_set():
            raise errors.Cancelled()

    def _hand_over(self, run: "_Run", offset: int, data: memoryview) -> None:
        """All of it, or the pages that the target does not hold already."""
        if self._old is None:
            run.append(offset, data)
            return
        for start, stop in changed_spans(bytes(data), self._old(offset, len(data)), offset):
            run.append(offset + start, data[start:stop])

    def _read(self, group: Group, room: memoryview) -> bytes | memoryview | None:
        """The sealed bytes of a run of chunks; None where their pack went away: they are to be looked for elsewhere."""
        try:
            return self._store.read(group, room)
        except errors.ObjectNotFound:
            self._store.index.forget(group[0][0].pack_id)
            return None

    def _missing(self, place: Location, pieces: Sequence[Piece]) -> list[Piece]:
        """Those that the target does not hold already. A whole chunk is known by its name; it need not be read."""
        return [piece for piece in pieces if not self._is_there(place, piece)]

    def _is_there(self, place: Location, piece: Piece) -> bool:
        if self._old is None or piece.length != place.size:
            return False
        held = self._old(piece.offset, piece.length)
        return self._store.codec.chunk_id(held, flags=place.flags) == piece.chunk


class _Run:
    """Parts of the stream that lie one behind the other are handed over together."""

    def __init__(self, put: Put) -> None:
        self._put = put
        self._parts: list[memoryview] = []
        self._start = self._end = 0

    def append(self, offset: int, data: memoryview) -> None:
        if offset != self._end or self._end - self._start >= _TOGETHER or len(self._parts) >= _PARTS:
            self.put()
            self._start = offset
        self._parts.append(data)
        self._end = offset + len(data)

    def put(self) -> None:
        """Hand over what is left."""
        if self._parts:
            self._put(self._start, *self._parts)
            self._parts = []


def _joined(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Pieces that the border of a leaf has parted are one again."""
    last: Piece | None = None
    for piece in pieces:
        if last is not None:
            follows = last.offset + last.length == piece.offset and last.within + last.length == piece.within
            if follows and last.chunk == piece.chunk:
                last = last._replace(length=last.length + piece.length)
                continue
            yield last
        last = piece
    if last is not None:
        yield last


def _result(future: Future[Window | None], advance: Advance) -> Window | None:
    while not wait([future], timeout=_TICK).done:
        advance(0)
    return future.result()


def _collect(running: set[Future[int]], advance: Advance) -> set[Future[int]]:
    done, rest = wait(running, timeout=_TICK, return_when=FIRST_COMPLETED)
    for future in done:
        advance(future.result())
    if not done:
        advance(0)
    return rest

# SPDX-License-Identifier: Apache-2.0
"""What of that which was reported as changed did not change after all?

A dirty bitmap counts 64 KiB where a guest wrote 4. Comparing costs the old bytes: each chunk of the base that a window
touches is fetched and opened once, and compared at all its places while it is there.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from karbor.model import errors
from karbor.vault.format import PAGE
from karbor.vault.recipe import LEAF_SPAN, Piece, Tree, Walk, between, part_of
from karbor.vault.store import ChunkStore, Group

_ZEROS = bytes(PAGE)
_OPENED = 2 << 20  # sealed bytes that are gathered before they are opened: taking turns costs too

Spans = Sequence[tuple[int, int]]


class Given(NamedTuple):
    """Bytes of the source from ``offset`` on."""

    offset: int
    data: memoryview


class _Part:
    """A part of a run that is compared, and which of its pages differ."""

    def __init__(self, run: Given, start: int, stop: int) -> None:
        self.start, self.stop = start, stop  # in the run
        self.offset = run.offset + start  # in the stream
        self._data = run.data[start:stop]
        self._first = self.offset // PAGE
        self._differs = bytearray(-(-(self.offset + stop - start) // PAGE) - self._first)

    @property
    def end(self) -> int:
        return self.offset + self.stop - self.start

    def compare(self, offset: int, old: bytes | memoryview) -> None:
        """What the base has from ``offset`` of the stream on, all of it within this part."""
        data = self._data[offset - self.offset : offset - self.offset + len(old)]
        new, old = bytes(data), bytes(old)  # memoryviews are compared one byte at a time
        if new == old:
            return
        at = 0
        while at < len(new):
            stop = at + PAGE - (offset + at) % PAGE
            if new[at:stop] != old[at:stop]:
                self._differs[(offset + at) // PAGE - self._first] = 1
            at = stop

    def compare_zeros(self, start: int, stop: int) -> None:
        """The base has zeroes between two offsets of the stream."""
        for at in range(start, stop, PAGE):
            self.compare(at, _ZEROS[: min(PAGE, stop - at)])

    def all_differs(self) -> None:
        """Nothing is known of the base."""
        self._differs = bytearray(b"\1" * len(self._differs))

    def spans(self) -> list[tuple[int, int]]:
        """The page-aligned spans of the run that must be stored."""
        found: list[tuple[int, int]] = []
        at = self._differs.find(1)
        while at >= 0:
            last = self._differs.find(0, at)
            last = len(self._differs) if last < 0 else last
            first = max((self._first + at) * PAGE, self.offset)
            found.append((self._within(first), self._within(min((self._first + last) * PAGE, self.end))))
            at = self._differs.find(1, last)
        return found

    def _within(self, offset: int) -> int:
        return offset - self.offset + self.start


class Narrower:
    """Compares runs with the base. Where it does not pay it is given up, and tried again now and then. Thread-safe."""

    _FIRST = 256 << 10  # a run that differs so far was written as a whole
    _TRIAL = 16 << 20
    _AGAIN = 16

    def __init__(self, store: ChunkStore, base: Tree, computing: threading.Semaphore) -> None:
        """``computing`` is held while chunks are opened and compared, and not while they are fetched."""
        self._store = store
        self._base = base
        self._computing = computing
        self._lock = threading.Lock()
        self._compared = 0
        self._spared = 0
        self._skipped = 0

    def changed(self, runs: Sequence[Given]) -> Sequence[Spans]:
        """For each of some ascending runs: the spans of it that must be stored; the rest is as in the base."""
        found: list[Spans] = [[(0, len(run.data))] for run in runs]
        firsts = {
            number: _Part(run, 0, min(self._FIRST, len(run.data)))
            for number, run in enumerate(runs)
            if run.offset + len(run.data) <= self._base.size and self._worth_it()
        }
        self._look(list(firsts.values()))
        rests = {}
        for number, first in firsts.items():
            spans, size = first.spans(), len(runs[number].data)
            if spans != [(0, first.stop)]:
                found[number] = spans
                if first.stop < size:
                    rests[number] = _Part(runs[number], first.stop, size)
        self._look(list(rests.values()))
        for number, rest in rests.items():
            found[number] = _joined([*found[number], *rest.spans()])
        return found

    def _look(self, parts: Sequence[_Part]) -> None:
        """Compare all of these, and keep count."""
        try:
            self._compare(parts)
        except errors.IntegrityError:
            for part in parts:  # the base is damaged in one of them at least
                try:
                    self._compare([part])
                except errors.IntegrityError:
                    part.all_differs()  # store what we have
        with self._lock:
            for part in parts:
                size = part.stop - part.start
                self._compared += size
                self._spared += size - sum(last - first for first, last in part.spans())

    def _compare(self, parts: Sequence[_Part]) -> None:
        wanted: dict[bytes, list[tuple[_Part, Piece]]] = {}
        walk = Walk(self._base)
        leaves = [range(part.offset // LEAF_SPAN, -(-part.end // LEAF_SPAN)) for part in parts]
        places = {index: walk.node_at(0, index) for indices in leaves for index in indices}
        self._base.load([node_id for node_id in places.values() if node_id is not None])
        for part, indices in zip(parts, leaves, strict=True):
            at = part.offset
            for index in indices:
                node_id = places[index]
                for piece in between(walk.leaf(index, node_id), at, part.end) if node_id is not None else ():
                    part.compare_zeros(at, piece.offset)
                    wanted.setdefault(piece.chunk, []).append((part, piece))
                    at = piece.offset + piece.length
            part.compare_zeros(at, part.end)
        held: list[tuple[Group, bytes | memoryview]] = []
        size = 0
        for group, data in self._store.fetched(wanted):
            held.append((group, data))
            size += len(data)
            if size >= _OPENED:
                self._open(held, wanted)
                held, size = [], 0
        self._open(held, wanted)

    def _open(
        self,
        held: Sequence[tuple[Group, bytes | memoryview]],
        wanted: Mapping[bytes, Sequence[tuple[_Part, Piece]]],
    ) -> None:
        with self._computing:
            for group, data in held:
                for chunk_id, plain in self._store.opened(group, data):
                    for part, piece in wanted[chunk_id]:
                        part.compare(piece.offset, part_of(piece, plain))

    def _worth_it(self) -> bool:
        with self._lock:
            if self._compared < self._TRIAL or self._spared * 8 >= self._compared:
                return True
            self._skipped += 1
            return self._skipped % self._AGAIN == 0


def _joined(spans: Sequence[tuple[int, int]]) -> Spans:
    """Neighbours are one."""
    found: list[tuple[int, int]] = []
    for start, stop in spans:
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], stop)
        else:
            found.append((start, stop))
    return found

# SPDX-License-Identifier: Apache-2.0
"""In which portions is a source read, and what is taken over from its base?"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from karbor.model import errors
from karbor.sdk.streams import Extent, Kind
from karbor.vault.format import WINDOW

_PARTS = 512  # of a window


class Run(NamedTuple):
    """Bytes to read."""

    offset: int
    length: int


class Same(NamedTuple):
    """Bytes ``start`` to ``stop`` are those of the base."""

    start: int
    stop: int


class Window(NamedTuple):
    """What is dealt with at once: ascending parts. No run crosses a multiple of WINDOW of the stream."""

    parts: tuple[Run | Same, ...]

    @property
    def length(self) -> int:
        """Bytes to read."""
        return sum(part.length for part in self.parts if isinstance(part, Run))


def plan(extents: Iterable[Extent], *, size: int, base_size: int | None) -> Iterator[Window]:
    """Ascending windows of at most WINDOW bytes to read and so many parts; zeroes are left out.

    Small runs that lie far apart come together: a guest that writes here and there costs what it wrote. SAME behind the
    end of a base that was shorter cannot be known, so it is read. Raises InvalidInput where the source breaks its
    contract.
    """
    parts: list[Run | Same] = []
    length = 0
    for part in _cut(_merged(_checked(extents, size), base_size)):
        more = part.length if isinstance(part, Run) else 0
        if parts and (length + more > WINDOW or len(parts) >= _PARTS):
            yield Window(tuple(parts))
            parts, length = [], 0
        parts.append(part)
        length += more
    if parts:
        yield Window(tuple(parts))


def _cut(merged: Iterable[tuple[bool, int, int]]) -> Iterator[Run | Same]:
    """Ranges of the base, and runs that end at borders of windows."""
    for same, start, stop in merged:
        if same:
            yield Same(start, stop)
            continue
        while start < stop:
            border = min(stop, start - start % WINDOW + WINDOW)
            yield Run(start, border - start)
            start = border


def _merged(extents: Iterable[Extent], base_size: int | None) -> Iterator[tuple[bool, int, int]]:
    """(is same, start, stop) without ZERO; neighbours of one kind are one."""
    held: tuple[bool, int, int] | None = None
    for extent in extents:
        if extent.kind is Kind.ZERO:
            continue
        for same, start, stop in _split(extent, base_size):
            if held and held[0] == same and held[2] == start:
                held = (same, held[1], stop)
                continue
            if held:
                yield held
            held = (same, start, stop)
    if held:
        yield held


def _split(extent: Extent, base_size: int | None) -> Iterator[tuple[bool, int, int]]:
    start, stop = extent.offset, extent.offset + extent.length
    if extent.kind is Kind.DATA:
        yield False, start, stop
        return
    if base_size is None:
        raise errors.InvalidInput("The source refers to a base, but none was named.")
    border = min(max(start, base_size), stop)
    if start < border:
        yield True, start, border
    if border < stop:
        yield False, border, stop


def _checked(extents: Iterable[Extent], size: int) -> Iterator[Extent]:
    end = 0
    for extent in extents:
        if extent.offset != end or extent.length <= 0:
            raise errors.InvalidInput("The source has gaps or overlaps.", detail=f"{extent} behind {end}")
        end += extent.length
        yield extent
    if end != size:
        raise errors.InvalidInput("The source does not describe all of its bytes.", detail=f"{end} of {size}")

# SPDX-License-Identifier: Apache-2.0
"""In which portions is a source read, and what is taken over from its base?"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from karbor.model import errors
from karbor.sdk.streams import Extent, Kind
from karbor.vault.format import WINDOW


class Window(NamedTuple):
    """Runs (offset, length) to read, all within one window of the stream."""

    runs: tuple[tuple[int, int], ...]

    @property
    def length(self) -> int:
        return sum(length for _, length in self.runs)


class Same(NamedTuple):
    """Bytes ``start`` to ``stop`` are those of the base."""

    start: int
    stop: int


def plan(extents: Iterable[Extent], *, size: int, base_size: int | None) -> Iterator[Window | Same]:
    """Ascending windows and ranges; zeroes are left out.

    SAME behind the end of a base that was shorter cannot be known, so it is read. Raises InvalidInput where the source
    breaks its contract.
    """
    runs: list[tuple[int, int]] = []
    for same, start, stop in _merged(_checked(extents, size), base_size):
        if same:
            if runs:
                yield Window(tuple(runs))
                runs = []
            yield Same(start, stop)
            continue
        while start < stop:
            border = start - start % WINDOW + WINDOW
            if runs and runs[0][0] // WINDOW != start // WINDOW:
                yield Window(tuple(runs))
                runs = []
            runs.append((start, min(stop, border) - start))
            start = min(stop, border)
    if runs:
        yield Window(tuple(runs))


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

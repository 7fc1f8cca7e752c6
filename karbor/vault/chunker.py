# SPDX-License-Identifier: Apache-2.0
"""Where is a run of bytes cut into chunks?

Behind 4 KiB pages whose hash hits a mask. File systems put content on page borders, so this finds nearly as much
repeated content as cutting at any byte, for a fraction of the work. Pages of zeroes are left out.

A reader does not need to know how a stream was cut. ``Cut`` is all that the writer knows of it.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

from xxhash import xxh3_64_intdigest

from karbor.vault.format import PAGE

#: (bytes, offset of their first byte in the stream) -> ascending spans (start, stop) of the bytes, without zero pages
Cut = Callable[[bytes | memoryview, int], Sequence[tuple[int, int]]]

MINIMUM = 4  # pages
MAXIMUM = 64
_MASK = 0xF << 40  # one page in sixteen
_ZEROS = bytes(PAGE)
_ZERO_HASH = xxh3_64_intdigest(_ZEROS)


def cut_at_pages(data: bytes | memoryview, offset: int) -> Sequence[tuple[int, int]]:
    """Spans of 16 to 256 KiB, about 75 KiB on average; shorter before zeroes and at the end."""
    spans: list[tuple[int, int]] = []
    borders = page_borders(len(data), offset)
    view = memoryview(data)
    start = -1  # of the open span
    pages = 0
    for at, stop in pairwise(borders):
        digest = xxh3_64_intdigest(view[at:stop])
        # The hash spares most comparisons; pages that are cut off at the ends are compared in any case.
        if (digest == _ZERO_HASH or stop - at != PAGE) and bytes(view[at:stop]) == _ZEROS[: stop - at]:
            if start >= 0:
                spans.append((start, at))
                start = -1
            continue
        if start < 0:
            start, pages = at, 0
        pages += 1
        if (pages >= MINIMUM and not digest & _MASK) or pages >= MAXIMUM:
            spans.append((start, stop))
            start = -1
    if start >= 0:
        spans.append((start, len(data)))
    return spans


def page_borders(length: int, offset: int) -> Sequence[int]:
    """0, the borders of pages of the stream within ``length`` bytes that begin at ``offset``, and ``length``."""
    return [0, *range(PAGE - offset % PAGE, length, PAGE), length] if length else []


def changed_spans(data: bytes, old: bytes, offset: int) -> Sequence[tuple[int, int]]:
    """The page-aligned spans in which ``data`` differs from ``old`` (both begin at ``offset`` of their streams)."""
    spans: list[tuple[int, int]] = []
    if data == old:
        return spans
    for at, stop in pairwise(page_borders(len(data), offset)):
        if data[at:stop] != old[at:stop]:
            if spans and spans[-1][1] == at:
                spans[-1] = (spans[-1][0], stop)
            else:
                spans.append((at, stop))
    return spans

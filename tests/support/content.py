# SPDX-License-Identifier: Apache-2.0
"""What must a disk hold? A plain model in memory: cheap to write, copy and compare, also for large sparse disks."""

from collections.abc import Iterator

CLUSTER = 65536


class Content:
    """The bytes of a disk. Zeroes take no room; a copy shares what did not change."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._clusters: dict[int, bytes] = {}  # never holds a cluster of zeroes

    def copy(self) -> "Content":
        twin = Content(self.size)
        twin._clusters = dict(self._clusters)
        return twin

    def put(self, offset: int, data: bytes) -> None:
        assert offset + len(data) <= self.size
        at = 0
        for index, start, stop in _parts(offset, len(data)):
            old = self._clusters.get(index, bytes(CLUSTER))
            self._keep(index, old[:start] + data[at : at + stop - start] + old[stop:])
            at += stop - start

    def zero(self, offset: int, length: int) -> None:
        for index in self._known(offset, length):
            start, stop = _inside(index, offset, length)
            old = self._clusters[index]
            self._keep(index, old[:start] + bytes(stop - start) + old[stop:])

    def take(self, other: "Content", offset: int, length: int) -> None:
        """Make a range as it is in ``other``; behind the end of ``other`` there are zeroes."""
        self.zero(offset, length)
        for index in other._known(offset, length):
            start, stop = _inside(index, offset, length)
            self.put(index * CLUSTER + start, other._clusters[index][start:stop])

    def clusters_unlike(self, other: "Content") -> set[int]:
        """The numbers of the clusters that differ. The sizes are equal."""
        assert self.size == other.size
        both = self._clusters.keys() | other._clusters.keys()
        return {index for index in both if self._clusters.get(index) != other._clusters.get(index)}

    def first_difference(self, other: "Content") -> str | None:
        """Where two disks differ, in words; None where they are equal."""
        if self.size != other.size:
            return f"size {self.size} against {other.size}"
        for index in sorted(self._clusters.keys() | other._clusters.keys()):
            mine, theirs = (side._clusters.get(index, bytes(CLUSTER)) for side in (self, other))
            if mine != theirs:
                places = [at for at in range(CLUSTER) if mine[at] != theirs[at]]
                at = places[0]
                return (
                    f"{len(places)} bytes of cluster {index * CLUSTER:#x}, first at {index * CLUSTER + at:#x}: "
                    f"{mine[at]:#04x} against {theirs[at]:#04x}"
                )
        return None

    def _keep(self, index: int, data: bytes) -> None:
        if data.count(0) == CLUSTER:
            self._clusters.pop(index, None)
        else:
            self._clusters[index] = data

    def _known(self, offset: int, length: int) -> list[int]:
        if length <= 0:
            return []
        first, last = offset // CLUSTER, (offset + length - 1) // CLUSTER
        if last - first < len(self._clusters):
            return [index for index in range(first, last + 1) if index in self._clusters]
        return [index for index in self._clusters if first <= index <= last]


def _parts(offset: int, length: int) -> Iterator[tuple[int, int, int]]:
    """(cluster, start in it, stop in it) of every cluster that a range touches."""
    while length > 0:
        index, start = divmod(offset, CLUSTER)
        stop = min(CLUSTER, start + length)
        yield index, start, stop
        offset, length = offset + stop - start, length - (stop - start)


def _inside(index: int, offset: int, length: int) -> tuple[int, int]:
    """The part of a cluster that lies in a range."""
    return max(0, offset - index * CLUSTER), min(CLUSTER, offset + length - index * CLUSTER)

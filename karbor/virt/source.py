# SPDX-License-Identifier: Apache-2.0
"""How does an NBD export become a Source: extents of data, zeroes and what is as before, and their bytes?"""

import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Self

from karbor.model import errors
from karbor.sdk.streams import Extent, Kind
from karbor.virt import nbd

#: How far ahead the allocation is asked for around a dirty range. A metadata read of QEMU covers 512 MiB of a disk, so
#: more would cost reads that follow the size of the disk; less would cost a round trip per dirty range.
_WINDOW = 256 << 20


class NbdSource:
    """One export as a Source (sdk), safe to use from several threads.

    With ``bitmap`` (its export name) what is not dirty is SAME; with ``own_layer`` what the top image of a chain does
    not hold itself is SAME. ``extents`` looks at the export anew each time: the bytes are the same, but a range that is
    ZERO at first may be DATA that reads as zeroes later, when the guest has written there meanwhile.
    Raises CaptureLost where the export goes away or lacks the bitmap.
    """

    def __init__(
        self,
        socket_path: str,
        export: str,
        *,
        bitmap: str | None = None,
        own_layer: bool = False,
        connections: int = 2,
        timeout: float = 60,
    ) -> None:
        self._place = (socket_path, export)
        self._timeout = timeout
        self._change: tuple[str, int, int] | None = None  # context, mask, value that means "changed"
        if bitmap is not None:
            self._change = (nbd.dirty_bitmap(bitmap), nbd.DIRTY_BIT, nbd.DIRTY_BIT)
        elif own_layer:
            self._change = (nbd.ALLOCATION_DEPTH, 0xFFFFFFFF, 1)
        self._lock = threading.Lock()
        self._open: set[nbd.NbdConnection] | None = set()  # None once closed; guarded by _lock
        self._idle: queue.LifoQueue[nbd.NbdConnection | None] = queue.LifoQueue()
        first = self._connect(*((self._change[0],) if self._change else ()))
        self.size = first.size
        if self._change and self._change[0] not in first.contexts:
            self.close()
            raise errors.CaptureLost(detail=f"the export {export} does not offer {self._change[0]}")
        for _ in range(connections - 1):
            self._idle.put(None)
        self._idle.put(first)

    def extents(self) -> Iterator[Extent]:
        """See sdk.streams.Source. Nothing is kept in memory but a window of the map."""
        return _merged(self._changed_extents(*self._change) if self._change else self._all_extents())

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes. Waits while all connections are in use."""
        data = bytearray(length)
        self.read_into(offset, memoryview(data))
        return bytes(data)

    def read_into(self, offset: int, into: memoryview) -> None:
        """The same into memory of the caller."""
        try:
            connection = self._idle.get(timeout=self._timeout)
        except queue.Empty:
            raise errors.CaptureLost(detail="all NBD connections were busy for too long") from None
        try:
            connection = connection or self._connect()
            connection.read_into(offset, into)
        except errors.CaptureLost:
            if connection:
                self._forget(connection)
            connection = None
            raise
        finally:
            self._idle.put(connection)

    def close(self) -> None:
        """Close all connections; a read that waits ends with CaptureLost. May be called again."""
        with self._lock:
            found, self._open = self._open or set(), None
        for connection in found:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self, *contexts: str) -> nbd.NbdConnection:
        connection = nbd.NbdConnection(*self._place, contexts=contexts, timeout=self._timeout)
        with self._lock:
            if self._open is not None:
                self._open.add(connection)
                return connection
        connection.close()
        raise errors.CaptureLost(detail="the source is closed")

    def _forget(self, connection: nbd.NbdConnection) -> None:
        with self._lock:
            if self._open is not None:
                self._open.discard(connection)
        connection.close()

    @contextmanager
    def _map(self, context: str) -> Iterator[nbd.NbdConnection]:
        """A connection with one context only: the server computes all that were negotiated for every answer."""
        connection = self._connect(context)
        try:
            yield connection
        finally:
            self._forget(connection)

    def _all_extents(self) -> Iterator[Extent]:
        with self._map(nbd.BASE_ALLOCATION) as connection:
            if nbd.BASE_ALLOCATION not in connection.contexts:
                yield Extent(0, self.size, Kind.DATA)  # a server that cannot say where holes are
                return
            for offset, length, flags in connection.block_status(nbd.BASE_ALLOCATION, 0, self.size):
                yield Extent(offset, length, _kind(flags))

    def _changed_extents(self, context: str, mask: int, value: int) -> Iterator[Extent]:
        with self._map(context) as changes, self._map(nbd.BASE_ALLOCATION) as allocation:
            holes = _Allocation(allocation)
            for offset, length, flags in changes.block_status(context, 0, self.size):
                if flags & mask == value:
                    yield from holes.within(offset, offset + length)
                else:
                    yield Extent(offset, length, Kind.SAME)


class _Allocation:
    """Which parts of a range are zero, asked for in ascending order, a window at a time."""

    def __init__(self, connection: nbd.NbdConnection) -> None:
        self._connection = connection
        self._known: deque[tuple[int, int, int]] = deque()

    def within(self, offset: int, end: int) -> Iterator[Extent]:
        while offset < end:
            while self._known and self._known[0][0] + self._known[0][1] <= offset:
                self._known.popleft()
            if not self._known:
                length = min(_WINDOW, self._connection.size - offset)
                self._known.extend(self._connection.block_status(nbd.BASE_ALLOCATION, offset, length))
            start, length, flags = self._known[0]
            stop = min(start + length, end)
            yield Extent(offset, stop - offset, _kind(flags))
            offset = stop


def _kind(flags: int) -> Kind:
    return Kind.ZERO if flags & nbd.ZERO_BIT else Kind.DATA


def _merged(extents: Iterable[Extent]) -> Iterator[Extent]:
    """Join neighbours of one kind."""
    last: Extent | None = None
    for extent in extents:
        if last and last.kind is extent.kind:
            last = Extent(last.offset, last.length + extent.length, last.kind)
            continue
        if last:
            yield last
        last = extent
    if last:
        yield last

# SPDX-License-Identifier: Apache-2.0
"""Where does what is read from a bank lie, so that several restores at once need no more memory than one?

Fresh memory costs more than reading into it, so it is used again; and each restore would keep its own.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_TICK = 1.0  # seconds between two questions whether the work is still wanted


class Share:
    """One user of rooms who may always have one piece, whatever the others do."""

    def __init__(self) -> None:
        self.used = False  # guarded by the rooms that lend it


class Rooms:
    """Lends at most ``count`` pieces of memory of ``size`` bytes each at the same time, and one more to each Share.
    Thread-safe.

    What comes back is kept for the next one, until none is lent any more.
    """

    def __init__(self, count: int, size: int) -> None:
        self._free = count
        self._back = threading.Condition()  # guards _free and Share.used; told when a piece came back
        self._size = size
        self._lock = threading.Lock()  # guards what follows
        self._kept: list[memoryview] = []
        self._lent = 0

    @contextmanager
    def lend(self, check: Callable[[], None], share: Share | None = None) -> Iterator[memoryview]:
        """A piece; its content is whatever was there. Waits where all are lent, and calls ``check`` meanwhile, which
        may raise. Who asks for a second one while it has one may wait for ever."""
        own = self._take(check, share)
        try:
            with self._lock:
                self._lent += 1
                room = self._kept.pop() if self._kept else None
            if room is None:
                room = memoryview(bytearray(self._size))
            try:
                yield room
            finally:
                with self._lock:
                    self._lent -= 1
                    self._kept.append(room)
                    if not self._lent:
                        self._kept.clear()
        finally:
            with self._back:
                if own is not None:
                    own.used = False
                else:
                    self._free += 1
                self._back.notify_all()

    def _take(self, check: Callable[[], None], share: Share | None) -> Share | None:
        """Wait for the right to have a piece: that of the share, which is returned, or one of those for all."""
        while True:
            with self._back:
                if share is not None and not share.used:
                    share.used = True
                    return share
                if self._free:
                    self._free -= 1
                    return None
                self._back.wait(_TICK)
            check()

    @property
    def kept(self) -> int:
        """Bytes that wait for the next one."""
        with self._lock:
            return len(self._kept) * self._size

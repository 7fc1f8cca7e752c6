# SPDX-License-Identifier: Apache-2.0
"""Which step comes next where there are more than threads?

Reading and writing disks takes hours, and only so many may do it at a time. A guest that is held still must not wait
for that: the steps that hold guests, and those that take what they hold still for, have threads of their own, and of
these steps the latter come first. So no more guests are frozen at a time than are soon let go.
"""

import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

#: Phases with threads of their own, the most urgent first.
URGENT = ("prepare_finish", "prepare_begin")


class Lanes(Executor):
    """``threads`` for long steps in order, and ``urgent`` more for urgent ones by their phase. The phase is that of the
    first argument of what is submitted, where it has a ``phase``."""

    def __init__(self, threads: int, urgent: int) -> None:
        self._long = ThreadPoolExecutor(threads, thread_name_prefix="step")
        self._quick = ThreadPoolExecutor(urgent, thread_name_prefix="urgent-step")
        self._serial = itertools.count()
        self._guard = threading.Lock()
        self._waiting: list[tuple[int, int, Future[Any], Callable[[], Any]]] = []  # a heap; guarded by _guard

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        phase = getattr(args[0], "phase", "") if args else ""
        if phase not in URGENT:
            return self._long.submit(fn, *args, **kwargs)
        future: Future[Any] = Future()
        entry = (URGENT.index(phase), next(self._serial), future, lambda: fn(*args, **kwargs))
        with self._guard:
            heapq.heappush(self._waiting, entry)
        self._quick.submit(self._next)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as declared
        if cancel_futures:
            with self._guard:
                for _rank, _serial, future, _call in self._waiting:
                    future.cancel()
        for pool in (self._quick, self._long):
            pool.shutdown(wait, cancel_futures=cancel_futures)

    def _next(self) -> None:
        """Once for each that waits: the most urgent of them."""
        with self._guard:
            _rank, _serial, future, call = heapq.heappop(self._waiting)
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(call())
        except BaseException as fault:  # noqa: BLE001 - as every executor does
            future.set_exception(fault)

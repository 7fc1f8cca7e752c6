# SPDX-License-Identifier: Apache-2.0
"""How much may one client ask of a process, so that something is left for the others?

Counted in each process by itself: several processes behind a load balancer together allow more.
"""

import math
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from karbor.common.clock import Clock
from karbor.model import errors

#: Clients that are remembered; the ones not heard of for longest are forgotten first.
REMEMBERED = 10_000
_EPSILON = 1e-6  # what fractions lose


class Rate:
    """A token bucket for each key: ``per_minute`` calls in a minute, as many at once. 0 means no bound.

    ``_lock`` guards the buckets: key -> (tokens left, when that was counted).
    """

    def __init__(self, per_minute: int, *, clock: Clock, what: str) -> None:
        self._size = float(per_minute)
        self._clock = clock
        self._what = what
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> None:
        """Count one call. Raises TooMany where none is left."""
        self._count(key, 1.0)

    def check(self, key: str) -> None:
        """Raise TooMany where no call is left; counts nothing."""
        self._count(key, 0.0)

    def _count(self, key: str, price: float) -> None:
        if not self._size:
            return
        with self._lock:
            now = self._clock.monotonic()
            left, since = self._buckets.get(key, (self._size, now))
            left = min(self._size, left + (now - since) * self._size / 60)
            if left < 1 - _EPSILON:
                wait = max(1, math.ceil((1 - left) * 60 / self._size - _EPSILON))
                raise errors.TooMany(f"There are too many {self._what}. Try again in {wait} s.", retry_after=wait)
            if price:
                self._buckets[key] = (left - price, now)
                self._buckets.move_to_end(key)
            while len(self._buckets) > REMEMBERED:
                self._buckets.popitem(last=False)


class Concurrency:
    """At most ``bound`` things at the same time for each key; 0 means no bound. ``_lock`` guards the numbers."""

    def __init__(self, bound: int, *, what: str) -> None:
        self._bound = bound
        self._what = what
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()

    @contextmanager
    def hold(self, key: str) -> Iterator[None]:
        """Be one of them while the block runs. Raises TooMany where there are enough already."""
        with self._lock:
            if self._bound and self._held[key] >= self._bound:
                raise errors.TooMany(f"There are too many {self._what} at the same time. Try again in 1 s.")
            self._held[key] += 1
        try:
            yield
        finally:
            with self._lock:
                self._held[key] -= 1
                if not self._held[key]:
                    del self._held[key]

# SPDX-License-Identifier: Apache-2.0
"""What time is it, for the question whether a lock has ended? The earliest of the clocks that can be asked.

A clock that is fast would end a lock early, one that is slow only late. So a lock has ended when all of them say so:
the clock of the host, the same clock as it was when this process began and what has passed since by a clock that nobody
can set, and the bank's own where it has one.
"""

import threading
from datetime import datetime, timedelta

from karbor.common.clock import Clock
from karbor.sdk.bank import Bank

_FRESH = 60.0  # seconds for which an answer of the bank is carried on


class LockTime:
    """One for a vault. Thread-safe."""

    def __init__(self, bank: Bank, clock: Clock) -> None:
        self._bank, self._clock = bank, clock
        self._start = clock.now(), clock.monotonic()
        self._asked: tuple[datetime | None, float] | None = None
        self._lock = threading.Lock()  # guards _asked

    def now(self) -> datetime:
        """The earliest of all. Raises BankUnavailable."""
        return min(self.here(), self._of_bank() or self.here())

    def here(self) -> datetime:
        """The earlier of the clocks of this host; asks nobody."""
        begun, steady = self._start
        return min(self._clock.now(), begun + timedelta(seconds=self._clock.monotonic() - steady))

    def _of_bank(self) -> datetime | None:
        with self._lock:
            steady = self._clock.monotonic()
            if self._asked is None or not 0 <= steady - self._asked[1] < _FRESH:
                self._asked = self._bank.now(), steady
            told, when = self._asked
        return None if told is None else told + timedelta(seconds=steady - when)

# SPDX-License-Identifier: Apache-2.0
"""How does maintenance leave room in the bank for backups?"""

from collections.abc import Callable

from karbor.common.clock import Clock


class Pace:
    """Waits so that bytes and requests per second stay below their bounds (None: unbounded).

    ``pause`` waits that many seconds, or raises Cancelled to end the work; it is called with 0 where there is nothing
    to wait for.
    """

    _BURST = 1.0  # seconds that may be used up at once

    def __init__(
        self, clock: Clock, pause: Callable[[float], None], *, bytes_per_second: int | None, requests: int | None
    ) -> None:
        self._clock = clock
        self._pause = pause
        self._price = (1 / bytes_per_second if bytes_per_second else 0.0, 1 / requests if requests else 0.0)
        self._paid = clock.monotonic()

    def spend(self, nbytes: int = 0, requests: int = 1) -> None:
        """So much is about to be asked of the bank, or was just asked."""
        now = self._clock.monotonic()
        self._paid = max(self._paid, now - self._BURST) + max(nbytes * self._price[0], requests * self._price[1])
        self._pause(max(0.0, self._paid - now))

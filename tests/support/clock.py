# SPDX-License-Identifier: Apache-2.0
"""What time is it in a test? Whatever the test says."""

from datetime import UTC, datetime, timedelta

from karbor.common.clock import Clock


class TwinClock(Clock):
    """A clock that stands still until ``pass_time``."""

    def __init__(self, start=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)):
        self._start = start
        self._passed = 0.0

    def pass_time(self, seconds):
        self._passed += seconds

    def now(self):
        return self._start + timedelta(seconds=self._passed)

    def milliseconds(self):
        return int(self.now().timestamp() * 1000)

    def monotonic(self):
        return self._passed

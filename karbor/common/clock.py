# SPDX-License-Identifier: Apache-2.0
"""What time is it? The only place that reads a clock, so that every rule about time can be tested."""

import time
from datetime import UTC, datetime


class Clock:
    """The system's clock. Tests hand in a twin with the same methods."""

    def now(self) -> datetime:
        """Now in UTC, with microseconds."""
        return datetime.now(UTC)

    def milliseconds(self) -> int:
        """Now as whole milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that never go back, for deadlines and durations."""
        return time.monotonic()


def iso(moment: datetime) -> str:
    """``YYYY-MM-DDTHH:MM:SS.ffffff`` in UTC, the form of the API."""
    if moment.tzinfo is not None and moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00")

# SPDX-License-Identifier: Apache-2.0
"""What must a notation of time promise, so that a schedule can be written in it?

Conditions that every time format keeps:

- A pattern is either refused with a clear text, or every question about it is answered in bounded time. A tenant's
  worst pattern costs the service less than about a second.
- The fires are points of time in UTC: ascending, none twice, whole seconds. The same pattern, start and zone give the
  same fires, whenever and by whomever they are asked for.
- A wall-clock time that the clocks of the zone skip is run at the moment they jump; one that they show twice is run the
  first time. A pattern by the hour follows the real hours instead: one that is skipped has no run, one that comes twice
  has two. So no night is left out because of daylight saving time, and none has two runs.

``karbor.operationengine.engine.timetrigger.time_format`` is the group of the entry points; the entry's name is the
``format`` that triggers give.
"""

import heapq
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo

#: A fire that lies farther ahead than this is not looked for.
HORIZON = timedelta(days=3653)
#: No fire is later, and no schedule begins before the first of these.
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2099, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


class TimeFormat(ABC):
    """One pattern that was found good. Immutable; may be used by many threads, and asked any number of times."""

    @abstractmethod
    def __init__(self, pattern: str, *, start: datetime, zone: tzinfo) -> None:
        """``start`` (UTC, whole seconds) is the first moment that may be a fire; ``zone`` is what the pattern is in.

        ``pattern`` has at most 4096 characters. Raises InvalidInput where it cannot be understood, or would cost too
        much.
        """

    @abstractmethod
    def fires(self, after: datetime) -> Iterator[datetime]:
        """The fires behind ``after`` (UTC) and not before the start; ends at ``limit`` at the latest."""


def limit(after: datetime, start: datetime) -> datetime:
    """The moment up to which fires are looked for: far enough for February 29, near enough to be quick."""
    return min(max(after, start) + HORIZON, LATEST)


def moments(walls: Iterable[datetime], zone: tzinfo, *, hourly: bool = False) -> Iterator[datetime]:
    """The points of time (UTC) at which the clocks of ``zone`` show the wall-clock times: ascending, each once.

    ``walls`` are ascending datetimes without a zone. ``hourly`` says that they follow the real hours.
    """
    waiting: list[datetime] = []  # the second of two equal wall-clock times, until it is its turn
    last = None
    for wall in walls:
        first, second = _readings(wall, zone)
        if first > second:  # skipped
            if hourly:
                continue
            first = second = jump(second, first, zone)
        if hourly and second != first:
            heapq.heappush(waiting, second)
        while waiting and waiting[0] < first:
            last = heapq.heappop(waiting)
            yield last
        if last is None or first > last:
            last = first
            yield first
    yield from (heapq.heappop(waiting) for _ in range(len(waiting)))


def _readings(wall: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """The moment by the offset before and by the offset after a change of the clocks: equal on ordinary days,
    the second earlier where the time is skipped, and later where it comes twice."""
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    return first, wall.replace(tzinfo=zone, fold=1).astimezone(UTC)


def jump(before: datetime, behind: datetime, zone: tzinfo) -> datetime:
    """The moment between two (in UTC) at which the offset of ``zone`` changes."""
    old = before.astimezone(zone).utcoffset()
    while behind - before > _SECOND:
        middle = before + timedelta(seconds=(behind - before) // _SECOND // 2)
        if middle.astimezone(zone).utcoffset() == old:
            before = middle
        else:
            behind = middle
    return behind

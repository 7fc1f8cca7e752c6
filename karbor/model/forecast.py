# SPDX-License-Identifier: Apache-2.0
"""What will be kept, if all goes well: every planned time makes a good checkpoint, and the policy is applied to them?

The engine applies the policy after each new checkpoint; here that is done once for each month. The outcome is the same:
what may go at one moment may go at every later one, and what the policy keeps does not depend on what has gone.
"""

import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

from karbor.model.retention import GOOD, LEVELS, Point, Policy, choose


@dataclass(frozen=True)
class Month:
    """``name`` is ``YYYY-MM`` in the zone of the policy; ``made`` and ``removed`` in it, ``kept`` at its end."""

    name: str
    made: int
    removed: int
    kept: int


@dataclass(frozen=True)
class Forecast:
    """``kept``: what is there at the end, the newest first; those that do not exist yet have the id of NEW."""

    months: tuple[Month, ...]
    kept: tuple[Point, ...]

    @property
    def made(self) -> int:
        return sum(month.made for month in self.months)

    @property
    def removed(self) -> int:
        return sum(month.removed for month in self.months)


#: Begins the ids of what does not exist yet.
NEW = "planned:"


def forecast(
    history: Iterable[Point],
    policy: Policy,
    fires: Iterable[datetime],
    *,
    verified: Mapping[datetime, str] | None = None,
    locked: timedelta = timedelta(0),
) -> Forecast:
    """What becomes of ``history`` and of a checkpoint for each of ``fires`` (ascending).

    ``verified``: when the newest good checkpoint will be verified, and how deep. ``locked``: for how long each new one
    will be locked. Costs a few microseconds for each fire, and the sorting of what is there for each month.
    """
    points = sorted(history, key=lambda point: (point.at, point.id))
    checks = sorted((verified or {}).items())
    months: list[Month] = []
    for name, times in groupby(fires, key=lambda at: at.astimezone(policy.zone).strftime("%Y-%m")):
        new = [Point(f"{NEW}{at.isoformat()}", at, GOOD, locked_until=at + locked) for at in times]
        points += new
        now = new[-1].at
        passed = bisect.bisect_right(checks, now, key=lambda check: check[0])
        points, checks = _verify(points, checks[:passed]), checks[passed:]
        _stay, going = choose(points, policy, now)
        gone = set(going)
        points = [point for point in points if point.id not in gone]
        months.append(Month(name, len(new), len(gone), len(points)))
    return Forecast(tuple(months), tuple(reversed(points)))


def _verify(points: Sequence[Point], checks: Sequence[tuple[datetime, str]]) -> list[Point]:
    """The points (ascending), of which at each time the newest good one was verified so deep."""
    found = list(points)
    places = [place for place, point in enumerate(found) if point.status == GOOD and not point.copy]
    for at, level in checks:
        behind = bisect.bisect_right(places, at, key=lambda place: found[place].at)
        if behind:
            place = places[behind - 1]
            known = found[place].verified_level
            if known not in LEVELS or LEVELS.index(known) < LEVELS.index(level):
                found[place] = replace(found[place], verified_level=level)
    return found

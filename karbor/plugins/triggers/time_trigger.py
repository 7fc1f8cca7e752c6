# SPDX-License-Identifier: Apache-2.0
"""When does a trigger of type ``time`` start what hangs on it?"""

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from karbor.common import loading
from karbor.model import errors
from karbor.plugins.triggers.blackouts import Blackouts, normal
from karbor.sdk.moments import moment, zone_named
from karbor.sdk.timeformat import TimeFormat
from karbor.sdk.trigger import Fire, Limits, Properties, TriggerType, whole_seconds

FORMATS = "karbor.operationengine.engine.timetrigger.time_format"
#: So many fires are looked at for the shortest time between two of them.
COMPARED = 1000
#: After so many blackouts in a row without an open moment between them a trigger is taken to have none.
MAX_CLOSED = 5000
_KNOWN = (
    *("format", "pattern", "start_time", "end_time", "window", "timezone"),
    *("jitter", "blackouts"),
)
_NEVER = "This trigger would never run: there is no time for it from now on."
_CLOSED = "This trigger would never run: its blackouts leave no time."
_MICROSECOND, _SECOND, _HOUR = timedelta(microseconds=1), timedelta(seconds=1), timedelta(hours=1)


@dataclass(frozen=True)
class _Schedule:
    """The parsed properties."""

    format: str
    pattern: str
    start: datetime
    end: datetime | None
    zone: tzinfo
    jitter: timedelta = timedelta()
    blackouts: Blackouts = field(default_factory=lambda: Blackouts((), UTC))


class TimeTrigger(TriggerType):
    """A pattern in one of the installed time formats, between a start and an end, in a time zone.

    ``start_time`` and ``end_time`` are UTC. Without a start, the trigger begins when it was made. ``jitter`` moves all
    times of a trigger by the same number of seconds, which follows from its id: so that a thousand nightly triggers do
    not begin in one second, and each still keeps its distance from one night to the next. It never moves a time behind
    the end or into a blackout. Nothing begins in ``blackouts``, not even late.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._formats: dict[str, type[TimeFormat]] = loading.plugin_classes(FORMATS)

    def accept(self, given: Properties, *, stored: Properties, created_at: datetime, now: datetime) -> dict[str, Any]:
        kept = self.merged(given, stored, _KNOWN)
        for name in ("start_time", "end_time"):
            if name in kept:
                kept[name] = moment(name, kept[name]).strftime("%Y-%m-%d %H:%M:%S")
        if "jitter" in kept:
            kept["jitter"] = whole_seconds("jitter", kept["jitter"], 0, self.limits.max_window)
        if "blackouts" in kept:
            kept["blackouts"] = normal(kept["blackouts"])
        schedule = self._schedule(kept, created_at)
        self._check_interval(schedule)
        if next(self._planned(schedule, now), None) is None:
            raise errors.InvalidInput(_NEVER)
        if all(fire.left_out for fire in self._plan(schedule, now, seed="")):
            raise errors.InvalidInput(_CLOSED)
        return kept

    def plan(self, properties: Properties, *, created_at: datetime, after: datetime, seed: str) -> Iterator[Fire]:
        return self._plan(self._schedule(properties, created_at), after, seed=seed)

    def until(self, properties: Properties, fire: datetime) -> datetime:
        longest = timedelta(seconds=self.window(properties))
        return fire + _blackouts(properties).open_for(fire, longest)

    def _schedule(self, properties: Properties, created_at: datetime) -> _Schedule:
        format_, pattern = properties.get("format"), properties.get("pattern")
        if format_ not in self._formats:
            raise errors.InvalidInput(f"format must be one of {', '.join(sorted(self._formats))}.")
        if not isinstance(pattern, str) or not pattern.strip():
            raise errors.InvalidInput("pattern is required.")
        start = moment("start_time", properties["start_time"]) if "start_time" in properties else None
        end = moment("end_time", properties["end_time"]) if "end_time" in properties else None
        start = start or created_at.astimezone(UTC).replace(microsecond=0)
        if end is not None and end <= start:
            raise errors.InvalidInput("end_time must be later than start_time.")
        zone = zone_named(properties.get("timezone", "UTC"))
        jitter = timedelta(seconds=properties.get("jitter", 0))
        return _Schedule(format_, pattern, start, end, zone, jitter, _blackouts(properties))

    def _planned(self, schedule: _Schedule, after: datetime) -> Iterator[datetime]:
        """What the pattern says."""
        parsed = self._formats[schedule.format](schedule.pattern, start=schedule.start, zone=schedule.zone)
        return itertools.takewhile(lambda fire: schedule.end is None or fire <= schedule.end, parsed.fires(after))

    def _plan(self, schedule: _Schedule, after: datetime, *, seed: str) -> Iterator[Fire]:
        offset = _offset(schedule.jitter, seed)
        found = self._planned(schedule, after - schedule.jitter)
        last, closed = after, 0
        while (planned := next(found, None)) is not None and closed < MAX_CLOSED:
            until = schedule.blackouts.closed_until(planned)
            if until is None:
                at = planned + _room(schedule, planned, offset)
                if at > last:  # two that were moved to the end of the same gap are one
                    last, closed = at, 0
                    yield Fire(at, planned)
                continue
            closed += 1
            if planned > after:
                yield Fire(planned, planned, left_out=True)
            if until - planned > _HOUR:  # the pattern's times up to there need not be found one by one
                found = self._planned(schedule, until - _MICROSECOND)

    def _check_interval(self, schedule: _Schedule) -> None:
        """Raise InvalidInput where two runs come too close. Changes of the clocks are left out: they are no choice
        of the user, and the day on which a trigger is made must not decide whether it is good."""
        steady = self._formats[schedule.format](schedule.pattern, start=schedule.start, zone=UTC)
        shortest = timedelta(seconds=self.limits.min_interval)
        fires = itertools.islice(steady.fires(schedule.start - _MICROSECOND), COMPARED)
        if (first := next(fires, None)) is None:
            raise errors.InvalidInput(_NEVER)
        for one, other in itertools.pairwise(itertools.chain([first], fires)):
            if schedule.end is not None and other > schedule.end:
                return
            if other - one < shortest:
                raise errors.InvalidInput(
                    f"Two runs would be only {(other - one) // timedelta(seconds=1)} seconds apart; "
                    f"the shortest interval allowed is {self.limits.min_interval} seconds."
                )


def _blackouts(properties: Properties) -> Blackouts:
    return Blackouts(properties.get("blackouts", ()), zone_named(properties.get("timezone", "UTC")))


def _offset(jitter: timedelta, seed: str) -> timedelta:
    """Which part of the jitter is this trigger's."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8])
    return timedelta(seconds=number % (jitter // _SECOND + 1))


def _room(schedule: _Schedule, planned: datetime, offset: timedelta) -> timedelta:
    """By how much a time may be moved: not behind the end of the trigger, and not into a blackout."""
    room = offset if schedule.end is None else min(offset, schedule.end - planned)
    return schedule.blackouts.open_for(planned, room) if room else room

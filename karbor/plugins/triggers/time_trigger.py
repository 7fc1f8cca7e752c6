# SPDX-License-Identifier: Apache-2.0
"""When does a trigger of type ``time`` start what hangs on it?"""

import functools
import itertools
import re
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from karbor.common import loading
from karbor.model import errors
from karbor.sdk.timeformat import EARLIEST, LATEST, TimeFormat
from karbor.sdk.trigger import Limits, Properties, TriggerType

FORMATS = "karbor.operationengine.engine.timetrigger.time_format"
#: So many fires are looked at for the shortest time between two of them.
COMPARED = 1000
_KNOWN = ("format", "pattern", "start_time", "end_time", "window", "timezone")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.0{1,6})?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_DIGITS = re.compile(r"[+-]?[0-9]{1,9}", re.ASCII)
_NEVER = "This trigger would never run: there is no time for it from now on."
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class _Schedule:
    """The parsed properties."""

    format: str
    pattern: str
    start: datetime
    end: datetime | None
    zone: tzinfo


class TimeTrigger(TriggerType):
    """A pattern in one of the installed time formats, between a start and an end, in a time zone.

    ``start_time`` and ``end_time`` are UTC. Without a start, the trigger begins when it was made.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._formats: dict[str, type[TimeFormat]] = loading.plugin_classes(FORMATS)

    def accept(self, given: Properties, *, stored: Properties, created_at: datetime, now: datetime) -> dict[str, Any]:
        kept = {name: value for name, value in {**stored, **given}.items() if value is not None}
        if strange := sorted(kept.keys() - set(_KNOWN)):
            raise errors.InvalidInput(
                f"The property {strange[0][:40]!r} is not known. Known properties: {', '.join(_KNOWN)}."
            )
        for name in ("start_time", "end_time"):
            if name in kept:
                kept[name] = _moment(name, kept[name]).strftime("%Y-%m-%d %H:%M:%S")
        if "window" in kept:
            kept["window"] = self._window(kept["window"])
        schedule = self._schedule(kept, created_at)
        self._check_interval(schedule)
        if next(self._fires(schedule, now), None) is None:
            raise errors.InvalidInput(_NEVER)
        return kept

    def fires(self, properties: Properties, *, created_at: datetime, after: datetime) -> Iterator[datetime]:
        return self._fires(self._schedule(properties, created_at), after)

    def window(self, properties: Properties) -> int:
        return int(properties.get("window", self.limits.min_window))

    def _schedule(self, properties: Properties, created_at: datetime) -> _Schedule:
        format_, pattern = properties.get("format"), properties.get("pattern")
        if format_ not in self._formats:
            raise errors.InvalidInput(f"format must be one of {', '.join(sorted(self._formats))}.")
        if not isinstance(pattern, str) or not pattern.strip():
            raise errors.InvalidInput("pattern is required.")
        start = _moment("start_time", properties["start_time"]) if "start_time" in properties else None
        end = _moment("end_time", properties["end_time"]) if "end_time" in properties else None
        start = start or created_at.astimezone(UTC).replace(microsecond=0)
        if end is not None and end <= start:
            raise errors.InvalidInput("end_time must be later than start_time.")
        return _Schedule(format_, pattern, start, end, _zone(properties.get("timezone", "UTC")))

    def _window(self, value: object) -> int:
        if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise errors.InvalidInput("window must be a whole number of seconds.")
        if not self.limits.min_window <= value <= self.limits.max_window:
            raise errors.InvalidInput(
                f"window must be between {self.limits.min_window} and {self.limits.max_window} seconds."
            )
        return value

    def _fires(self, schedule: _Schedule, after: datetime) -> Iterator[datetime]:
        parsed = self._formats[schedule.format](schedule.pattern, start=schedule.start, zone=schedule.zone)
        return itertools.takewhile(lambda fire: schedule.end is None or fire <= schedule.end, parsed.fires(after))

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


def _moment(name: str, value: object) -> datetime:
    """A moment of the API; UTC where it has no offset."""
    text = value.strip() if isinstance(value, str) else ""
    if match := _MOMENT.fullmatch(text):
        day, clock, _fraction, offset = match.groups()
        try:
            moment = datetime.fromisoformat(f"{day}T{clock}{offset or 'Z'}").astimezone(UTC)
        except (ValueError, OverflowError):
            moment = None
        if moment is not None and EARLIEST <= moment < LATEST:
            return moment
    raise errors.InvalidInput(
        f"{name} must be a time as in 2026-01-02 03:04:05 (UTC), from {EARLIEST.year} to {LATEST.year - 1}."
    )


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _zone(name: object) -> tzinfo:
    if name == "UTC":
        return UTC
    if not isinstance(name, str) or name not in _zones():
        raise errors.InvalidInput("timezone must be a name such as Europe/Berlin or UTC.")
    return zoneinfo.ZoneInfo(name)

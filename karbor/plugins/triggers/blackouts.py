# SPDX-License-Identifier: Apache-2.0
"""When is a trigger closed, by the clocks of its zone?

What the clocks show decides, at every moment: an hour that they show twice is closed both times, one that they skip is
closed by nobody.
"""

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from karbor.model import errors

MAX_WINDOWS = 20
MAX_DAYS = 31
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_WEEKLY = re.compile(r"(?:([A-Z ,-]*[A-Z]) +)?(\d\d):(\d\d) *- *(\d\d):(\d\d)", re.ASCII)
_DATED = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d))?(?: */ *(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d))?)?", re.ASCII)
_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)
_FORMS = (
    "blackouts must be texts such as 'MO-FR 08:00-18:00', '22:00-06:00', '2026-12-24' or "
    "'2026-12-24 12:00/2026-12-27 00:00'"
)


@dataclass(frozen=True)
class _Weekly:
    """On these days of the week (0: Monday), from one minute of the day to another, which may be on the next day."""

    days: frozenset[int]
    begin: int
    end: int

    def closed_until(self, wall: datetime) -> datetime | None:
        """Where it holds at this wall-clock time: until when."""
        minute, midnight = wall.hour * 60 + wall.minute, datetime.combine(wall.date(), time())
        over = self.end <= self.begin
        if wall.weekday() in self.days and self.begin <= minute and (over or minute < self.end):
            return midnight + timedelta(minutes=self.end) + (_DAY if over else timedelta())
        if over and (wall.weekday() - 1) % 7 in self.days and minute < self.end:
            return midnight + timedelta(minutes=self.end)
        return None


@dataclass(frozen=True)
class _Dated:
    """Once, from one wall-clock time to another."""

    begin: datetime
    end: datetime

    def closed_until(self, wall: datetime) -> datetime | None:
        """As with _Weekly."""
        return self.end if self.begin <= wall < self.end else None


class Blackouts:
    """The windows in which a trigger does not fire. Immutable."""

    def __init__(self, texts: Iterable[str], zone: tzinfo) -> None:
        """Raises InvalidInput."""
        self._windows = [_window(text) for text in texts]
        self._zone = zone

    def __bool__(self) -> bool:
        return bool(self._windows)

    def closed_until(self, at: datetime) -> datetime | None:
        """None where the trigger is open at that moment (UTC); else a moment before which it does not open."""
        wall = at.astimezone(self._zone).replace(tzinfo=None)
        ends = [end for window in self._windows if (end := window.closed_until(wall)) is not None]
        if not ends:
            return None
        # Where the clocks change on the way, the earlier of the two readings: it is asked again then.
        readings = (max(ends).replace(tzinfo=self._zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        return max(min(readings), at.replace(second=0, microsecond=0) + _MINUTE)

    def open_for(self, at: datetime, longest: timedelta) -> timedelta:
        """For how long it stays open from that moment on, at most ``longest``; one second less, to be inside."""
        if not self._windows:
            return longest
        minute = at.replace(second=0, microsecond=0) + _MINUTE
        while minute <= at + longest:
            if self.closed_until(minute) is not None:
                return minute - at - timedelta(seconds=1)
            minute += _MINUTE
        return longest


def normal(value: object) -> list[str]:
    """The texts of a property, as a list or with semicolons between them, in one spelling. Raises InvalidInput."""
    texts = value.split(";") if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise errors.InvalidInput(f"{_FORMS}.")
    found = [" ".join(text.upper().split()) for text in texts if text.strip()]
    if len(found) > MAX_WINDOWS:
        raise errors.InvalidInput(f"There may be at most {MAX_WINDOWS} blackouts.")
    for text in found:
        _window(text)
    return found


@functools.lru_cache(maxsize=4096)
def _window(text: str) -> _Weekly | _Dated:
    if match := _WEEKLY.fullmatch(text):
        days, *numbers = match.groups()
        begin, end = (_minute(text, *numbers[place : place + 2]) for place in (0, 2))
        if begin == 24 * 60:
            raise _wrong(text)
        return _Weekly(_days(text, days), begin, end)
    if match := _DATED.fullmatch(text):
        return _dated(text, *match.groups())
    raise _wrong(text)


def _minute(text: str, hours: str, minutes: str) -> int:
    found = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or found > 24 * 60:
        raise _wrong(text)
    return found


def _days(text: str, given: str | None) -> frozenset[int]:
    found: set[int] = set()
    for part in re.split(r"[ ,]+", given or "MO-SU"):
        first, dash, last = part.partition("-")
        if first not in _DAYS or (dash and last not in _DAYS):
            raise _wrong(text)
        begin, end = _DAYS.index(first), _DAYS.index(last or first)
        found |= {day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)}
    return frozenset(found)


def _dated(text: str, day: str, clock: str | None, last_day: str | None, last_clock: str | None) -> _Dated:
    try:
        begin = datetime.fromisoformat(f"{day} {clock or '00:00'}")
        if last_day is None:
            end = datetime.combine(date.fromisoformat(day), time()) + _DAY
        else:
            end = datetime.fromisoformat(f"{last_day} {last_clock or '00:00'}") + (timedelta() if last_clock else _DAY)
    except (ValueError, OverflowError):
        raise _wrong(text) from None
    if not timedelta() < end - begin <= timedelta(days=MAX_DAYS):
        raise errors.InvalidInput(f"The blackout {text!r} must end after it begins, and at most {MAX_DAYS} days later.")
    return _Dated(begin, end)


def _wrong(text: str) -> errors.InvalidInput:
    return errors.InvalidInput(f"{_FORMS}; {text[:60]!r} is none.")

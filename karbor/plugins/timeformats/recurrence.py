# SPDX-License-Identifier: Apache-2.0
"""When does one RRULE recur, at a price that does not depend on how long ago it began or how seldom it fires?

dateutil expands the rule. Two things are done around it. It walks from the first day of the rule, so it is handed a
first day close to the moment asked about, a whole number of intervals later. And a rule that never fires makes it walk
to the year 9999, so the work is done in the last years before that: 8000 years later, and from there as many times 28
years earlier as it takes. In both steps the days of the week and the leap years fall as they do now.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from dateutil import rrule

from karbor.model import errors
from karbor.sdk.timeformat import limit, moments

MAX_COUNT = 10000
MAX_TIMES = 288
MAX_POSITIONS = 10
MAX_INTERVAL = 100000
_LATER_YEARS, _LATER = 8000, timedelta(days=20 * 146097)
_CYCLE_YEARS, _CYCLE = 28, timedelta(days=28 * 365 + 7)  # from 1901 to 2099, and from 9901 to 9999
_LAST_YEAR = 9990
_FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY")  # by their numbers in dateutil
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_STEPS = {rrule.DAILY: timedelta(days=1), rrule.HOURLY: timedelta(hours=1), rrule.MINUTELY: timedelta(minutes=1)}
#: Part of the rule: name in dateutil, lowest and highest value; negative ones count from the end where 0 is no value.
_LISTS = {
    "BYMONTH": ("bymonth", 1, 12),
    "BYWEEKNO": ("byweekno", -53, 53),
    "BYYEARDAY": ("byyearday", -366, 366),
    "BYMONTHDAY": ("bymonthday", -31, 31),
    "BYHOUR": ("byhour", 0, 23),
    "BYMINUTE": ("byminute", 0, 59),
    "BYSECOND": ("bysecond", 0, 59),
    "BYSETPOS": ("bysetpos", -366, 366),
}
_DAY_PARTS = ("bymonth", "byweekno", "byyearday", "bymonthday", "byweekday")


class Recurrence:
    """One RRULE. Raises InvalidInput where it is not valid or would cost too much."""

    def __init__(self, rule: Mapping[str, Sequence[Any]], *, start: datetime, zone: tzinfo) -> None:
        _check_names(rule)
        self._start, self._zone = start, zone
        self._local = _local(start, zone)
        self._frequency = _FREQUENCIES.index(_frequency(rule))
        self._interval = _number(rule, "INTERVAL", highest=MAX_INTERVAL) or 1
        self._count = _number(rule, "COUNT", highest=MAX_COUNT)
        self._until = _until(rule, zone)
        self._week = rrule.weekdays[_DAYS.index(rule["WKST"][0].weekday)] if "WKST" in rule else rrule.MO
        self._parts = _parts(rule)
        self._check_cost()
        if self._frequency == rrule.YEARLY and not self._has("byweekno", "byyearday", "bymonthday", "byweekday"):
            self._parts.setdefault("bymonth", [self._local.month])
        self._complete()
        if self._count and self._until:
            raise errors.InvalidInput("An RRULE has either COUNT or UNTIL, not both.")
        if self._count and start.year < 2000:
            raise errors.InvalidInput("An RRULE with COUNT must not begin before the year 2000.")

    def fires(self, after: datetime) -> Iterator[datetime]:
        """As TimeFormat.fires."""
        end = min(limit(after, self._start), self._until or datetime.max.replace(tzinfo=UTC))
        walls = self._walls(self._start if self._count else max(after, self._start), end)
        for fire in moments(walls, self._zone, hourly=self._frequency >= rrule.HOURLY):
            if fire > end:
                return
            if fire > after and fire >= self._start:
                yield fire

    def _walls(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """The wall-clock times from ``begin`` (and some before it) until ``end`` (and one behind it)."""
        # A day of slack: wall-clock times stand at most that far from where the zone's offset now says.
        first = self._anchor(max(self._local, _local(begin, self._zone) - timedelta(days=1)))
        last = _local(end, self._zone) + timedelta(days=1)
        later = _LATER + (_LAST_YEAR - _LATER_YEARS - last.year) // _CYCLE_YEARS * _CYCLE
        found = (wall - later for wall in self._expanded(first + later))
        inside = itertools.takewhile(lambda wall: wall <= last, (wall for wall in found if wall >= self._local))
        return itertools.islice(inside, self._count) if self._count else inside

    def _expanded(self, first: datetime) -> Iterator[datetime]:
        try:
            yield from rrule.rrule(
                self._frequency, dtstart=first, interval=self._interval, wkst=self._week, **self._parts
            )
        except (ValueError, OverflowError):  # how dateutil says that the rule is empty, or the year 9999 at its end
            return

    def _anchor(self, moment: datetime) -> datetime:
        """The beginning of the last interval of the rule that begins at ``moment`` or before."""
        begin, step = self._local, self._interval
        if self._frequency <= rrule.MONTHLY:
            months = step * (12 if self._frequency == rrule.YEARLY else 1)
            zero = begin.year * 12 + begin.month - 1
            month = zero + (moment.year * 12 + moment.month - 1 - zero) // months * months
            return datetime(month // 12, month % 12 + 1, 1)
        if self._frequency == rrule.WEEKLY:
            base = _midnight(begin) - timedelta(days=(begin.weekday() - self._week.weekday) % 7)
            width = timedelta(weeks=step)
        else:
            unit = _STEPS[self._frequency]
            base = _midnight(begin) + (begin - _midnight(begin)) // unit * unit
            width = unit * step
        return base + (moment - base) // width * width

    def _complete(self) -> None:
        """Say what a rule takes from its start, so that the start can be moved."""
        parts, begin = self._parts, self._local
        if not self._has("byweekno", "byyearday", "bymonthday", "byweekday"):
            if self._frequency <= rrule.MONTHLY:
                parts["bymonthday"] = [begin.day]
            elif self._frequency == rrule.WEEKLY:
                parts["byweekday"] = [rrule.weekdays[begin.weekday()]]
        for name, value, below in (
            ("byhour", begin.hour, rrule.HOURLY),
            ("byminute", begin.minute, rrule.MINUTELY),
            ("bysecond", begin.second, rrule.SECONDLY),
        ):
            if self._frequency < below:
                parts.setdefault(name, [value])

    def _check_cost(self) -> None:
        times = 1
        for name in ("byhour", "byminute", "bysecond"):
            times *= len(self._parts.get(name, [0]))
        if times > MAX_TIMES:
            raise errors.InvalidInput(f"An RRULE may name at most {MAX_TIMES} times of a day.")
        if self._has("bysetpos"):
            if self._frequency >= rrule.HOURLY:
                raise errors.InvalidInput("BYSETPOS needs FREQ=DAILY or slower.")
            if len(self._parts["bysetpos"]) > MAX_POSITIONS:
                raise errors.InvalidInput(f"BYSETPOS may have at most {MAX_POSITIONS} values.")
        if self._frequency > rrule.MONTHLY and any(day.n for day in self._parts.get("byweekday", ())):
            raise errors.InvalidInput("A number before a day in BYDAY needs FREQ=MONTHLY or FREQ=YEARLY.")
        if self._frequency == rrule.MINUTELY and self._has(*_DAY_PARTS, "byhour", "byminute"):
            raise errors.InvalidInput("With FREQ=MINUTELY only INTERVAL, COUNT, UNTIL and BYSECOND can be used.")

    def _has(self, *names: str) -> bool:
        return any(name in self._parts for name in names)


def _check_names(rule: Mapping[str, Sequence[Any]]) -> None:
    known = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *_LISTS}
    strange = sorted(set(rule) - known)
    if strange:
        raise errors.InvalidInput(f"The part {strange[0][:40]!r} of an RRULE is not known.")


def _frequency(rule: Mapping[str, Sequence[Any]]) -> str:
    names = [str(name).upper() for name in rule.get("FREQ", ())]
    if names == ["SECONDLY"]:
        raise errors.InvalidInput("FREQ=SECONDLY is not supported: runs would come too close.")
    if len(names) != 1 or names[0] not in _FREQUENCIES:
        raise errors.InvalidInput(f"An RRULE needs one FREQ of {', '.join(_FREQUENCIES)}.")
    return names[0]


def _number(rule: Mapping[str, Sequence[Any]], name: str, *, highest: int) -> int | None:
    if name not in rule:
        return None
    values = list(map(int, rule[name]))
    if len(values) != 1 or not 1 <= values[0] <= highest:
        raise errors.InvalidInput(f"{name} of an RRULE must be one number from 1 to {highest}.")
    return values[0]


def _until(rule: Mapping[str, Sequence[Any]], zone: tzinfo) -> datetime | None:
    """The last moment of the rule; a day means all of it."""
    if "UNTIL" not in rule:
        return None
    value = rule["UNTIL"][0]
    if len(rule["UNTIL"]) != 1 or not isinstance(value, date) or not 1970 <= value.year < 9000:
        raise errors.InvalidInput("UNTIL of an RRULE must be one day or moment.")
    if not isinstance(value, datetime):
        value = datetime.combine(value, time(23, 59, 59))
    return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)


def _parts(rule: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """The BY lists as dateutil takes them."""
    parts: dict[str, list[Any]] = {}
    for name, (known_as, lowest, highest) in _LISTS.items():
        if name in rule:
            values = sorted({int(value) for value in rule[name]})
            if any(not lowest <= value <= highest or (value == 0 and lowest != 0) for value in values):
                raise errors.InvalidInput(f"{name} of an RRULE holds a value out of range.")
            parts[known_as] = values
    if "BYDAY" in rule:
        days = [(_DAYS.index(day.weekday), day.relative) for day in rule["BYDAY"]]
        if any(number is not None and not 1 <= abs(number) <= 53 for _day, number in days):
            raise errors.InvalidInput("BYDAY of an RRULE holds a number out of range.")
        parts["byweekday"] = [rrule.weekday(day, number) for day, number in days]
    return parts


def _local(moment: datetime, zone: tzinfo) -> datetime:
    """What the clocks of the zone show."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def _midnight(wall: datetime) -> datetime:
    return datetime.combine(wall.date(), time())

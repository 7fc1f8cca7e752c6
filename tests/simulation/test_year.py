# SPDX-License-Identifier: Apache-2.0
"""Do a year of schedules fire when somebody with a calendar and the offsets of the zones says?

Every time is found as an engine finds it: one after the other, each from the one before. The oracle goes through the
days of the year and asks the zones of Python what the clocks show; it knows nothing of crontab or iCalendar. For the
long run: KARBOR_YEAR_SCHEDULES=1000.
"""

import functools
import os
import random
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from karbor.db.fires import Due, milliseconds, moment
from karbor.operationengine.planning import settle
from karbor.sdk.trigger import Limits, load_types
from tests.support import rows as make

pytestmark = pytest.mark.timeout(3600)
SCHEDULES = int(os.environ.get("KARBOR_YEAR_SCHEDULES", "8"))
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago")
START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
KINDS = load_types(Limits(3600, 900, 1800))
_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)


def schedule(number):
    """(zone, properties, what the oracle needs) of one of them: each is like no other."""
    dice = random.Random(number)
    zone, kind = ZONES[number % 4], ("daily", "weekdays", "rule", "monthly", "hourly")[(number // 4 + number) % 5]
    hours, minute = sorted(dice.sample(range(24), dice.choice((1, 1, 2)))), dice.choice((0, 1, 30, 59))
    if dice.random() < 0.5:
        hours = sorted({*hours, dice.choice((0, 1, 2, 3))})  # where clocks change
    if kind == "hourly":
        step = dice.choice((1, 2, 3, 6))
        return zone, _crontab(f"{minute} */{step} * * *"), {"hours": range(0, 24, step), "minute": minute, "real": True}
    told = {"hours": hours, "minute": minute}
    times = f"{minute} {','.join(map(str, hours))}"
    if kind == "daily":
        return zone, _crontab(f"{times} * * *"), {**told, "day": lambda day: True}
    if kind == "weekdays":
        wanted = sorted(dice.sample(range(7), 3))
        text = f"{times} * * {','.join(str((day + 1) % 7) for day in wanted)}"
        return zone, _crontab(text), {**told, "day": lambda day: day.weekday() in wanted}
    by = f"BYHOUR={','.join(map(str, hours))};BYMINUTE={minute};BYSECOND=0"
    if kind == "rule":
        step, first = dice.choice((1, 2, 5)), START.astimezone(ZoneInfo(zone)).date()
        return (
            zone,
            _rule(f"FREQ=DAILY;INTERVAL={step};{by}"),
            {**told, "day": lambda day: (day - first).days % step == 0},
        )
    place, weekday = dice.choice((1, 2, 4)), dice.randrange(7)
    return (
        zone,
        _rule(f"FREQ=MONTHLY;BYDAY={place}{DAYS[weekday]};{by}"),
        {**told, "day": lambda day: day.weekday() == weekday and (day.day - 1) // 7 + 1 == place},
    )


def _crontab(line):
    return {"format": "crontab", "pattern": line}


def _rule(text):
    return {"format": "calendar", "pattern": f"BEGIN:VEVENT\r\nRRULE:{text}\r\nEND:VEVENT\r\n"}


def oracle(zone_name, *, hours, minute, day=None, real=False):
    """The moments of the year at which it is time."""
    zone = ZoneInfo(zone_name)
    if real:  # every moment at which the clocks show such a time
        return [at for at, wall in _walls(zone_name) if wall.minute == minute and wall.hour in hours]
    found, current = set(), date(2025, 12, 31)
    while current <= date(2027, 1, 1):
        if day(current):
            found |= {_moment(datetime.combine(current, time(hour, minute)), zone) for hour in hours}
        current += _DAY
    return sorted(at for at in found if START <= at < END)


def _moment(wall, zone):
    """When the clocks first show that time; where they skip it, when they jump over it."""
    readings = [wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    at = min(readings)
    while at.astimezone(zone).replace(tzinfo=None) < wall:
        at += _MINUTE
    return at


@functools.cache
def _walls(zone_name):
    zone = ZoneInfo(zone_name)
    moments = [START + number * _MINUTE for number in range((END - START) // _MINUTE)]
    walls = [(at, at.astimezone(zone)) for at in moments]
    return [(at, wall) for at, wall in walls if wall.minute in (0, 1, 30, 59)]


def followed(number, zone, properties):
    """The times that an engine finds, when each of them is taken up a moment after it has come."""
    given = {**properties, "timezone": zone, "start_time": "2026-01-01 00:00:00"}
    trigger = make.trigger(f"t{number}", properties=given, created_at=START)
    at = milliseconds(next(iter(KINDS["time"].fires(given, created_at=START, after=START - _MINUTE, seed=trigger.id))))
    found = []
    while at is not None and moment(at) < END:
        settled = settle(Due(trigger, at, 0), KINDS, at + 700)
        assert [(fired.at_ms, fired.missed) for fired in settled.fired] == [(at, "")]
        found.append(moment(at))
        at = settled.next_ms
    return found


@pytest.mark.parametrize("zone", ZONES)
def test_a_year_of_schedules_is_that_of_the_calendar(zone):
    compared = 0
    for number in range(ZONES.index(zone), SCHEDULES + ZONES.index(zone), 4):
        name, properties, told = schedule(number)
        expected = oracle(name, **told)
        assert followed(number, name, properties) == expected, (number, name, properties)
        compared += len(expected)
    assert compared
    print(f"{zone}: schedules={SCHEDULES // 4} times={compared}")

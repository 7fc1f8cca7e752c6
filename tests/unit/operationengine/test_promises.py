# SPDX-License-Identifier: Apache-2.0
"""Are alarms raised for what was promised and did not come, and for nothing else, over a year and two changes of the
clocks in four zones?"""

import bisect
import os
import random
import zoneinfo
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from karbor.model.alarm import BREACHED, NONE, OK, PAUSED, PlanAlarm, Promise, Standing, judged, resumed
from karbor.operationengine.promises import Promises
from karbor.sdk.trigger import Limits, load_types
from tests.support import rows as make

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR, DAY, YEAR = timedelta(hours=1), timedelta(days=1), timedelta(days=365)
WINDOW, GRACE, TICK = timedelta(seconds=900), timedelta(hours=1), timedelta(seconds=20)
#: For a long run: KARBOR_ALARM_PLANS=1000.
PLANS = int(os.environ.get("KARBOR_ALARM_PLANS", "8"))
KINDS = load_types(Limits(3600, 900, 1800))
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
#: Crontab line: the local hour and the days of the week (None: each hour, each day).
PATTERNS = {
    "0 * * * *": (None, None),
    "0 5 * * *": (5, None),
    "0 12 * * MON,THU": (12, (0, 3)),
    "0 20 * * SUN": (20, (6,)),
}


def promise(pattern="0 5 * * *", zone="UTC", type_="protect", since=NOW, **definition):
    properties = {"format": "crontab", "pattern": pattern, "window": 900, "timezone": zone}
    trigger = make.trigger(f"{pattern} {zone}", properties=properties, created_at=since)
    schedule = make.scheduled_operation(operation_type=type_, operation_definition=definition)
    return Promise(schedule, trigger, since)


def standing(*promises, **given):
    plan = make.plan(created_at=NOW - 30 * DAY, rpo=given.pop("rpo", None))
    return Standing(plan, promises=promises, **given)


def due(given, promises=None):
    found = (promises or Promises(KINDS, grace=GRACE)).due(given)
    return found and found.at


def test_each_time_promises_a_good_checkpoint_by_the_end_of_its_window_and_the_grace():
    nightly = promise()
    assert due(standing(nightly)) == NOW + 5 * HOUR + WINDOW + GRACE
    # One that was begun at that time keeps it; one that was begun before does not.
    assert due(standing(nightly, last_good_at=NOW + 5 * HOUR)) == NOW + DAY + 5 * HOUR + WINDOW + GRACE
    assert due(standing(nightly, last_good_at=NOW + 4 * HOUR)) == NOW + 5 * HOUR + WINDOW + GRACE


def test_the_strictest_promise_counts():
    assert due(standing(promise(), promise("0 * * * *"))) == NOW + HOUR + WINDOW + GRACE


def test_times_of_before_the_schedule_or_its_trigger_was_changed_promise_nothing():
    changed = promise("0 * * * *")
    changed = replace(changed, trigger=replace(changed.trigger, updated_at=NOW + 10 * DAY))
    assert due(standing(changed, last_good_at=NOW)) == NOW + 10 * DAY + HOUR + WINDOW + GRACE
    late = promise(since=NOW + 3 * DAY)
    assert due(standing(late, last_good_at=NOW)) == NOW + 3 * DAY + 5 * HOUR + WINDOW + GRACE


def test_seconds_count_instead_where_they_are_given():
    assert due(standing(promise(rpo=7200), last_good_at=NOW + HOUR)) == NOW + 3 * HOUR
    assert due(standing(rpo=600, last_good_at=NOW)) == NOW + timedelta(seconds=600)
    assert due(standing(rpo=600)) == NOW - 30 * DAY + timedelta(seconds=600)


def test_where_the_policy_asks_for_it_only_a_verified_one_counts():
    asked = promise(type_="retention_protect", rpo=7200, verified="data")
    found = standing(asked, last_good_at=NOW + 9 * HOUR, verified={"data": (NOW + HOUR, NOW + 2 * HOUR)})
    assert due(found) == NOW + 3 * HOUR


def test_a_schedule_that_verifies_promises_verifications():
    weekly = promise("0 5 * * *", type_="verify", level="data")
    assert due(standing(weekly, verified={"quick": (NOW, NOW + 9 * DAY)})) == NOW + 5 * HOUR + WINDOW + GRACE
    assert due(standing(weekly, verified={"data": (NOW, NOW + 9 * DAY)})) == NOW + 9 * DAY + 5 * HOUR + WINDOW + GRACE


@pytest.mark.parametrize("type_", ["copy", "protect"])
def test_what_does_not_plan_promises_nothing(type_):
    nothing = promise(type_=type_)
    hook = replace(nothing, trigger=replace(nothing.trigger, type="webhook", properties={}))
    strange = replace(nothing, trigger=replace(nothing.trigger, type="from elsewhere"))
    assert due(standing(hook)) is due(standing(strange)) is due(standing()) is None
    assert judged(standing(), None, now=NOW).state == NONE


def test_a_plan_that_was_suspended_begins_anew():
    nightly, promises = promise(), Promises(KINDS, grace=GRACE)
    paused = standing(
        nightly, paused=True, last_good_at=NOW, alarm=PlanAlarm("plan-1", make.PROJECT, BREACHED, NOW, NOW)
    )
    alarm = judged(paused, promises.due(paused), now=NOW + 20 * DAY)
    assert (alarm.state, alarm.due_at) == (PAUSED, None)
    back = resumed(replace(paused, paused=False, alarm=alarm), now=NOW + 30 * DAY)
    alarm = judged(back, promises.due(back), now=NOW + 30 * DAY)
    assert (alarm.state, alarm.due_at) == (OK, NOW + 30 * DAY + 5 * HOUR + WINDOW + GRACE)


def _times(pattern, zone):
    """By plain arithmetic: hours that no change of the clocks touches, and real hours."""
    hour, days = PATTERNS[pattern]
    local = zoneinfo.ZoneInfo(zone)
    if hour is None:  # there is a zone whose clocks are moved by half an hour
        halves = (NOW + place * HOUR / 2 for place in range(1, 2 * 366 * 24))
        return [at for at in halves if at.astimezone(local).minute == 0]
    dates = [NOW.date() + place * DAY for place in range(-1, 368)]
    moments = [datetime.combine(date, time(hour), local) for date in dates if days is None or date.weekday() in days]
    return [at.astimezone(UTC) for at in moments if at.astimezone(UTC) > NOW]


def _moments(times, goods):
    """(from, until) in which the promise is broken: the plain way, from good to good."""
    found = []
    for place, good in enumerate(goods):
        following = goods[place + 1] if place + 1 < len(goods) else (NOW + YEAR, NOW + YEAR)
        first = times[bisect.bisect_right(times, good[0])] + WINDOW + GRACE
        if first < following[1]:
            found.append((first, following[1]))
    return found


def test_a_simulated_year_of_mixed_schedules_has_no_false_and_no_late_alarm():
    """A look every 20 s; those between which nothing happens are left out, for nothing can change in them."""
    dice, promises, looks, raised = random.Random(7), Promises(KINDS, grace=GRACE), 0, 0
    for number in range(PLANS):
        pattern, zone = dice.choice(list(PATTERNS)), ZONES[number % 4]
        given, times = promise(pattern, zone), _times(pattern, zone)
        share = dice.choice([0.0, 0.05, 0.5])
        # (begun, available) of those that ended well; the first was there before.
        goods = [(NOW, NOW)]
        for at in dice.sample(times, min(len(times), 400)) if len(times) > 400 else times:
            if at < NOW + YEAR - DAY and dice.random() >= share:
                goods.append(
                    (at + timedelta(seconds=dice.randrange(600)), at + timedelta(seconds=dice.randrange(700, 3000)))
                )
        goods.sort()
        broken = _moments(times, goods)
        edges = sorted({edge for pair in broken for edge in pair} | {until for _at, until in goods})
        ticks = sorted({NOW + TICK * ((edge - NOW) // TICK + more) for edge in edges for more in (-1, 0, 1, 2)})
        alarm, seen = None, []
        for tick in ticks:
            if not NOW <= tick < NOW + YEAR:
                continue
            there = bisect.bisect_right(goods, tick, key=lambda good: good[1])
            now = standing(given, last_good_at=goods[there - 1][0], alarm=alarm)
            after = judged(now, promises.due(now), now=tick)
            if alarm is not None and BREACHED in (alarm.state, after.state) and alarm.state != after.state:
                seen.append((after.state, tick))
            alarm, looks = after, looks + 1
        expected = [
            (state, edge)
            for pair in broken
            for state, edge in zip((BREACHED, OK), pair, strict=True)
            if edge < NOW + YEAR
        ]
        expected = [entry for entry in expected if entry[1] < NOW + YEAR - TICK]
        assert [state for state, _at in seen] == [state for state, _at in expected]
        for (_state, at), (_same, edge) in zip(seen, expected, strict=True):
            assert edge <= at < edge + timedelta(seconds=60)
        raised += len(seen)
    assert raised > 5 * PLANS and looks > 100 * PLANS

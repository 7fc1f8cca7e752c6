# SPDX-License-Identifier: Apache-2.0
"""Does an RRULE recur as RFC 5545 has it, however far away its beginning is?"""

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import vRecur

from karbor.model import errors
from karbor.plugins.timeformats.recurrence import Recurrence
from tests.support import wallclock

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def recurrence(text, start=START, zone=UTC):
    return Recurrence(vRecur.from_ical(text), start=start, zone=zone)


def until(found, end):
    return list(itertools.takewhile(lambda fire: fire <= end, found))


def numbers(lowest, highest, most=3):
    return st.sets(st.integers(lowest, highest), min_size=1, max_size=most)


def joined(values):
    return ",".join(map(str, sorted(values)))


@st.composite
def rules(draw):
    """(RRULE, what it means for a wall-clock time, given that of the start): the slow and plain reading of the RFC."""
    step, hours, minutes = draw(st.integers(1, 3)), draw(numbers(0, 4)), draw(numbers(0, 59, 2))
    times = f"INTERVAL={step};BYHOUR={joined(hours)};BYMINUTE={joined(minutes)}"
    kind = draw(st.sampled_from(("DAILY", "WEEKLY", "MONTHLY", "MONTHLY;BYDAY", "YEARLY")))

    if kind == "DAILY":
        text = f"FREQ=DAILY;{times}"

        def of_day(day, start):
            return (day - start).days % step == 0

    elif kind == "WEEKLY":
        weekdays = draw(numbers(0, 6))
        text = f"FREQ=WEEKLY;{times};BYDAY={','.join(DAYS[number] for number in sorted(weekdays))}"

        def of_day(day, start):
            weeks = (monday(day) - monday(start)).days // 7
            return weeks % step == 0 and day.weekday() in weekdays

    elif kind == "MONTHLY":
        days = draw(numbers(1, 31)) | draw(st.sampled_from((set(), {-1}, {-2})))
        text = f"FREQ=MONTHLY;{times};BYMONTHDAY={joined(days)}"

        def of_day(day, start):
            from_end = (day - next_month(day)).days
            return months(day, start) % step == 0 and (day.day in days or from_end in days)

    elif kind == "MONTHLY;BYDAY":
        number, weekday = draw(st.sampled_from((1, 2, 4, -1))), draw(st.integers(0, 6))
        text = f"FREQ=MONTHLY;{times};BYDAY={number}{DAYS[weekday]}"

        def of_day(day, start):
            place = (day.day - 1) // 7 + 1 if number > 0 else (day - next_month(day)).days // 7
            return months(day, start) % step == 0 and day.weekday() == weekday and place == number

    else:
        month, day_ = draw(st.integers(1, 12)), draw(st.integers(1, 31))
        step = 1
        times = times.replace("INTERVAL=2", "INTERVAL=1").replace("INTERVAL=3", "INTERVAL=1")
        text = f"FREQ=YEARLY;{times};BYMONTH={month};BYMONTHDAY={day_}"

        def of_day(day, start):
            return (day.month, day.day) == (month, day_)

    def matches(wall, start):
        return wall.hour in hours and wall.minute in minutes and of_day(wall.date(), start.date())

    return text, matches


def monday(day):
    return day - timedelta(days=day.weekday())


def months(day, start):
    return (day.year - start.year) * 12 + day.month - start.month


def next_month(day):
    """The first day of the next month."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


@pytest.mark.parametrize("name", wallclock.ZONES)
@settings(max_examples=15, deadline=None)
@given(rule=rules(), days=st.integers(0, 900))
def test_a_rule_is_that_of_somebody_who_watches_the_clock(name, rule, days):
    zone, (text, means) = ZoneInfo(name), rule
    start = START - timedelta(days=days)
    began = start.astimezone(zone).replace(tzinfo=None)
    for begin, end in wallclock.around_changes(name):
        found = until(recurrence(text, start, zone).fires(begin - timedelta(seconds=1)), end)
        assert found == wallclock.fires(lambda wall: means(wall, began), zone, begin, end)


@pytest.mark.parametrize("name", wallclock.ZONES)
@pytest.mark.parametrize("text", ["FREQ=HOURLY;BYMINUTE=0,30", "FREQ=HOURLY;INTERVAL=3;BYMINUTE=15"])
def test_a_rule_by_the_hour_follows_the_real_hours(name, text):
    zone, began = ZoneInfo(name), START.astimezone(ZoneInfo(name)).replace(tzinfo=None, minute=0)
    step, minutes = (3, {15}) if "INTERVAL" in text else (1, {0, 30})

    def matches(wall):
        hours = (wall.replace(minute=0) - began) // timedelta(hours=1)
        return wall.minute in minutes and hours % step == 0

    for begin, end in wallclock.around_changes(name):
        found = until(recurrence(text, zone=zone).fires(begin - timedelta(seconds=1)), end)
        assert found == wallclock.fires(matches, zone, begin, end, hourly=True)


@pytest.mark.parametrize("day", range(1, 8))
def test_a_position_is_counted_in_the_whole_week_wherever_one_begins(day):
    rule = recurrence("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS=3;BYHOUR=1", datetime(2020, 1, 30, tzinfo=UTC))
    found = itertools.islice(rule.fires(datetime(2026, 1, day, 12, tzinfo=UTC)), 3)
    assert {fire.weekday() for fire in found} == {DAYS.index("WE")}


def test_who_asks_between_two_equal_hours_sees_what_the_second_one_brings():
    rule = recurrence("FREQ=MINUTELY;INTERVAL=25", zone=ZoneInfo("Europe/Berlin"))
    first, end = datetime(2026, 10, 25, tzinfo=UTC), datetime(2026, 10, 25, 3, tzinfo=UTC)
    whole = until(rule.fires(first), end)
    for minute in range(0, 120, 5):
        after = first + timedelta(minutes=minute)
        assert until(rule.fires(after), end) == [fire for fire in whole if fire > after]


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=DAILY;INTERVAL=17;BYHOUR=2,14",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE,SU;WKST=SU",
        "FREQ=WEEKLY;INTERVAL=3;BYDAY=TU,SU;WKST=MO;BYHOUR=1",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
        "FREQ=MONTHLY;INTERVAL=5;BYMONTHDAY=29,30,31",
        "FREQ=MONTHLY;INTERVAL=18;BYDAY=-1SU",
        "FREQ=MONTHLY",
        "FREQ=YEARLY",
        "FREQ=YEARLY;BYWEEKNO=1,53;BYDAY=MO",
        "FREQ=YEARLY;BYYEARDAY=1,100,-1",
        "FREQ=YEARLY;INTERVAL=3;BYDAY=20MO",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=YEARLY;INTERVAL=2;BYMONTH=1,6;BYDAY=SU;BYSETPOS=2,-1",
        "FREQ=HOURLY;INTERVAL=7",
        "FREQ=HOURLY;INTERVAL=5;BYHOUR=0,3,10,20",
        "FREQ=MINUTELY;INTERVAL=95",
        "FREQ=DAILY;COUNT=4000",
        "FREQ=WEEKLY;UNTIL=20300101T000000Z",
    ],
)
def test_far_from_its_beginning_a_rule_is_what_dateutil_makes_of_it_from_the_beginning(text):
    start = datetime(2020, 1, 30, 1, 30, tzinfo=UTC)
    whole = rrulestr(text, dtstart=start)
    for day in ("2019-07-01", "2020-07-01", "2026-01-02", "2026-07-01", "2035-07-01"):
        after = datetime.fromisoformat(f"{day}T12:00:00Z")
        expected = list(itertools.islice(whole.xafter(after), 20))
        found = list(itertools.islice(recurrence(text, start).fires(after), 20))
        assert found == [fire for fire in expected if fire <= max(after, start) + timedelta(days=3653)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("FREQ=SECONDLY", "FREQ=SECONDLY is not supported"),
        ("INTERVAL=1", "needs one FREQ"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL"),
        ("FREQ=DAILY;INTERVAL=1000000", "INTERVAL"),
        ("FREQ=DAILY;COUNT=-1", "COUNT"),
        ("FREQ=DAILY;COUNT=1000000", "COUNT"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20270101", "not both"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR"),
        ("FREQ=DAILY;BYMINUTE=-1", "BYMINUTE"),
        ("FREQ=DAILY;BYSECOND=60", "BYSECOND"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY"),
        ("FREQ=YEARLY;BYMONTH=13", "BYMONTH"),
        ("FREQ=MONTHLY;BYDAY=54MO", "BYDAY"),
        ("FREQ=WEEKLY;BYDAY=1MO", "needs FREQ=MONTHLY or FREQ=YEARLY"),
        ("FREQ=DAILY;BYEASTER=1", "'BYEASTER'"),
        ("FREQ=HOURLY;BYMINUTE=0,30;BYSETPOS=1", "BYSETPOS needs"),
        ("FREQ=DAILY;BYSETPOS=1,2,3,4,5,6,7,8,9,10,11", "BYSETPOS may have"),
        (f"FREQ=DAILY;BYHOUR={joined(range(24))};BYMINUTE={joined(range(60))}", "times of a day"),
        ("FREQ=MINUTELY;INTERVAL=60;BYHOUR=3", "With FREQ=MINUTELY"),
    ],
)
def test_what_is_wrong_or_too_dear_is_refused(text, reason):
    with pytest.raises(errors.InvalidInput) as caught:
        recurrence(text)
    assert reason in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=WEEKLY;BYMONTHDAY=31;BYMONTH=4",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;BYSETPOS=1",
        "FREQ=DAILY;BYSETPOS=366",
        "FREQ=HOURLY;INTERVAL=24;BYHOUR=3",
        "FREQ=DAILY;UNTIL=20200101",
    ],
)
def test_a_rule_that_never_fires_comes_to_an_end(text):
    assert list(recurrence(text).fires(START)) == []


def test_until_as_a_day_means_all_of_it():
    fires = list(recurrence("FREQ=DAILY;BYHOUR=22;UNTIL=20260102", zone=ZoneInfo("America/New_York")).fires(START))
    assert [fire.day for fire in fires] == [1, 2, 3]  # UTC: each one is at 03:00 of the next day there


def test_a_rule_with_a_count_does_not_begin_in_the_last_century():
    with pytest.raises(errors.InvalidInput, match="2000"):
        recurrence("FREQ=DAILY;COUNT=3", start=datetime(1999, 1, 1, tzinfo=UTC))

# SPDX-License-Identifier: Apache-2.0
"""Does a line of a crontab fire when crontab(5) says?"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor.model import errors
from karbor.plugins.timeformats.crontab import Crontab
from karbor.sdk.testing.timeformat_suite import TimeFormatSuite
from tests.support import wallclock

START = datetime(2026, 1, 1, tzinfo=UTC)


class TestConditions(TimeFormatSuite):
    """What every time format promises."""

    format = Crontab
    good = ("0 0 * * *", "30 1,13 * * MON-FRI", "0 */6 * * *", "15 4 L * *", "0 3 1 */3 *", "@weekly")
    bad = ("", "* * * *", "* * * * * *", "60 0 * * *", "0 24 * * *", "0 0 30 2 *", "x y z a b", "9" * 250 + " 0 * * *")
    daily_at = "{minute} {hour} * * *"


def field(lowest, highest):
    """A list of values, never all of them: a star is tried by itself."""
    return st.sets(st.integers(lowest, highest), min_size=1, max_size=3)


@pytest.mark.parametrize("name", wallclock.ZONES)
@settings(max_examples=10, deadline=None)
@given(minutes=field(0, 59), hours=field(0, 4), days=st.none() | field(1, 31), weekdays=st.none() | field(0, 6))
def test_fixed_times_are_those_of_somebody_who_watches_the_clock(name, minutes, hours, days, weekdays):
    zone = ZoneInfo(name)
    line = " ".join([text(minutes), text(hours), text(days), "*", text(weekdays)])

    def matches(wall):
        by_day = days is None or wall.day in days
        by_weekday = weekdays is None or (wall.weekday() + 1) % 7 in weekdays
        of_day = by_day and by_weekday if days is None or weekdays is None else by_day or by_weekday
        return wall.minute in minutes and wall.hour in hours and of_day

    for begin, end in wallclock.around_changes(name):
        parsed = Crontab(line, start=START, zone=zone)
        found = until(parsed.fires(begin - timedelta(seconds=1)), end)
        assert found == wallclock.fires(matches, zone, begin, end)


@pytest.mark.parametrize("name", wallclock.ZONES)
@pytest.mark.parametrize(("step", "minute"), [(1, 0), (2, 30), (6, 15)])
def test_a_line_by_the_hour_follows_the_real_hours(name, step, minute):
    zone = ZoneInfo(name)

    def matches(wall):
        return wall.minute == minute and wall.hour % step == 0

    for begin, end in wallclock.around_changes(name):
        parsed = Crontab(f"{minute} */{step} * * *", start=START, zone=zone)
        found = until(parsed.fires(begin - timedelta(seconds=1)), end)
        assert found == wallclock.fires(matches, zone, begin, end, hourly=True)


def test_in_the_second_of_two_equal_hours_nothing_is_told_again():
    zone = ZoneInfo("Europe/Berlin")
    second = datetime(2026, 10, 25, 1, 15, tzinfo=UTC)  # 02:15 for the second time
    found = next(Crontab("30 2 * * *", start=START, zone=zone).fires(second))
    assert found == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_between_two_equal_hours_the_second_one_is_still_to_come():
    parsed = Crontab("15 * * * *", start=START, zone=ZoneInfo("Europe/Berlin"))
    first = datetime(2026, 10, 25, 0, 45, tzinfo=UTC)  # 02:45 for the first time
    assert next(parsed.fires(first)) == datetime(2026, 10, 25, 1, 15, tzinfo=UTC)


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet="0123456789*/,-L#WMONa@ ", max_size=30)
    | st.lists(st.text(alphabet="0123456789*/,-L#W", min_size=1, max_size=6), min_size=5, max_size=5).map(" ".join)
)
def test_any_text_is_refused_or_answered(line):
    try:
        parsed = Crontab(line, start=START, zone=UTC)
    except errors.InvalidInput:
        return
    found = next(parsed.fires(START), None)
    assert found is None or found > START


def text(values):
    return "*" if values is None else ",".join(map(str, sorted(values)))


def until(found, end):
    """The fires up to ``end``."""
    kept = []
    for fire in found:
        if fire > end:
            break
        kept.append(fire)
    return kept

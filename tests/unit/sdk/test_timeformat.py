# SPDX-License-Identifier: Apache-2.0
"""Is every wall-clock time turned into the moment that the contract of time formats says?"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor.sdk.timeformat import HORIZON, LATEST, jump, limit, moments
from tests.support import wallclock

BERLIN = ZoneInfo("Europe/Berlin")
each_zone = pytest.mark.parametrize("name", wallclock.ZONES)


def told(walls, zone, **how):
    return list(moments(walls, zone, **how))


@each_zone
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_moments_are_those_of_somebody_who_watches_the_clock(name, data):
    zone = ZoneInfo(name)
    hourly = data.draw(st.booleans())
    for begin, end in wallclock.around_changes(name, days=1):
        first = begin.astimezone(zone).replace(tzinfo=None)
        minutes = data.draw(st.sets(st.integers(0, 2 * 24 * 60), max_size=40))
        walls = {first + timedelta(minutes=minute) for minute in minutes}
        expected = wallclock.fires(walls.__contains__, zone, begin, end, hourly=hourly)
        found = told(sorted(walls), zone, hourly=hourly)
        assert [moment for moment in found if begin <= moment <= end] == expected


def test_a_skipped_day_is_one_jump():
    apia = ZoneInfo("Pacific/Apia")  # 2011-12-30 did not come there
    walls = [datetime(2011, 12, day, hour) for day in (29, 30, 31) for hour in (6, 18)]
    found = told(walls, apia)
    assert [moment.astimezone(apia).strftime("%d %H") for moment in found] == [
        "29 06",
        "29 18",
        "31 00",
        "31 06",
        "31 18",
    ]


def test_the_jump_is_found_to_the_second():
    before = datetime(2026, 3, 28, 23, 59, 59, tzinfo=UTC)
    assert jump(before, before + timedelta(days=3), BERLIN) == datetime(2026, 3, 29, 1, tzinfo=UTC)


def test_the_limit_is_ten_years_ahead_and_never_behind_the_last_year():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert limit(now, now - timedelta(days=1)) == now + HORIZON
    assert limit(now, now + timedelta(days=1)) == now + timedelta(days=1) + HORIZON
    assert limit(datetime(2095, 1, 1, tzinfo=UTC), now) == LATEST

# SPDX-License-Identifier: Apache-2.0
"""Does the clock tell UTC, and is a moment always written in the one form of the API?"""

import re
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from karbor.common.clock import Clock, iso

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
inside = {"min_value": datetime(1, 1, 3), "max_value": datetime(9999, 12, 29)}


@given(st.datetimes(**inside, timezones=zones))
def test_a_moment_is_written_in_utc_with_six_digits_and_no_zone(moment):
    text = iso(moment)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", text)
    assert datetime.fromisoformat(text).replace(tzinfo=UTC) == moment


@given(st.datetimes(**inside))
def test_a_moment_without_zone_is_utc_already(moment):
    assert iso(moment) == iso(moment.replace(tzinfo=UTC))


@given(st.datetimes(**inside, timezones=zones), st.datetimes(**inside, timezones=zones))
def test_texts_sort_as_moments_do(one, other):
    assert (iso(one) < iso(other)) == (one < other)


def test_the_three_readings_agree():
    clock = Clock()
    before = clock.milliseconds()
    now = clock.now()
    after = clock.milliseconds()
    assert now.utcoffset() == timedelta(0)
    assert before <= int(now.timestamp() * 1000) + 1 and int(now.timestamp() * 1000) <= after + 1
    assert clock.monotonic() <= clock.monotonic()

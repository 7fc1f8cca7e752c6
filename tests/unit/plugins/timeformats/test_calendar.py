# SPDX-License-Identifier: Apache-2.0
"""Is every spelling of an iCalendar event that clients send understood, and every other one refused?"""

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor.model import errors
from karbor.plugins.timeformats.calendar import Calendar
from karbor.sdk.testing.timeformat_suite import TimeFormatSuite

START = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)
DAILY = "FREQ=DAILY;BYHOUR=2;BYMINUTE=0"


def event(*lines):
    return "\r\n".join(["BEGIN:VEVENT", *lines, "END:VEVENT", ""])


def first(pattern):
    return next(Calendar(pattern, start=START, zone=UTC).fires(START))


class TestConditions(TimeFormatSuite):
    """What every time format promises."""

    format = Calendar
    good = tuple(
        event(f"RRULE:{rule}")
        for rule in ("FREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO,FR", "FREQ=HOURLY;INTERVAL=6", "FREQ=MONTHLY;BYDAY=-1SU")
    ) + (event("RRULE:FREQ=DAILY", "RRULE:FREQ=DAILY;BYHOUR=12"),)
    bad = ("", "x", event(), event("RRULE:"), event("RRULE:FREQ=SOMETIMES"), "BEGIN:VEVENT", "0 2 * * *")
    daily_at = event("RRULE:FREQ=DAILY;BYHOUR={hour};BYMINUTE={minute}")


@pytest.mark.parametrize(
    "pattern",
    [
        event(f"RRULE:{DAILY}"),
        event(f"RRULE:{DAILY};"),
        f"BEGIN:VEVENT\nRRULE:{DAILY}\nEND:VEVENT",
        f"BEGIN:VEVENT\\nRRULE:{DAILY};\\nEND:VEVENT",
        f"BEGIN:VEVENT\\r\\nRRULE:{DAILY}\\r\\nEND:VEVENT\\r\\n",
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n" + event(f"RRULE:{DAILY}") + "END:VCALENDAR\r\n",
        event("SUMMARY:nothing") + event(f"RRULE:{DAILY}"),
        event("DTSTART;TZID=Europe/Berlin:20200101T200000", f"RRULE:{DAILY}"),
        event("DESCRIPTION:first\\nsecond", f"RRULE:{DAILY}"),
    ],
)
def test_clients_spell_it_in_many_ways(pattern):
    assert first(pattern) == datetime(2026, 1, 1, 2, 0, tzinfo=UTC)


def test_what_the_rule_leaves_out_is_taken_from_the_start():
    found = itertools.islice(Calendar(event("RRULE:FREQ=DAILY"), start=START, zone=UTC).fires(START), 2)
    assert [str(fire) for fire in found] == ["2026-01-02 00:30:00+00:00", "2026-01-03 00:30:00+00:00"]


def test_several_rules_are_one_schedule():
    pattern = event("RRULE:FREQ=DAILY;BYHOUR=2", "RRULE:FREQ=DAILY;BYHOUR=2,14")
    found = itertools.islice(Calendar(pattern, start=START, zone=UTC).fires(START), 3)
    assert [(fire.day, fire.hour) for fire in found] == [(1, 2), (1, 14), (2, 2)]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (("RRULE:FREQ=DAILY", "EXDATE:20260103T003000Z"), "EXDATE is not supported"),
        (("RRULE:FREQ=DAILY", "RDATE:20260103T003000Z"), "RDATE is not supported"),
        (("RRULE:FREQ=DAILY",) * 5, "at most 4 RRULEs"),
        (("RRULE:FREQ=SOMETIMES",), "cannot be understood"),
        (("SUMMARY:nothing",), "needs a VEVENT with an RRULE"),
        (("X-LONG:" + "x" * 4096, "RRULE:FREQ=DAILY"), "at most 4096 characters"),
    ],
)
def test_what_would_be_misunderstood_is_refused(lines, reason):
    with pytest.raises(errors.InvalidInput) as caught:
        Calendar(event(*lines), start=START, zone=UTC)
    assert reason in caught.value.message


part = st.sampled_from(
    ("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", "BYHOUR", "BYMONTH", "BYMONTHDAY", "BYSETPOS", "BYWEEKNO")
)
value = st.sampled_from(
    ("DAILY", "WEEKLY", "YEARLY", "MO", "-1FR", "0", "1", "-1", "31", "20270101", "20270101T000000Z", "", "x", "1,2,MO")
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(part, value), max_size=5), st.sampled_from((event, lambda line: line)))
def test_any_rule_is_refused_or_answered(parts, around):
    answered_or_refused(around("RRULE:" + ";".join(f"{name}={given}" for name, given in parts)))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.lists(st.sampled_from(
    ("BEGIN:VEVENT", "END:VEVENT", "BEGIN:VCALENDAR", "END:VCALENDAR", "RRULE:FREQ=DAILY", "RRULE;X=1:FREQ=DAILY",
     "DTSTART:x", "RRULE:", ":", " folded", "BEGIN:", "END:", "\x00", "BEGIN:VTIMEZONE", "END:VTIMEZONE")
), max_size=6).map("\r\n".join))  # fmt: skip
def test_any_text_is_refused_or_answered(text):
    answered_or_refused(text)


def answered_or_refused(pattern):
    try:
        parsed = Calendar(pattern, start=START, zone=UTC)
    except errors.InvalidInput:
        return
    found = next(parsed.fires(START), None)
    assert found is None or found > START

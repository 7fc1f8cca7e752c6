# SPDX-License-Identifier: Apache-2.0
"""Is a trigger closed exactly while the clocks of its zone say so?"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from karbor.model import errors
from karbor.plugins.triggers.blackouts import MAX_WINDOWS, Blackouts, normal

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = timedelta(minutes=1)


def at(text, zone=UTC, fold=0):
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


def closed(text, moment, zone=UTC, fold=0):
    return Blackouts(normal(text), zone).closed_until(at(moment, zone, fold)) is not None


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("MO-FR 08:00-18:00", ["2026-01-05 08:00", "2026-01-09 17:59"], ["2026-01-05 18:00", "2026-01-10 09:00"]),
        ("sa su 00:00-24:00", ["2026-01-10 00:00", "2026-01-11 23:59"], ["2026-01-09 23:59", "2026-01-12 00:00"]),
        ("FR-MO 10:00-11:00", ["2026-01-09 10:00", "2026-01-12 10:00"], ["2026-01-13 10:00", "2026-01-12 11:00"]),
        ("22:00-06:00", ["2026-01-05 22:00", "2026-01-06 05:59"], ["2026-01-06 06:00", "2026-01-06 21:59"]),
        ("SU 22:00-06:00", ["2026-01-12 05:00"], ["2026-01-11 05:00", "2026-01-12 22:00"]),
        ("00:00-00:00", ["2026-01-05 00:00", "2026-01-05 12:00"], []),
        ("2026-12-24", ["2026-12-24 00:00", "2026-12-24 23:59"], ["2026-12-25 00:00", "2025-12-24 12:00"]),
        ("2026-12-24/2026-12-26", ["2026-12-26 23:59"], ["2026-12-27 00:00"]),
        ("2026-12-24 12:00/2026-12-26 06:00", ["2026-12-24 12:00"], ["2026-12-24 11:59", "2026-12-26 06:00"]),
    ],
)
def test_what_is_written_is_what_is_closed(text, inside, outside):
    assert all(closed(text, moment) for moment in inside)
    assert not any(closed(text, moment) for moment in outside)


@pytest.mark.parametrize(
    "text",
    ["x", "08:00", "08:00-25:00", "24:00-06:00", "08:60-09:00", "XX 08:00-09:00", "MO-XX 08:00-09:00", "2026-02-30",
     "2026-01-02/2026-01-01", "2026-01-01/2026-03-01", "2026-01-01 10:00/2026-01-01 10:00", "٠٨:00-09:00"],
)  # fmt: skip
def test_what_cannot_be_understood_is_refused(text):
    with pytest.raises(errors.InvalidInput) as caught:
        normal(text)
    assert "blackout" in caught.value.message


@pytest.mark.parametrize("value", [5, [5], {"a": 1}, ["08:00-09:00"] * (MAX_WINDOWS + 1)])
def test_what_is_no_list_of_a_few_texts_is_refused(value):
    with pytest.raises(errors.InvalidInput):
        normal(value)


def test_a_text_may_hold_several_and_has_one_spelling():
    assert normal(" mo-fr  08:00-18:00 ;; 2026-12-24") == ["MO-FR 08:00-18:00", "2026-12-24"]


def test_an_hour_that_is_shown_twice_is_closed_both_times_and_a_skipped_one_is_nobodys():
    assert closed("02:00-03:00", "2026-10-25 02:30", BERLIN, fold=0)
    assert closed("02:00-03:00", "2026-10-25 02:30", BERLIN, fold=1)
    before = at("2026-03-29 00:59", UTC)  # 01:59 in Berlin; a minute later it is 03:00
    blackouts = Blackouts(["02:00-03:00"], BERLIN)
    assert blackouts.closed_until(before) is None and blackouts.closed_until(before + MINUTE) is None


@pytest.mark.parametrize("text", ["02:00-03:00", "01:30-02:30", "23:00-05:00", "MO-SU 02:30-02:45", "SA 12:00-02:30"])
@pytest.mark.parametrize("day", ["2026-03-28", "2026-10-24"])
def test_the_end_of_a_blackout_is_never_told_too_late(text, day):
    """Every minute of the two days around a change of the clocks is compared with the plain question."""
    blackouts, moment = Blackouts([text], BERLIN), at(f"{day} 00:00", BERLIN)
    minutes = [moment + number * MINUTE for number in range(3 * 1440)]
    closed_at = {minute for minute in minutes if blackouts.closed_until(minute)}
    for minute in minutes[:2880]:
        until = blackouts.closed_until(minute)
        if until is not None:
            assert until > minute
            assert all(minute + step * MINUTE in closed_at for step in range((until - minute) // MINUTE))
        else:
            room = blackouts.open_for(minute, timedelta(minutes=30))
            assert not any(minute + step * MINUTE in closed_at for step in range(room // MINUTE + 1))
            assert room == timedelta(minutes=30) or minute + room + timedelta(seconds=1) in closed_at

# SPDX-License-Identifier: Apache-2.0
"""Is a time trigger that was accepted one that works, and is every other one refused?"""

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor.model import errors
from karbor.plugins.triggers.time_trigger import COMPARED, TimeTrigger
from karbor.sdk.trigger import Limits

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
NIGHTLY = {"format": "crontab", "pattern": "0 2 * * *"}
TRIGGER = TimeTrigger(Limits(min_interval=3600, min_window=900, max_window=1800))


def accepted(stored=None, now=NOW, **given):
    return TRIGGER.accept(given, stored=stored or {}, created_at=NOW, now=now)


def refused(stored=None, **given):
    with pytest.raises(errors.InvalidInput) as caught:
        accepted(stored, **given)
    return caught.value.message


def fires(properties, after=NOW, count=3):
    return list(itertools.islice(TRIGGER.fires(properties, created_at=NOW, after=after, seed="t"), count))


def rule(*texts):
    lines = "".join(f"RRULE:{text}\r\n" for text in texts)
    return {"format": "calendar", "pattern": f"BEGIN:VEVENT\r\n{lines}END:VEVENT\r\n"}


def test_what_is_not_given_stays_absent():
    assert accepted(**NIGHTLY) == NIGHTLY
    assert accepted(**NIGHTLY, window=None, start_time=None) == NIGHTLY


def test_each_trigger_has_its_own_format():
    assert fires(accepted(**NIGHTLY))[0] == datetime(2026, 1, 3, 2, tzinfo=UTC)
    assert fires(accepted(**rule("FREQ=DAILY;BYHOUR=2;BYMINUTE=0;BYSECOND=0")))[0] == datetime(
        2026, 1, 3, 2, tzinfo=UTC
    )


@pytest.mark.parametrize("window", [900, 1800, "900", " 1200 "])
def test_a_window_may_be_a_number_or_its_text(window):
    kept = accepted(**NIGHTLY, window=window)
    assert kept["window"] == TRIGGER.window(kept) == int(window)


@pytest.mark.parametrize("window", [0, 899, 1801, "x", "", "1e3", True, 900.0, "9" * 100])
def test_a_window_out_of_bounds_is_refused(window):
    assert "window" in refused(**NIGHTLY, window=window)


def test_without_a_window_the_shortest_one_holds():
    assert TRIGGER.window(NIGHTLY) == 900


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-03-01 00:00:00", "2026-03-01 00:00:00"),
        ("2026-03-01T00:00:00", "2026-03-01 00:00:00"),
        ("2026-03-01T00:00:00Z", "2026-03-01 00:00:00"),
        ("2026-03-01T01:00:00+01:00", "2026-03-01 00:00:00"),
        (" 2026-03-01T00:00:00.000000 ", "2026-03-01 00:00:00"),
    ],
)
def test_times_are_taken_in_both_spellings_and_kept_in_one(given, kept):
    properties = accepted(**NIGHTLY, start_time=given)
    assert properties["start_time"] == kept
    assert fires(properties)[0] == datetime(2026, 3, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    "given",
    ["", "now", "2026-03-01", "2026-02-30 00:00:00", "2026-03-01 24:00:00", "1969-12-31 23:59:59",
     "2099-01-01 00:00:00", "2026-03-01 00:00:00.5", "0001-01-01 00:00:00+23:59", "２026-03-01 00:00:00", 5],
)  # fmt: skip
def test_what_is_no_time_is_refused(given):
    assert "start_time must be" in refused(**NIGHTLY, start_time=given)
    assert "end_time must be" in refused(**NIGHTLY, end_time=given)


def test_the_start_is_the_first_and_the_end_the_last_moment():
    properties = accepted(**NIGHTLY, start_time="2026-02-01 02:00:00", end_time="2026-02-03 02:00:00")
    assert [fire.day for fire in fires(properties, count=9)] == [1, 2, 3]


@pytest.mark.parametrize("end", ["2026-02-01 00:00:00", "2026-01-31 00:00:00"])
def test_an_end_before_the_start_is_refused(end):
    assert "later than start_time" in refused(**NIGHTLY, start_time="2026-02-01 00:00:00", end_time=end)


def test_an_end_before_the_first_run_is_refused():
    assert "never run" in refused(**NIGHTLY, end_time="2026-01-02 23:00:00")
    assert "never run" in refused(**NIGHTLY, start_time="2020-01-01 00:00:00", end_time="2021-01-01 00:00:00")


def test_times_of_the_pattern_are_in_its_zone():
    properties = accepted(**NIGHTLY, timezone="Europe/Berlin", start_time="2026-03-28 00:00:00")
    assert [str(fire) for fire in fires(properties)] == [
        "2026-03-28 01:00:00+00:00",
        "2026-03-29 01:00:00+00:00",  # 02:00 is skipped: at the jump
        "2026-03-30 00:00:00+00:00",
    ]


@pytest.mark.parametrize(
    "name", ["", "Europe", "Europe/berlin2", "../etc/passwd", "/etc/passwd", "right/UTC", "x\x00", 1]
)
def test_an_unknown_zone_is_refused(name):
    assert "timezone" in refused(**NIGHTLY, timezone=name)


@pytest.mark.parametrize(
    "given",
    [
        {"format": "crontab", "pattern": "*/30 * * * *"},
        {"format": "crontab", "pattern": "0,30 2 29 2 *"},
        rule("FREQ=MINUTELY"),
        rule("FREQ=DAILY;BYHOUR=2;BYMINUTE=0,59"),
        rule("FREQ=DAILY;BYHOUR=2;BYMINUTE=0", "FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=31;BYHOUR=2;BYMINUTE=30"),
    ],
)
def test_runs_that_come_too_close_are_refused(given):
    assert "seconds apart" in refused(**given)


def test_a_day_with_a_change_of_the_clocks_does_not_count_for_the_interval():
    accepted(format="crontab", pattern="30 2,3 * * *", timezone="Europe/Berlin")
    accepted(format="crontab", pattern="0 * * * *", timezone="Australia/Lord_Howe")


def test_only_runs_until_the_end_count_for_the_interval():
    accepted(format="crontab", pattern="0,30 2 * * *", end_time="2026-01-03 02:15:00")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "format must be one of calendar, crontab"),
        ({"format": "cron", "pattern": "0 2 * * *"}, "format must be one of calendar, crontab"),
        ({"format": "crontab"}, "pattern is required"),
        ({"format": "crontab", "pattern": "  "}, "pattern is required"),
        ({"format": "crontab", "pattern": "FREQ=DAILY"}, "five fields"),
        ({"format": "calendar", "pattern": "0 2 * * *"}, "cannot be understood"),
        ({**NIGHTLY, "windows": 900}, "'windows' is not known"),
    ],
)
def test_what_is_wrong_is_named(given, reason):
    assert reason in refused(**given)


def test_a_change_is_merged_with_what_is_there():
    before = accepted(**NIGHTLY, window=1200, end_time="2027-01-01 00:00:00")
    after = accepted(before, pattern="30 3 * * *", end_time=None)
    assert after == {"format": "crontab", "pattern": "30 3 * * *", "window": 1200}
    assert "five fields" in refused(before, pattern="x")
    assert "cannot be understood" in refused(before, format="calendar")


def test_a_trigger_without_a_start_goes_on_from_when_it_was_made():
    properties = accepted(**rule("FREQ=DAILY;INTERVAL=2"))
    later = NOW + timedelta(days=7)
    assert fires(properties, later)[0] == NOW.replace(microsecond=0) + timedelta(days=8)
    assert accepted(properties, window=900, now=later) == {**properties, "window": 900}


def planned(properties, after=NOW, count=3, seed="t"):
    return list(itertools.islice(TRIGGER.plan(properties, created_at=NOW, after=after, seed=seed), count))


class TestJitter:
    def test_it_moves_all_times_of_a_trigger_by_the_same_part_of_it(self):
        properties = accepted(**NIGHTLY, jitter="900")
        assert properties["jitter"] == 900
        offsets = {fire.at - fire.planned for fire in planned(properties, count=100)}
        assert len(offsets) == 1 and timedelta() <= offsets.pop() <= timedelta(seconds=900)

    def test_it_spreads_triggers_over_all_of_it(self):
        properties = accepted(**NIGHTLY, jitter=900)
        offsets = [planned(properties, seed=f"t{number}")[0] for number in range(1000)]
        seconds = sorted((fire.at - fire.planned).seconds for fire in offsets)
        assert seconds[0] < 60 and seconds[-1] > 840 and 350 < seconds[500] < 550

    def test_the_same_times_are_found_wherever_one_begins_to_look(self):
        properties = accepted(format="crontab", pattern="0 * * * *", jitter=1800, blackouts="MO-FR 08:30-09:10")
        whole = [fire.at for fire in planned(properties, count=200) if not fire.left_out]
        for fire in whole[:50]:
            assert fires(properties, after=fire - timedelta(seconds=1), count=1) == [fire]
            assert fires(properties, after=fire, count=1)[0] == whole[whole.index(fire) + 1]

    def test_it_moves_nothing_behind_the_end_or_into_a_blackout(self):
        end = datetime(2026, 1, 3, 2, 1, tzinfo=UTC)
        properties = accepted(**NIGHTLY, jitter=1800, end_time=str(end)[:19])
        assert all(planned(properties, seed=f"t{number}")[0].at <= end for number in range(50))
        properties = accepted(**NIGHTLY, jitter=1800, blackouts=["02:05-23:00"])
        for number in range(50):
            at = planned(properties, seed=f"t{number}")[0].at
            assert datetime(2026, 1, 3, 2, tzinfo=UTC) <= at < datetime(2026, 1, 3, 2, 5, tzinfo=UTC)

    @pytest.mark.parametrize("jitter", [-1, 1801, "x", True, 1.5])
    def test_more_than_may_be_is_refused(self, jitter):
        assert "jitter" in refused(**NIGHTLY, jitter=jitter)


class TestBlackouts:
    def test_times_in_them_are_left_out(self):
        properties = accepted(**NIGHTLY, blackouts="SA SU 00:00-24:00", timezone="Europe/Berlin")
        assert [str(fire)[:16] for fire in fires(properties)] == [
            "2026-01-05 01:00",
            "2026-01-06 01:00",
            "2026-01-07 01:00",
        ]
        assert [(fire.at.day, fire.left_out) for fire in planned(properties)] == [(3, True), (4, True), (5, False)]

    def test_a_long_one_is_passed_quickly(self):
        properties = accepted(format="crontab", pattern="0 * * * *", blackouts="2026-01-03/2026-01-31")
        assert fires(properties, after=NOW + timedelta(days=2), count=1) == [datetime(2026, 2, 1, tzinfo=UTC)]

    @pytest.mark.parametrize(
        ("pattern", "blackouts"),
        [
            ("0 2 * * *", "01:00-03:00"),
            ("0 * * * *", "00:00-24:00"),
            ("0 * * * *", "00:00-00:30; 00:30-06:00; 06:00-12:00; 12:00-00:00"),
            ("0 0 25 12 *", "00:00-06:00"),
        ],
    )
    def test_one_that_they_leave_no_time_is_refused(self, pattern, blackouts):
        assert "its blackouts leave no time" in refused(format="crontab", pattern=pattern, blackouts=blackouts)

    def test_nothing_begins_late_in_them(self):
        properties = accepted(**NIGHTLY, window=1800, blackouts="02:10-05:00")
        fire = fires(properties)[0]
        assert TRIGGER.until(properties, fire) == fire + timedelta(minutes=10) - timedelta(seconds=1)
        assert TRIGGER.until(accepted(**NIGHTLY, window=1800), fire) == fire + timedelta(seconds=1800)

    def test_they_hold_by_the_clocks_of_the_zone(self):
        """In Berlin 02:30 comes twice on October 25, and not at all on March 29: 23 hours are left on each day."""
        hourly = {"format": "crontab", "pattern": "30 * * * *", "timezone": "Europe/Berlin"}
        properties = accepted(**hourly, blackouts="02:00-03:00", start_time="2026-03-28 00:00:00")
        berlin = ZoneInfo("Europe/Berlin")
        for day in ("2026-10-25", "2026-03-29", "2026-06-01"):
            begin = datetime.fromisoformat(f"{day} 00:00").replace(tzinfo=berlin)
            end = (begin + timedelta(days=1)).astimezone(UTC)
            found = [fire for fire in fires(properties, after=begin.astimezone(UTC), count=30) if fire < end]
            assert len(found) == 23 and 2 not in {fire.astimezone(berlin).hour for fire in found}

    def test_null_takes_them_away(self):
        before = accepted(**NIGHTLY, blackouts="SA 00:00-24:00")
        assert accepted(before, blackouts=None) == NIGHTLY


DEAR = {
    "empty": rule("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"),
    "empty, by the hour": rule("FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30;BYMINUTE=0"),
    "positions": rule("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;BYSETPOS=1,2,3,4,5,6,7,8,9,10"),
    "many times": rule(
        f"FREQ=YEARLY;BYMONTHDAY={','.join(map(str, range(1, 32)))};BYHOUR={','.join(map(str, range(24)))}"
    ),
    "old": {**rule("FREQ=HOURLY"), "start_time": "1970-01-01 00:00:00"},
    "old, with a count": {**rule("FREQ=HOURLY;COUNT=10000"), "start_time": "2000-01-01 00:00:00"},
    "minutes": rule("FREQ=MINUTELY;INTERVAL=61"),
    "four rules": rule(*["FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;BYSETPOS=1,2,3"] * 4),
    "fifth Monday in February": {"format": "crontab", "pattern": "0 0 */7 2 1#5"},
    "a long night": {
        "format": "crontab",
        "pattern": "0 * * * *",
        "blackouts": ";".join(f"{hour:02}:00-{hour + 1:02}:00" for hour in range(19)) + ";19:00-00:00",
    },
    "every hour": {"format": "crontab", "pattern": "0 * * * *", "start_time": "1970-01-01 00:00:00"},
}


@pytest.mark.parametrize("given", DEAR.values(), ids=DEAR)
def test_the_dearest_patterns_are_answered_or_refused(given):
    """Without the bounds dateutil walks to the year 9999 for some of them, and the time limit of a test ends it."""
    try:
        assert fires(accepted(**given), count=100)
    except errors.InvalidInput as fault:
        assert fault.message


@settings(max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries(
        {"format": st.sampled_from(("crontab", "calendar"))},
        optional={
            "pattern": st.sampled_from(("0 2 * * *", "0 */2 * * *", "* * * * *", rule("FREQ=WEEKLY")["pattern"], "x")),
            "window": st.integers(0, 4000) | st.integers(0, 4000).map(str) | st.text(max_size=4),
            "start_time": st.datetimes(datetime(2000, 1, 1), datetime(2098, 1, 1)).map(lambda at: str(at)[:19]),
            "end_time": st.datetimes(datetime(2000, 1, 1), datetime(2098, 1, 1)).map(lambda at: at.isoformat()[:19]),
            "timezone": st.sampled_from(("UTC", "Europe/Berlin", "America/New_York", "x")),
            "jitter": st.integers(-1, 1900),
            "blackouts": st.sampled_from(("MO-FR 08:00-18:00", "22:00-06:00; 2026-12-24", ["SU 00:00-24:00"], "x")),
        },
    )
)
def test_what_is_accepted_is_accepted_again_and_keeps_its_promises(given):
    try:
        kept = accepted(**given)
    except errors.InvalidInput:
        return
    assert TRIGGER.accept(kept, stored=kept, created_at=NOW, now=NOW) == kept
    assert TRIGGER.accept({}, stored=kept, created_at=NOW, now=NOW) == kept
    assert 900 <= TRIGGER.window(kept) <= 1800
    found = fires(kept, count=30)
    assert found and found[0] > NOW
    if kept.get("timezone", "UTC") == "UTC":
        assert all(other - one >= timedelta(hours=1) for one, other in itertools.pairwise(found))


def test_enough_runs_are_compared_to_see_a_whole_year_of_days():
    assert COMPARED > 2 * 366

# SPDX-License-Identifier: Apache-2.0
"""Is what will be kept over a year what the engine would leave, had the year passed?"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from karbor.model.forecast import NEW, forecast
from karbor.model.retention import FAILED, GOOD, LEVELS, Point, Policy, choose, policy_of

NOW = datetime(2026, 1, 1, 2, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def _days(number):
    return [NOW + place * DAY for place in range(number)]


def test_a_year_of_days_weeks_and_months():
    policy = policy_of({"keep_daily": 7, "keep_weekly": 4, "keep_monthly": 12})
    found = forecast([], policy, _days(365))
    assert [(month.name, month.made) for month in found.months][:2] == [("2026-01", 31), ("2026-02", 28)]
    assert (found.made, found.made - found.removed) == (365, len(found.kept))
    assert [month.kept for month in found.months][-1] == len(found.kept)
    # Seven days, in which two weeks end; two more weeks; eleven more months.
    assert len(found.kept) == 7 + 2 + 11
    assert found.kept[0].id == f"{NEW}{(NOW + 364 * DAY).isoformat()}"


def test_what_is_there_grows_old_as_well():
    history = [Point(f"old-{age}", NOW - age * DAY, GOOD) for age in range(1, 4)]
    manual = Point("manual", NOW - DAY / 2, GOOD, own=False)
    found = forecast([*history, manual], Policy(max_backups=3), _days(2))
    assert [point.id for point in found.kept][2:] == ["manual", "old-1"]
    assert [month.removed for month in found.months] == [2]


def test_without_the_verification_that_the_policy_asks_for_nothing_goes():
    policy = Policy(max_backups=2, verified="data")
    assert forecast([], policy, _days(60)).removed == 0
    weekly = {NOW + week * 7 * DAY + HOUR: "data" for week in range(9)}
    # The last proof is of the 57th day; what is newer than that waits for the next one.
    assert len(forecast([], policy, _days(60), verified=weekly).kept) == 4


def test_locks_keep_what_the_policy_would_let_go():
    assert len(forecast([], Policy(max_backups=1), _days(60), locked=30 * DAY).kept) == 30


def test_no_fires_change_nothing():
    history = [Point("a", NOW, GOOD), Point("b", NOW - DAY, FAILED)]
    assert forecast(history, Policy(max_backups=1), []).kept == tuple(history)


_OLD = st.builds(
    Point,
    id=st.uuids().map(str),
    at=st.integers(1, 500).map(lambda hours: NOW - hours * 7 * HOUR),
    status=st.sampled_from([GOOD, GOOD, FAILED]),
    own=st.sampled_from([True, True, False]),
    held=st.sampled_from([False, False, False, True]),
    verified_level=st.sampled_from([None, "quick", "data"]),
    locked_until=st.sampled_from([None, None, NOW + 9 * DAY]),
)
_NUMBERS = st.sampled_from([0, 0, 1, 2, 3, 7])
_POLICIES = st.builds(
    Policy,
    max_backups=_NUMBERS,
    max_days=st.sampled_from([0, 0, 1, 30]),
    keeps=st.dictionaries(
        st.sampled_from(["keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly"]), _NUMBERS
    ),
    keep_failed=_NUMBERS,
    verified=st.sampled_from([None, None, "quick", "data"]),
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(_OLD, max_size=12, unique_by=lambda point: point.id),
    _POLICIES,
    st.lists(st.integers(0, 1500), max_size=40, unique=True).map(sorted),
    st.lists(st.integers(0, 1500), max_size=8, unique=True).map(sorted),
    st.sampled_from([timedelta(0), 5 * DAY]),
)
def test_it_is_what_is_left_when_every_checkpoint_is_followed_by_the_policy(history, policy, hours, checks, locked):
    """The plain way: step by step."""
    fires = [NOW + hour * HOUR for hour in hours]
    verified = {NOW + hour * HOUR + HOUR / 2: LEVELS[hour % 2] for hour in checks}
    points, planned = list(history), dict(verified)
    for fire in fires:
        points.append(Point(f"{NEW}{fire.isoformat()}", fire, GOOD, locked_until=fire + locked))
        for at in [at for at in sorted(verified) if at <= fire]:
            level = verified.pop(at)
            there = [point for point in points if point.status == GOOD and point.at <= at]
            newest = max(there, key=lambda point: (point.at, point.id), default=None)
            if newest is not None and (newest.verified_level not in LEVELS or level == "data"):
                points[points.index(newest)] = replace(newest, verified_level=level)
        gone = set(choose(points, policy, fire)[1])
        points = [point for point in points if point.id not in gone]
    expected = sorted(points, key=lambda point: (point.at, point.id), reverse=True)
    assert forecast(history, policy, fires, verified=planned, locked=locked).kept == tuple(expected)

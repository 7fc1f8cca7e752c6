# SPDX-License-Identifier: Apache-2.0
"""Does retention delete what was asked for, and never what must stay?"""

import os
import zoneinfo
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor.model.retention import FAILED, GOOD, LEVELS, REASONS, Point, Policy, choose, is_own, policy_of, why

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
#: For the long run: KARBOR_RETENTION_EXAMPLES=100000.
EXAMPLES = int(os.environ.get("KARBOR_RETENTION_EXAMPLES", "400"))
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


def _days(*ages, status=GOOD, **more):
    return [Point(f"{status}-{age}", NOW - age * DAY, status, **more) for age in ages]


def _ages(found):
    return [int(id.rpartition("-")[2]) for id in found]


class TestBounds:
    def test_seven_daily_keep_three_listed_the_wrong_way_round(self):
        """The old service deleted the newest four of these, because a bank listed them the other way round."""
        history = _days(6, 5, 4, 3, 2, 1, 0)
        for listed in (history, history[::-1], history[3:] + history[:3]):
            stay, going = choose(listed, Policy(max_backups=3), NOW)
            assert (_ages(stay), _ages(going)) == ([0, 1, 2], [3, 4, 5, 6])

    def test_by_age(self):
        _stay, going = choose(_days(0, 1, 29, 30, 31, 400), Policy(max_days=30), NOW)
        assert _ages(going) == [31, 400]

    def test_the_newest_good_one_stays_however_old_it_is(self):
        assert choose(_days(400, 500), Policy(max_days=1), NOW)[1] == ("available-500",)
        assert choose(_days(400), Policy(max_backups=1, max_days=1), NOW)[1] == ()

    def test_without_a_wish_nothing_goes(self):
        assert choose(_days(*range(50)), Policy(), NOW)[1] == ()
        assert choose(_days(*range(50)), policy_of({"max_backups": -1, "max_backup_duration": 0}), NOW)[1] == ()


class TestWhatIsNotOurs:
    @pytest.mark.parametrize("given", [{"own": False}, {"held": True}])
    def test_manual_foreign_and_held_ones_stay(self, given):
        others = [replace(point, id=f"other-{point.id}") for point in _days(1, 2, 3, **given)]
        stay, going = choose([*_days(0, 1, 2), *others], Policy(max_backups=1), NOW)
        assert {point.id for point in others} <= set(stay) and "available-2" in going

    def test_manual_ones_do_not_count(self):
        assert choose([*_days(0, 1, own=False), *_days(2, 3, 4)], Policy(max_backups=3), NOW)[1] == ()

    @pytest.mark.parametrize("status", ["protecting", "deleting", "copying", "wait_copying", "error-deleting"])
    def test_what_is_being_made_or_deleted_is_left_alone_and_does_not_count(self, status):
        assert choose([*_days(0, status=status), *_days(1, 2, 3)], Policy(max_backups=3), NOW)[1] == ()


class TestFailedOnes:
    def test_they_never_take_the_place_of_a_good_one(self):
        stay, going = choose([*_days(0, 1, 2, 3, status=FAILED), *_days(4, 5, 6)], Policy(max_backups=3), NOW)
        assert set(_ages(stay)) == {0, 1, 2, 4, 5, 6} and going == ("error-3",)

    def test_how_many_stay_may_be_chosen(self):
        assert len(choose(_days(*range(9), status=FAILED), policy_of({"keep_failed": 0}), NOW)[1]) == 9


class TestProof:
    def test_nothing_goes_until_a_newer_one_was_verified_so_deep(self):
        policy = Policy(max_backups=1, verified="data")
        assert choose(_days(0, 1, 2), policy, NOW)[1] == ()
        quick = [*_days(0), *_days(1, verified_level="quick"), *_days(2)]
        assert choose(quick, policy, NOW)[1] == ()
        assert choose(quick, replace(policy, verified="quick"), NOW)[1] == ("available-2",)
        deep = [*_days(0), *_days(1, verified_level="data"), *_days(2)]
        assert choose(deep, policy, NOW)[1] == ("available-2",)

    def test_a_copy_proves_nothing(self):
        policy = Policy(max_backups=1, verified="data")
        copy = Point("copy", NOW, GOOD, own=False, verified_level="data", copy=True)
        assert choose([copy, *_days(1, 2, 3)], policy, NOW)[1] == ()


class TestLocks:
    def test_a_lock_that_has_ended_keeps_nothing(self):
        locked = [replace(point, locked_until=NOW + DAY) for point in _days(1)]
        ended = [replace(point, locked_until=NOW - DAY) for point in _days(2)]
        assert choose([*_days(0), *locked, *ended], Policy(max_backups=1), NOW)[1] == ("available-2",)


class TestScope:
    def test_a_policy_is_about_its_own_schedule_or_about_the_plan(self):
        own, other, manual = {"scheduled_operation_id": "a"}, {"scheduled_operation_id": "b"}, {"note": "by hand"}
        assert [is_own(notes, policy_of({}), "a") for notes in (own, other, manual)] == [True, False, False]
        wide = policy_of({"scope": "plan"})
        assert [is_own(notes, wide, "a") for notes in (own, other, manual)] == [True, True, False]


class TestGenerations:
    def test_days_weeks_and_months(self):
        policy = policy_of({"keep_daily": 3, "keep_weekly": 2, "keep_monthly": 2})
        stay, _going = choose(_days(*range(60)), policy, NOW)
        # NOW is a Sunday, the first of March: its week is that of the days, its month has one day.
        assert _ages(stay) == [0, 1, 2, 7]
        assert _ages(choose(_days(*range(60)), policy_of({"keep_monthly": 3}), NOW)[0]) == [0, 1, 29]

    def test_a_promise_goes_before_a_bound(self):
        policy = policy_of({"max_backups": 2, "keep_weekly": 3})
        assert _ages(choose(_days(*range(20)), policy, NOW)[0]) == [0, 1, 7, 14]

    def test_a_day_begins_where_the_zone_says(self):
        points = [Point(str(hour), datetime(2026, 1, 1, hour, tzinfo=UTC), GOOD) for hour in (21, 22, 23)]
        assert choose(points, Policy(keeps={"keep_daily": 2}), NOW)[0] == ("23",)
        assert choose(points, Policy(keeps={"keep_daily": 2}, zone=BERLIN), NOW)[0] == ("23", "22")

    def test_an_hour_that_comes_twice_is_two(self):
        points = [Point(str(hour), datetime(2026, 10, 25, hour, 30, tzinfo=UTC), GOOD) for hour in (0, 1)]
        assert len(choose(points, Policy(keeps={"keep_hourly": 2}, zone=BERLIN), NOW)[0]) == 2


def _oracle(history, policy, now):
    """The same in the plainest words: for each one, may it go?"""
    going = set()
    good = [point for point in history if point.status == GOOD]
    for point in history:
        if not point.own or _stays(point, now):
            continue
        if point.status == FAILED:
            failed = [one for one in history if one.status == FAILED and one.own and not _stays(one, now)]
            newer = [one for one in failed if _newer(one, point)]
            if len(newer) >= policy.keep_failed:
                going.add(point.id)
            continue
        if point.status != GOOD:
            continue
        newer = [one for one in good if _newer(one, point)]
        own_newer = [one for one in newer if one.own]
        levels = [None, *LEVELS]
        proven = [
            one for one in newer if not one.copy and levels.index(one.verified_level) >= levels.index(policy.verified)
        ]
        if not own_newer or not proven:
            continue
        count = bool(policy.max_backups) and len(own_newer) >= policy.max_backups
        age = bool(policy.max_days) and now - point.at > timedelta(days=policy.max_days)
        bounded, promises = bool(policy.max_backups or policy.max_days), any(policy.keeps.values())
        if (count or age or (promises and not bounded)) and not _kept(point, own_newer, good, policy):
            going.add(point.id)
    return going


def _stays(point, now):
    return point.held or (point.locked_until or now) > now


def _newer(one, other):
    return (one.at, one.id) > (other.at, other.id)


def _kept(point, own_newer, good, policy):
    if len(own_newer) < policy.keeps.get("keep_last", 0):
        return True
    formats = {"keep_hourly": "%Y%m%d%H%z", "keep_daily": "%Y%m%d", "keep_weekly": "%G%V", "keep_monthly": "%Y%m",
               "keep_yearly": "%Y"}  # fmt: skip
    for name, format_ in formats.items():
        mine = point.at.astimezone(policy.zone).strftime(format_)
        theirs = {one.at.astimezone(policy.zone).strftime(format_) for one in own_newer}
        if mine not in theirs and len(theirs) < policy.keeps.get(name, 0):
            return True
    return False


_POINTS = st.builds(
    Point,
    id=st.uuids().map(str),
    at=st.integers(0, 2000).map(lambda hours: NOW - timedelta(hours=hours * 5)),
    status=st.sampled_from([GOOD, GOOD, GOOD, FAILED, "protecting", "deleting"]),
    own=st.sampled_from([True, True, True, False]),
    held=st.sampled_from([False, False, False, True]),
    verified_level=st.sampled_from([None, "quick", "data"]),
    locked_until=st.sampled_from([None, None, None, NOW - DAY, NOW + DAY]),
    copy=st.sampled_from([False, False, False, True]),
).map(lambda point: replace(point, own=point.own and not point.copy))
_NUMBERS = st.sampled_from([0, 0, 1, 2, 3, 7])
_POLICIES = st.builds(
    Policy,
    max_backups=_NUMBERS,
    max_days=st.sampled_from([0, 0, 1, 30, 200]),
    keeps=st.dictionaries(
        st.sampled_from(["keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly"]),
        _NUMBERS,
    ),
    keep_failed=_NUMBERS,
    verified=st.sampled_from([None, None, "quick", "data"]),
    zone=st.sampled_from([UTC, BERLIN]),
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(_POINTS, max_size=40, unique_by=lambda point: point.id), _POLICIES)
def test_it_does_what_plain_words_say_and_keeps_its_promises(history, policy):
    stay, going = choose(history, policy, NOW)
    assert set(going) == _oracle(history, policy, NOW)
    assert sorted([*stay, *going]) == sorted(point.id for point in history)
    by_id = {point.id: point for point in history}
    good = [point for point in history if point.status == GOOD]
    if good:
        assert max(good, key=lambda point: (point.at, point.id)).id in stay
    for id in going:
        assert by_id[id].own and not _stays(by_id[id], NOW) and by_id[id].status in (GOOD, FAILED)
    left = [by_id[id] for id in stay if by_id[id].status == GOOD and by_id[id].own]
    if policy.max_backups and not policy.max_days:
        assert len(left) >= min(policy.max_backups, len([point for point in good if point.own]))
    reasons = why(history, policy, NOW)
    assert list(reasons) == list(stay)
    assert all(given and set(given) <= set(REASONS) for given in reasons.values())

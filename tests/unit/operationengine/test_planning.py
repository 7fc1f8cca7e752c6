# SPDX-License-Identifier: Apache-2.0
"""Does every due time become one run, or one that was missed?"""

from datetime import UTC, datetime, timedelta

import pytest

from karbor.db.fires import BROKEN, UNPLANNED, Due, milliseconds
from karbor.operationengine.planning import AT_ONCE, settle
from karbor.sdk.trigger import Limits, load_types
from tests.support import rows as make

START = datetime(2026, 1, 2, tzinfo=UTC)
HOUR = 3_600_000
KINDS = load_types(Limits(3600, 900, 1800))


def _at(**after):
    return milliseconds(START + timedelta(**after))


def _due(at_ms, **given):
    properties = {"format": "crontab", "pattern": "0 * * * *", "window": 900, **given.pop("properties", {})}
    return Due(make.trigger(properties=properties, created_at=START, **given), at_ms, 0)


def _settled(at_ms, now_ms, **given):
    found = settle(_due(at_ms, **given), KINDS, now_ms)
    return found.next_ms, [(one.at_ms, one.until_ms, bool(one.missed)) for one in found.fired]


class TestInTime:
    @pytest.mark.parametrize("late", [0, 1, 900_000])
    def test_inside_its_window_it_is_run(self, late):
        at = _at(hours=1)
        assert _settled(at, at + late) == (_at(hours=2), [(at, at + 900_000, False)])

    def test_behind_its_window_it_was_missed(self):
        at = _at(hours=1)
        assert _settled(at, at + 900_001) == (_at(hours=2), [(at, None, True)])

    def test_after_the_last_time_there_is_no_next_one(self):
        at = _at(hours=1)
        given = {"properties": {"end_time": "2026-01-02 01:30:00"}}
        assert _settled(at, at, **given) == (None, [(at, at + 900_000, False)])


class TestAfterAnOutage:
    def test_every_time_that_passed_is_told_of_and_the_last_is_run_where_it_may(self):
        found = _settled(_at(hours=1), _at(hours=5, seconds=5))
        missed = [(_at(hours=hour), None, True) for hour in range(1, 5)]
        assert found == (_at(hours=6), [*missed, (_at(hours=5), _at(hours=5, seconds=900), False)])

    def test_a_very_long_one_is_gone_through_in_parts(self):
        now, at, seen = _at(hours=3 * AT_ONCE, minutes=30), _at(hours=1), []
        for _part in range(4):
            at, fired = _settled(at, now)
            seen += fired
            if at > now:
                break
        assert [one[0] for one in seen] == [_at(hours=hour) for hour in range(1, 3 * AT_ONCE + 1)]
        assert all(missed for _at_ms, _until, missed in seen)


class TestTriggersNobodyLookedAt:
    def test_they_begin_from_now_on_and_make_up_for_nothing(self):
        assert _settled(UNPLANNED, _at(hours=7, minutes=1)) == (_at(hours=8), [])

    def test_one_that_has_ended_never_fires(self):
        assert _settled(UNPLANNED, _at(days=1), properties={"end_time": "2026-01-02 01:30:00"}) == (None, [])


class TestTriggersNobodyUnderstands:
    @pytest.mark.parametrize("given", [{"type": "moon"}, {"properties": {"pattern": "x"}}])
    def test_the_time_was_missed_and_says_why(self, given):
        found = settle(_due(_at(hours=1), **given), KINDS, _at(hours=1))
        assert found.next_ms == BROKEN and "could not be found out" in found.fired[0].missed
        assert settle(_due(UNPLANNED, **given), KINDS, _at(hours=1)).fired == ()

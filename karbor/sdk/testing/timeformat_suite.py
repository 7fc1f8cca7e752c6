# SPDX-License-Identifier: Apache-2.0
"""Does a time format keep its conditions? Subclass TimeFormatSuite, say what is good and what is not, and run pytest:

class TestCrontab(TimeFormatSuite):
    format = Crontab
    good = ("0 2 * * *", "30 1 1 * *")
    bad = ("", "every night")
    daily_at = "{minute} {hour} * * *"
"""

import itertools
from datetime import UTC, datetime, timedelta, tzinfo
from typing import ClassVar
from zoneinfo import ZoneInfo

import pytest

from karbor.model import errors
from karbor.sdk.timeformat import TimeFormat, limit

_START = datetime(2026, 1, 1, tzinfo=UTC)
_BERLIN = ZoneInfo("Europe/Berlin")
_ZONES: tuple[tzinfo, ...] = (UTC, _BERLIN, ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe"))


class TimeFormatSuite:
    """The conditions as tests. ``daily_at`` is the pattern for every day, with ``{hour}`` and ``{minute}`` in it."""

    format: ClassVar[type[TimeFormat]]
    good: ClassVar[tuple[str, ...]]
    bad: ClassVar[tuple[str, ...]]
    daily_at: ClassVar[str]

    def test_a_bad_pattern_is_refused(self) -> None:
        for pattern in self.bad:
            with pytest.raises(errors.InvalidInput):
                self.format(pattern, start=_START, zone=UTC)

    def test_fires_ascend_in_whole_seconds_of_utc_and_none_is_before_the_start(self) -> None:
        for pattern, zone in itertools.product(self.good, _ZONES):
            fires = self._fires(pattern, zone, _START - timedelta(days=400))
            assert fires, pattern
            assert all(one < other for one, other in itertools.pairwise(fires))
            assert all(fire.tzinfo is UTC and fire.microsecond == 0 and fire >= _START for fire in fires)

    def test_whoever_asks_later_sees_the_rest_of_the_same_fires(self) -> None:
        for pattern, zone in itertools.product(self.good, _ZONES):
            fires = self._fires(pattern, zone, _START)
            for place in (0, len(fires) // 2):
                assert self._fires(pattern, zone, fires[place])[: len(fires) - place - 1] == fires[place + 1 :]

    def test_the_moment_asked_about_is_no_answer(self) -> None:
        for pattern in self.good:
            first, second = self._fires(pattern, UTC, _START)[:2]
            parsed = self.format(pattern, start=_START, zone=UTC)
            assert next(parsed.fires(first - timedelta(microseconds=1))) == first
            assert next(parsed.fires(first + timedelta(microseconds=1))) == second

    def test_nothing_is_looked_for_behind_the_limit(self) -> None:
        for pattern in self.good:
            parsed = self.format(pattern, start=_START, zone=UTC)
            assert all(fire <= limit(_START, _START) for fire in itertools.islice(parsed.fires(_START), 20000))

    def test_a_time_that_is_skipped_is_run_at_the_jump(self) -> None:
        fires = self._daily(2, 30, datetime(2026, 3, 28, tzinfo=UTC))
        assert [str(fire) for fire in fires] == [
            "2026-03-28 02:30:00+01:00",
            "2026-03-29 03:00:00+02:00",
            "2026-03-30 02:30:00+02:00",
        ]

    def test_a_time_that_comes_twice_is_run_the_first_time(self) -> None:
        fires = self._daily(2, 30, datetime(2026, 10, 24, tzinfo=UTC))
        assert [str(fire) for fire in fires] == [
            "2026-10-24 02:30:00+02:00",
            "2026-10-25 02:30:00+02:00",
            "2026-10-26 02:30:00+01:00",
        ]

    def _daily(self, hour: int, minute: int, after: datetime) -> list[datetime]:
        pattern = self.daily_at.format(hour=hour, minute=minute)
        return [fire.astimezone(_BERLIN) for fire in self._fires(pattern, _BERLIN, after)[:3]]

    def _fires(self, pattern: str, zone: tzinfo, after: datetime) -> list[datetime]:
        return list(itertools.islice(self.format(pattern, start=_START, zone=zone).fires(after), 60))

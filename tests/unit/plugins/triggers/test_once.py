# SPDX-License-Identifier: Apache-2.0
"""Does a trigger for one moment fire once, then, and at no other?"""

from datetime import UTC, datetime, timedelta

import pytest

from karbor.model import errors
from karbor.plugins.triggers.once import OnceTrigger
from karbor.sdk.trigger import Limits

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TRIGGER = OnceTrigger(Limits(min_interval=3600, min_window=900, max_window=1800))


def accepted(now=NOW, **given):
    return TRIGGER.accept(given, stored={}, created_at=NOW, now=now)


def fires(properties, after=NOW):
    return list(TRIGGER.fires(properties, created_at=NOW, after=after, seed="t"))


@pytest.mark.parametrize(
    ("given", "moment"),
    [
        ({"at": "2026-07-01 02:00:00"}, datetime(2026, 7, 1, 2, tzinfo=UTC)),
        ({"at": "2026-07-01T02:00:00", "timezone": "Europe/Berlin"}, datetime(2026, 7, 1, 0, tzinfo=UTC)),
        ({"at": "2026-07-01T02:00:00+05:00", "timezone": "Europe/Berlin"}, datetime(2026, 6, 30, 21, tzinfo=UTC)),
        ({"at": "2026-10-25 02:30:00", "timezone": "Europe/Berlin"}, datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
    ],
)
def test_it_fires_once(given, moment):
    kept = accepted(**given)
    assert fires(kept) == [moment]
    assert fires(kept, after=moment) == []
    assert TRIGGER.window(kept) == 900


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "at must be a time"),
        ({"at": "tomorrow"}, "at must be a time"),
        ({"at": "2026-02-30 00:00:00"}, "at must be a time"),
        ({"at": "2026-01-02 03:04:05"}, "must lie ahead"),
        ({"at": "2020-01-01 00:00:00"}, "must lie ahead"),
        ({"at": "2026-03-29 02:30:00", "timezone": "Europe/Berlin"}, "the clocks skip it"),
        ({"at": "2026-07-01 02:00:00", "timezone": "Mars"}, "timezone"),
        ({"at": "2026-07-01 02:00:00", "pattern": "x"}, "'pattern' is not known"),
        ({"at": "2026-07-01 02:00:00", "window": 1}, "window must be between"),
    ],
)
def test_what_is_wrong_is_named(given, reason):
    with pytest.raises(errors.InvalidInput) as caught:
        accepted(**given)
    assert reason in caught.value.message


def test_one_that_has_fired_can_be_given_another_moment():
    kept = accepted(at="2026-01-03 00:00:00")
    later = NOW + timedelta(days=10)
    with pytest.raises(errors.InvalidInput):
        TRIGGER.accept({"window": 1000}, stored=kept, created_at=NOW, now=later)
    changed = TRIGGER.accept({"at": "2026-02-01 00:00:00"}, stored=kept, created_at=NOW, now=later)
    assert fires(changed, after=later) == [datetime(2026, 2, 1, tzinfo=UTC)]

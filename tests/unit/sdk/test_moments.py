# SPDX-License-Identifier: Apache-2.0
"""Are moments and zones that somebody typed read as they were meant, or refused?"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from karbor.model import errors
from karbor.sdk.moments import moment, zone_named

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-03-01 00:00:00", UTC, datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T00:00:00Z", BERLIN, datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-07-01 00:00:00", BERLIN, datetime(2026, 6, 30, 22, tzinfo=UTC)),
        ("2026-10-25 02:30:00", BERLIN, datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("2026-03-29 03:00:00", BERLIN, datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read_in_its_zone(text, zone, expected):
    assert moment("at", text, zone) == expected


@pytest.mark.parametrize("text", ["2026-03-29 02:00:00", "2026-03-29 02:59:59"])
def test_a_moment_that_the_clocks_skip_is_refused(text):
    with pytest.raises(errors.InvalidInput) as caught:
        moment("at", text, BERLIN)
    assert "the clocks skip it" in caught.value.message


@pytest.mark.parametrize("value", ["", "now", 5, None, "2026-02-30 00:00:00", "1969-12-31 23:59:59"])
def test_what_is_no_moment_is_refused(value):
    with pytest.raises(errors.InvalidInput) as caught:
        moment("at", value)
    assert "at must be a time" in caught.value.message


def test_zones_have_names():
    assert zone_named("UTC") is UTC and zone_named("Europe/Berlin") == BERLIN
    for wrong in ("", "Mars", None, 5, "../etc/passwd"):
        with pytest.raises(errors.InvalidInput):
            zone_named(wrong)

# SPDX-License-Identifier: Apache-2.0
"""When would somebody who watches a clock on the wall, minute by minute, say that it is time?

The slow and plain meaning of a schedule, to compare the quick ones with. It knows nothing of crontab, iCalendar or any
library but the zones of Python.
"""

import functools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_MINUTE = timedelta(minutes=1)
#: Changes by an hour, by half an hour, at midnight, on the other half of the earth, and none at all.
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "America/Santiago",
    "Pacific/Chatham",
    "Asia/Kolkata",
)


def fires(matches, zone, begin, end, *, hourly=False):
    """The minutes from ``begin`` until ``end`` (UTC) at which it is time.

    ``matches`` says of a wall-clock time whether it is meant. Minutes that the clock skips count at the jump; those
    that it shows twice count the first time. With ``hourly`` the skipped ones do not count, and the others count twice.
    """
    watched = _watched(zone, begin, end, hourly)
    return [moment for moment, meant in watched if any(matches(time) for time in meant)]


@functools.cache
def _watched(zone, begin, end, hourly):
    """Every minute with the wall-clock times that count then."""
    found, seen = [], set()
    for number in range(-180, (end - begin) // _MINUTE + 1):  # before the beginning, to know what was seen already
        moment = begin + number * _MINUTE
        wall = _wall(moment, zone)
        meant = [wall] if hourly or wall not in seen else []
        before = _wall(moment - _MINUTE, zone)
        if not hourly:
            meant += [before + step * _MINUTE for step in range(1, (wall - before) // _MINUTE)]
        seen.add(wall)
        if number >= 0 and meant:
            found.append((moment, meant))
    return found


def _wall(moment, zone):
    return moment.astimezone(zone).replace(tzinfo=None)


@functools.cache
def changes(name, year=2026):
    """The hours (UTC) of a year in which a zone changes its offset."""
    zone, hour = ZoneInfo(name), datetime(year, 1, 1, tzinfo=UTC)
    found = []
    while hour.year == year:
        after = hour + timedelta(hours=1)
        if hour.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            found.append(hour)
        hour = after
    return found


def around_changes(name, days=2):
    """Stretches of time around both changes of a zone; where it has none, one ordinary stretch."""
    middles = changes(name) or [datetime(2026, 6, 1, tzinfo=UTC)]
    return [(middle - timedelta(days=days), middle + timedelta(days=days)) for middle in middles]

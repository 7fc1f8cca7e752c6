# SPDX-License-Identifier: Apache-2.0
"""How do triggers read moments and zones that somebody typed?"""

import functools
import re
import zoneinfo
from datetime import UTC, datetime, tzinfo

from karbor.model import errors
from karbor.sdk.timeformat import EARLIEST, LATEST

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.0{1,6})?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def moment(name: str, value: object, zone: tzinfo = UTC) -> datetime:
    """A moment as in 2026-01-02 03:04:05, in ``zone`` where it has no offset; the first of two that are shown alike.

    Raises InvalidInput, also where the clocks of the zone skip it.
    """
    text = value.strip() if isinstance(value, str) else ""
    if match := _MOMENT.fullmatch(text):
        day, clock, _fraction, offset = match.groups()
        try:
            read = datetime.fromisoformat(f"{day}T{clock}{offset or ''}")
            local = read if offset else read.replace(tzinfo=zone)
            found = local.astimezone(UTC)
        except (ValueError, OverflowError):
            found = None
        if found is not None and EARLIEST <= found < LATEST:
            if found.astimezone(local.tzinfo).replace(tzinfo=None) != read.replace(tzinfo=None):
                raise errors.InvalidInput(f"{name}: there is no {clock} on {day} in {zone}; the clocks skip it.")
            return found
    raise errors.InvalidInput(
        f"{name} must be a time as in 2026-01-02 03:04:05{' (UTC)' if zone is UTC else ''}, "
        f"from {EARLIEST.year} to {LATEST.year - 1}."
    )


def zone_named(name: object) -> tzinfo:
    """The zone that a trigger names. Raises InvalidInput."""
    if name == "UTC":
        return UTC
    if not isinstance(name, str) or name not in _zones():
        raise errors.InvalidInput("timezone must be a name such as Europe/Berlin or UTC.")
    return zoneinfo.ZoneInfo(name)


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())

# SPDX-License-Identifier: Apache-2.0
"""When does a line of a crontab fire?"""

from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo

from cronsim import CronSim, CronSimError

from karbor.model import errors
from karbor.sdk.timeformat import TimeFormat, limit, moments

MAX_LENGTH = 255
_FIELDS = 5
_SECOND = timedelta(seconds=1)
_SLACK = timedelta(hours=4)  # clocks are not put back by more
_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class Crontab(TimeFormat):
    """Five fields as in crontab(5): minute, hour, day of month, month, day of week; or ``@daily`` and its like.

    A field that begins with a star makes day of month and day of week both count, as Debian's cron has it. With a
    star in minute or hour the pattern follows the real hours.
    """

    def __init__(self, pattern: str, *, start: datetime, zone: tzinfo) -> None:
        self._line = _NAMED.get(pattern.strip().lower(), pattern)
        self._start, self._zone = start, zone
        self._hourly = any(field.startswith("*") for field in self._line.split()[:2])
        if len(pattern) > MAX_LENGTH or len(self._line.split()) != _FIELDS:
            raise errors.InvalidInput(
                "A crontab pattern has five fields (minute, hour, day of month, month, day of week) and at most "
                f"{MAX_LENGTH} characters."
            )
        try:
            CronSim(self._line, start)
        except (CronSimError, ValueError) as fault:  # ValueError: a number with thousands of digits
            raise errors.InvalidInput(f"The crontab pattern cannot be understood: {_reason(fault)}.") from fault

    def fires(self, after: datetime) -> Iterator[datetime]:
        begin = max(after, self._start - _SECOND)
        end = limit(after, self._start)
        if begin >= end:
            return
        # cronsim is asked for wall-clock times: where the clocks change by half an hour its own way loses runs.
        first = (begin - _SLACK).astimezone(self._zone).replace(tzinfo=None)
        for fire in moments(CronSim(self._line, first), self._zone, hourly=self._hourly):
            if fire > end:
                return
            if fire > after and fire >= self._start:
                yield fire


def _reason(fault: Exception) -> str:
    text = str(fault)
    return text[0].lower() + text[1:] if isinstance(fault, CronSimError) else "a number is too large"

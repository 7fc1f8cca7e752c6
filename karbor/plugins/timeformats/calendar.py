# SPDX-License-Identifier: Apache-2.0
"""When does an event of an iCalendar recur (RFC 5545)?"""

import heapq
from collections.abc import Iterator
from datetime import datetime, tzinfo
from typing import Any

from icalendar import Component

from karbor.model import errors
from karbor.plugins.timeformats.recurrence import Recurrence
from karbor.sdk.timeformat import TimeFormat

MAX_LENGTH = 4096
MAX_RULES = 4
_REFUSED = ("RDATE", "EXDATE", "EXRULE")


class Calendar(TimeFormat):
    """The RRULEs of the first VEVENT that has any; a VCALENDAR around it is optional, and so are true line ends.

    DTSTART is not used: the recurrence begins with the trigger's start, and takes from it what the rule does not say.
    What else of the event decides about times (RDATE, EXDATE, EXRULE) is refused rather than ignored.
    """

    def __init__(self, pattern: str, *, start: datetime, zone: tzinfo) -> None:
        if len(pattern) > MAX_LENGTH:
            raise errors.InvalidInput(f"A calendar pattern may have at most {MAX_LENGTH} characters.")
        event = _event(pattern)
        for name in _REFUSED:
            if name in event:
                raise errors.InvalidInput(f"{name} is not supported in a calendar pattern.")
        given = event["RRULE"]
        rules = given if isinstance(given, list) else [given]
        if len(rules) > MAX_RULES:
            raise errors.InvalidInput(f"A calendar pattern may have at most {MAX_RULES} RRULEs.")
        self._rules = [Recurrence(rule, start=start, zone=zone) for rule in rules]

    def fires(self, after: datetime) -> Iterator[datetime]:
        last = None
        for fire in heapq.merge(*(rule.fires(after) for rule in self._rules)):
            if fire != last:
                last = fire
                yield fire


def _event(pattern: str) -> Any:
    """The first VEVENT with an RRULE. Raises InvalidInput."""
    text = pattern.strip()
    if "\n" not in text and "\r" not in text:  # typed on a command line, with the two characters instead
        text = text.replace("\\r", "").replace("\\n", "\n")
    try:
        for component in Component.from_ical(text, multiple=True):
            for event in component.walk("VEVENT"):
                if "RRULE" in event:
                    _rules_readable(event)
                    return event
    # The parser says what is wrong in many ways; all of them mean that the text is not iCalendar.
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as fault:
        reason = " ".join(str(fault).split())[:200]
        raise errors.InvalidInput(f"The calendar pattern cannot be understood: {reason}") from fault
    raise errors.InvalidInput("A calendar pattern needs a VEVENT with an RRULE.")


def _rules_readable(event: Any) -> None:
    """Broken values are only noticed when they are used."""
    given = event["RRULE"]
    for rule in given if isinstance(given, list) else [given]:
        list(rule.keys())

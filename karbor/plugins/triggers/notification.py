# SPDX-License-Identifier: Apache-2.0
"""When does a trigger of type ``notification`` start what hangs on it?"""

import fnmatch
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from karbor.model import errors
from karbor.model.event import NOTIFICATION, Event
from karbor.sdk.trigger import Properties, TriggerType

MAX_CONDITIONS, MAX_LENGTH = 10, 255
_KNOWN = ("event_type", "conditions", "window")
_TYPE = re.compile(r"[A-Za-z0-9_.*?\[\]!-]{1,255}", re.ASCII)
_PATH = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", re.ASCII)
_FORM = "conditions must be an object of paths and patterns, or a text 'path:pattern;path:pattern'"


class NotificationTrigger(TriggerType):
    """Whenever another service tells of something that happened in the project of the trigger.

    ``event_type`` is a pattern with ``*`` and ``?``, such as ``compute.instance.delete.start`` or ``volume.*.end``.
    Each of the ``conditions`` names a value in the payload by its path (``metadata.backup``) and a pattern that its
    text must match; a value that is not there matches nothing. Upper and lower case count.
    """

    listens = frozenset({NOTIFICATION})

    def accept(self, given: Properties, *, stored: Properties, created_at: datetime, now: datetime) -> dict[str, Any]:
        kept = self.merged(given, stored, _KNOWN)
        wanted = kept.get("event_type")
        if not isinstance(wanted, str) or not _TYPE.fullmatch(wanted):
            raise errors.InvalidInput("event_type is required: a pattern such as volume.create.end or volume.*.")
        if not wanted.strip("*?."):
            raise errors.InvalidInput("event_type must name something: every notification is too much.")
        if "conditions" in kept:
            kept["conditions"] = _conditions(kept["conditions"])
        return kept

    def matches(self, properties: Properties, event: Event) -> bool:
        if not fnmatch.fnmatchcase(event.type, properties["event_type"]):
            return False
        conditions: Mapping[str, str] = properties.get("conditions", {})
        return all(_meets(_value(event.payload, path), pattern) for path, pattern in conditions.items())


def _conditions(given: object) -> dict[str, str]:
    if isinstance(given, str):
        parts = [part.partition(":") for part in given.split(";") if part.strip()]
        given = {path.strip(): pattern.strip() for path, _colon, pattern in parts}
    if not isinstance(given, Mapping) or len(given) > MAX_CONDITIONS:
        raise errors.InvalidInput(f"{_FORM}; at most {MAX_CONDITIONS}.")
    found = {str(path): _text(pattern) for path, pattern in given.items()}
    for path, pattern in found.items():
        if not _PATH.fullmatch(path) or not pattern or len(path) > MAX_LENGTH or len(pattern) > MAX_LENGTH:
            raise errors.InvalidInput(f"{_FORM}; {path[:40]!r} is none.")
        if pattern.count("*") > MAX_CONDITIONS:
            raise errors.InvalidInput("A pattern of the conditions has too many stars.")
    return found


def _text(value: object) -> str:
    """A value of JSON as it is compared."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) if isinstance(value, str | int | float) else ""


def _value(payload: Any, path: str) -> Any:
    """The value at that path; a mapping where there is none, which matches nothing."""
    for name in path.split("."):
        if not isinstance(payload, Mapping) or name not in payload:
            return {}
        payload = payload[name]
    return payload


def _meets(value: Any, pattern: str) -> bool:
    if isinstance(value, list):
        return any(_meets(one, pattern) for one in value)
    return not isinstance(value, Mapping) and fnmatch.fnmatchcase(_text(value), pattern)

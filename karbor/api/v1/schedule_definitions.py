# SPDX-License-Identifier: Apache-2.0
"""What may the definition of a scheduled operation be, and in which form is it kept?"""

import re
import zoneinfo
from collections.abc import Mapping
from typing import Any

from karbor.api.call import canonical
from karbor.model import errors
from karbor.schema.nouns.scheduled_operation import DEFINITIONS
from karbor.schema.validate import Shape

_SHAPES = {name: Shape(schema) for name, schema in DEFINITIONS.items()}
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_DURATIONS = ("max_backup_duration", "retention_duration")


def keys_of(given: Mapping[str, Any] | str) -> dict[str, Any]:
    """The definition as an object, from the text ``key=value,key=value`` too. Raises InvalidInput."""
    if not isinstance(given, str):
        return dict(given)
    found: dict[str, Any] = {}
    for part in given.split(","):
        name, mark, value = (text.strip() for text in part.partition("="))
        if not name or not mark or name in found:
            raise errors.InvalidInput("operation_definition must be an object, or a text key=value,key=value.")
        found[name] = value
    return found


def checked_definition(type_: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The definition to keep: numbers as numbers, ids in their one form, nulls left out. Raises InvalidInput."""
    found = {name: value for name, value in given.items() if value is not None}
    properties = DEFINITIONS[type_]["properties"]
    for name, value in found.items():
        numeric = "integer" in properties.get(name, {}).get("type", ())
        if numeric and isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
            found[name] = int(value)
    try:
        _SHAPES[type_].check(found)
    except errors.InvalidInput as fault:
        raise errors.InvalidInput(f"operation_definition: {fault.message}") from None
    if type_ == "retention_protect" and len({found[name] for name in _DURATIONS if name in found}) > 1:
        raise errors.InvalidInput(f"operation_definition: {' and '.join(_DURATIONS)} are two names of one thing.")
    zone = found.get("timezone", "UTC") if type_ == "retention_protect" else "UTC"
    if zone != "UTC" and zone not in zoneinfo.available_timezones():
        raise errors.InvalidInput("operation_definition: timezone must be a name such as Europe/Berlin or UTC.")
    return found | {name: canonical(found[name]) for name in DEFINITIONS[type_]["required"]}

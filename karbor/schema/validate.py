# SPDX-License-Identifier: Apache-2.0
"""Does a value have its declared shape, and if not, which part of it is wrong and why?

Messages name the place as a JSON path and the rule that was broken. They never repeat the value: it may be a password.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import jsonschema
from jsonschema import Draft202012Validator, FormatChecker

from karbor.model import errors
from karbor.schema.types import Schema

_UUID = re.compile(r"[0-9A-Fa-f]{8}(-?)[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{12}")
FORMATS = FormatChecker(formats=())


@FORMATS.checks("uuid")
def _is_uuid(value: object) -> bool:
    return not isinstance(value, str) or bool(_UUID.fullmatch(value))


@FORMATS.checks("timestamp")
def _is_timestamp(value: object) -> bool:
    return not isinstance(value, str) or bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", value))


@FORMATS.checks("date")
def _is_date(value: object) -> bool:
    if not isinstance(value, str):
        return True
    try:
        datetime.strptime(value, "%Y-%m-%d")
    except ValueError:
        return False
    return True


class Shape:
    """A compiled schema. Immutable; may be used by many threads."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._validator = Draft202012Validator(schema, format_checker=FORMATS)

    def check(self, value: Any) -> None:
        """Raise InvalidInput naming the first wrong place; return where all is well."""
        fault = _first(self._validator.iter_errors(value))
        if fault is not None:
            path = _path(fault.absolute_path)
            where = f"Invalid input for field/attribute {path}. " if path else "Invalid input. "
            raise errors.InvalidInput(where + _reason(fault))

    def problems(self, value: Any) -> list[str]:
        """Every wrong place of a value of our own making, for operators."""
        return [
            f"{_path(fault.absolute_path) or '.'}: {_reason(fault)}" for fault in self._validator.iter_errors(value)
        ]


def _first(faults: Iterable[jsonschema.ValidationError]) -> jsonschema.ValidationError | None:
    return min(faults, key=lambda fault: (list(map(str, fault.absolute_path)), str(fault.validator)), default=None)


def _path(parts: Iterable[str | int]) -> str:
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{_shown(part)}"
    return text.removeprefix(".")


def _shown(key: object) -> str:
    """A key that a user chose, short and without control characters."""
    return repr(str(key)[:64])[1:-1]


def _reason(fault: jsonschema.ValidationError) -> str:
    rule = str(fault.validator)
    wanted: Any = fault.validator_value
    instance: Any = fault.instance
    if rule == "additionalProperties":
        return _unknown(instance, fault.schema)
    if rule == "required":
        missing = next(name for name in wanted if name not in instance)
        return f"'{missing}' is required."
    if rule == "type":
        return f"It must be of type {wanted if isinstance(wanted, str) else ' or '.join(wanted)}."
    if rule == "enum":
        return f"It must be one of {', '.join(map(str, wanted))}."
    return _TEXTS.get(rule, "It breaks the rule {rule}.").format(wanted=wanted, rule=rule)


_TEXTS = {
    "format": "It must be a {wanted}.",
    "minLength": "It needs at least {wanted} character(s).",
    "maxLength": "It may have at most {wanted} characters.",
    "minimum": "It must be at least {wanted}.",
    "maximum": "It must be at most {wanted}.",
    "minItems": "It needs at least {wanted} item(s).",
    "maxItems": "It may have at most {wanted} items.",
    "maxProperties": "It may have at most {wanted} keys.",
    "pattern": "It holds characters, or has a form, that is not allowed here.",
}


def _unknown(instance: Any, schema: Any) -> str:
    known = schema.get("properties", {})
    extra = min(name for name in instance if name not in known)
    if extra in schema.get("x-read-only", ()):
        return f"'{extra}' cannot be set here."
    return f"The field '{_shown(extra)}' is not known. Known fields: {', '.join(known) or 'none'}."

# SPDX-License-Identifier: Apache-2.0
"""Are the options that a user gives for resources such as the provider knows?

``parameters`` maps ``TYPE`` or ``TYPE#ID`` to option values; the provider describes the options of a type by a JSON
Schema. Null means "not given": old clients send every option of a form.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from karbor.model import errors
from karbor.model.plan import options_for
from karbor.schema.types import RESOURCE_ID, Schema
from karbor.schema.validate import Shape

Parameters = dict[str, dict[str, Any]]
_ID = Shape(RESOURCE_ID)
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?")
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def without_nulls(given: Mapping[str, Mapping[str, Any] | None] | None) -> Parameters:
    """What was really given."""
    found = {
        key: {name: value for name, value in (values or {}).items() if value is not None}
        for key, values in (given or {}).items()
    }
    return {key: values for key, values in found.items() if values}


def check(parameters: Parameters, schemas: Mapping[str, Any], *, resources: Iterable[tuple[str, str]]) -> None:
    """Raise InvalidInput naming the first option that the provider does not know or that has a wrong value.

    ``schemas`` maps a resource type to the JSON Schema of its options; a type whose schema is empty has none.
    ``resources`` are type and id of those that are known; for them required options must be there.
    """
    for key, values in parameters.items():
        type_, mark, id_ = key.partition("#")
        if type_ not in schemas:
            raise errors.InvalidInput(f"The provider knows no options for {_short(type_)}.")
        if mark:
            _check_id(key, id_)
        properties: Mapping[str, Schema] = (schemas[type_] or {}).get("properties") or {}
        for name, value in values.items():
            if name not in properties:
                known = ", ".join(properties) or "none"
                raise errors.InvalidInput(f"{_short(key)} has no option {_short(name)}. Known options: {known}.")
            _check_value(f"parameters.{_short(key)}.{_short(name)}", value, properties[name])
    for type_, id_ in resources:
        wanted = (schemas.get(type_) or {}).get("required") or ()
        given = options_for(parameters, type_, id_)
        for name in wanted:
            if name not in given:
                raise errors.InvalidInput(f"Option {name} is required for resources of type {type_}.")


def _check_id(key: str, id_: str) -> None:
    try:
        _ID.check(id_)
    except errors.InvalidInput:
        raise errors.InvalidInput(f"parameters: what follows # in {_short(key)} must be a uuid.") from None


def _check_value(place: str, value: Any, schema: Schema) -> None:
    try:
        Shape(schema).check(_from_text(value, schema.get("type")))
    except errors.InvalidInput as fault:
        reason = fault.message.removeprefix("Invalid input. ")
        raise errors.InvalidInput(f"Invalid input for field/attribute {place}. {reason}") from None


def _from_text(value: Any, wanted: object) -> Any:
    """The command line sends every value as text; numbers and truth are taken from it as plug-ins will."""
    if not isinstance(value, str):
        return value
    if wanted == "boolean":
        return _BOOLEANS.get(value.lower(), value)
    if wanted == "integer" and _INTEGER.fullmatch(value):
        return int(value)
    if wanted == "number" and _NUMBER.fullmatch(value):
        return float(value)
    return value


def _short(text: str) -> str:
    return text[:80]

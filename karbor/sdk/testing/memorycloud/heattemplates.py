# SPDX-License-Identifier: Apache-2.0
"""How does Heat in memory read a template: what comes first, and what stands for references and parameters?"""

from collections.abc import Mapping
from typing import Any

import yaml

from karbor.sdk.testing.memorycloud.wire import Refusal


def read(text: Any) -> Mapping[str, Any]:
    """A template that lies in a file."""
    found: Mapping[str, Any] = yaml.safe_load(text) if isinstance(text, str) else text
    return found


def values(template: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The value of each parameter. Raises Refusal for one without, and for one that is not declared."""
    declared = template.get("parameters") or {}
    for name in wanted:
        if name not in declared:
            raise Refusal(400, f"The Parameter ({name}) was not defined in template.")
    for name, one in declared.items():
        if name not in wanted and "default" not in one:
            raise Refusal(400, f"The Parameter ({name}) was not provided.")
    return {name: wanted.get(name, one.get("default")) for name, one in declared.items()}


def resolved(value: Any, ids: Mapping[str, str], values: Mapping[str, Any]) -> Any:
    """``value`` as the services get it."""
    if isinstance(value, Mapping):
        if set(value) == {"get_resource"}:
            return ids[value["get_resource"]]
        if set(value) == {"get_param"}:
            if value["get_param"] not in values:
                raise Refusal(400, f"The Parameter ({value['get_param']}) was not defined in template.")
            return values[value["get_param"]]
        if set(value) == {"get_attr"}:
            return f"{ids[value['get_attr'][0]]}.{value['get_attr'][1]}"
        return {key: resolved(inner, ids, values) for key, inner in value.items()}
    if isinstance(value, list):
        return [resolved(inner, ids, values) for inner in value]
    return value


def in_order(resources: Mapping[str, Any]) -> list[str]:
    """The names, each behind those it refers to."""
    order: list[str] = []

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise Refusal(400, "Circular dependency found")
        if name not in resources:
            raise Refusal(400, f'The specified reference "{name}" is incorrect.')
        if name not in order:
            part = resources[name]
            waits = part.get("depends_on", ())
            for needed in (*([waits] if isinstance(waits, str) else waits), *_needed(part.get("properties"))):
                visit(needed, (*above, name))
            order.append(name)

    for name in resources:
        visit(name, ())
    return order


def _needed(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        if set(value) == {"get_resource"}:
            return [str(value["get_resource"])]
        if set(value) == {"get_attr"}:
            return [str(value["get_attr"][0])]
        return [name for inner in value.values() for name in _needed(inner)]
    return [name for inner in value for name in _needed(inner)] if isinstance(value, list | tuple) else []

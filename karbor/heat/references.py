# SPDX-License-Identifier: Apache-2.0
"""In which order must the resources of a template be built, and what stands for a reference once that is there?"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from karbor.model import errors

#: The names of the functions of Heat that refer to a resource of the same template.
_TO_RESOURCE = ("get_resource", "get_attr")


def needed_by(resource: Mapping[str, Any]) -> list[str]:
    """The names of the resources that one refers to, or waits for, each once."""
    explicit = resource.get("depends_on") or ()
    waits = [explicit] if isinstance(explicit, str) else list(explicit)
    return list(dict.fromkeys([*waits, *_referred(resource.get("properties"))]))


def in_order(resources: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The names of all, each behind those it needs. Raises InvalidInput for a circle or a name that is not there."""
    order: dict[str, None] = {}

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in order:
            return
        if name in above or name not in resources:
            raise errors.InvalidInput(f"The template refers to {name} in a circle, or it is not there.")
        for needed in needed_by(resources[name]):
            visit(needed, (*above, name))
        order[name] = None

    for name in resources:
        visit(name, ())
    return list(order)


def resolved(
    value: Any, ids: Mapping[str, str], parameters: Mapping[str, str], attribute: Callable[[str, str], Any]
) -> Any:
    """``value`` with ids and values in the places of references. ``attribute`` tells one of a resource by its name.

    Raises KeyError where something is not there yet.
    """
    if isinstance(value, Mapping):
        if set(value) == {"get_resource"}:
            return ids[value["get_resource"]]
        if set(value) == {"get_param"}:
            return parameters[value["get_param"]]
        if set(value) == {"get_attr"}:
            name, wanted = value["get_attr"]
            return attribute(name, wanted)
        return {key: resolved(inner, ids, parameters, attribute) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [resolved(inner, ids, parameters, attribute) for inner in value]
    return value


def _referred(value: Any) -> Sequence[str]:
    if isinstance(value, Mapping):
        for function in _TO_RESOURCE:
            if set(value) == {function}:
                target = value[function]
                return [str(target if function == "get_resource" else target[0])]
        return [name for inner in value.values() for name in _referred(inner)]
    if isinstance(value, list | tuple):
        return [name for inner in value for name in _referred(inner)]
    return []

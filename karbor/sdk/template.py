# SPDX-License-Identifier: Apache-2.0
"""How does a plug-in say what Heat shall build for a resource?

A plug-in whose class has ``through_heat = True`` may return, with its ``Restored``, what belongs into the template of
the restore. Two kinds, and any number of each:

- ``HeatResource``: Heat builds it. ``original_id`` is the id of what it brings back.
- ``HeatParameter``: the plug-in built it itself (an uploaded image, a volume made of a backup) and gives its new id.

Whoever needs something else that is restored writes ``reference(original_id)`` where its id belongs, at any depth of
the properties; the order of the plug-ins does not matter. Where nothing of this restore brings that back, the value
``or_else`` stands there instead: what is used now in its place, mostly by the mapping the user gave.

All of it is JSON, because it is kept with the results of the steps and outlives the worker.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: The only key of the object that stands for an id which is not known yet.
REFERENCE = "karbor:reference"


def reference(original_id: str, *, or_else: str | None = None, attribute: str = "") -> dict[str, Any]:
    """Stands, in properties of a HeatResource, for the id of what brings ``original_id`` back.

    ``or_else``: the id to use where nothing in this restore does; without one the restore is refused then.
    ``attribute``: not its id, but that attribute of the Heat resource. A parameter has none: its value stands there.
    """
    return {REFERENCE: {"id": original_id, "or_else": or_else, "attribute": attribute}}


@dataclass(frozen=True)
class HeatResource:
    """One resource of the template: its Heat type, properties as in a template, and what must be there before it."""

    original_id: str
    type: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    depends_on: Sequence[str] = ()  #: original ids; those that this restore does not bring back are left out
    shown: bool = True  #: whether it is listed among the resources of the restore (an attachment is not)

    def to_dict(self) -> dict[str, Any]:
        """The form kept with the results of a step."""
        return {
            "original_id": self.original_id,
            "type": self.type,
            "properties": dict(self.properties),
            "depends_on": list(self.depends_on),
            "shown": self.shown,
        }


@dataclass(frozen=True)
class HeatParameter:
    """What was built outside of Heat and is used in the template: its id or another short text."""

    original_id: str
    value: str
    description: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The form kept with the results of a step."""
        return {"original_id": self.original_id, "value": self.value, "description": self.description}


@dataclass(frozen=True)
class Reference:
    """What ``reference`` wrote, as ``references`` finds it."""

    id: str
    or_else: str | None
    attribute: str


def references(value: Any) -> Iterator[Reference]:
    """Every reference in properties, at any depth."""
    if isinstance(value, Mapping):
        if set(value) == {REFERENCE}:
            yield Reference(**value[REFERENCE])
            return
        value = list(value.values())
    if isinstance(value, list | tuple):
        for inner in value:
            yield from references(inner)


def part_from_dict(data: Mapping[str, Any]) -> HeatResource | HeatParameter:
    """The part that ``to_dict`` of either kind made."""
    if "type" in data:
        return HeatResource(
            data["original_id"], data["type"], data["properties"], tuple(data["depends_on"]), data["shown"]
        )
    return HeatParameter(data["original_id"], data["value"], data["description"])

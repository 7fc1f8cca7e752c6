# SPDX-License-Identifier: Apache-2.0
"""What is a thing that can be protected, and how is it named without doubt?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from karbor.model import errors


@dataclass(frozen=True)
class ResourceKey:
    """Names one node of a resource graph: type, id, and the parent where the data belongs to the parent.

    Two servers booted from one image have two nodes for that image, because each has a root disk of its own; so the
    key holds the parent's id. ``text`` is the form used in JSON and in task names: ``TYPE#ID`` or ``TYPE#ID@PARENT``.
    Two keys never have the same text: InvalidInput is raised for a type with ``#``, an id with ``@``, and empty ones.
    """

    type: str
    id: str
    parent_id: str = ""

    def __post_init__(self) -> None:
        if not self.type or not self.id or "#" in self.type or "@" in self.id:
            raise errors.InvalidInput(f"A resource cannot have the type {self.type!r} and the id {self.id!r}.")

    @property
    def text(self) -> str:
        return f"{self.type}#{self.id}" + (f"@{self.parent_id}" if self.parent_id else "")

    @classmethod
    def parse(cls, text: str) -> "ResourceKey":
        """The key that ``text`` names. Raises ValueError for any other form."""
        type_, _, rest = text.partition("#")
        id_, mark, parent = rest.partition("@")
        if not type_ or not id_ or (mark and not parent):
            raise ValueError(f"not a resource key: {text!r}")
        return cls(type_, id_, parent)


@dataclass(frozen=True)
class Resource:
    """One thing in the live inventory or in a plan.

    ``extra_info`` is a flat object that the protectable plug-in fills (for a disk: target, format, size).
    ``per_parent`` is true where its data belongs to the parent that led to it (a disk of a domain).
    """

    type: str
    id: str
    name: str
    extra_info: Mapping[str, Any] = field(default_factory=dict)
    per_parent: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The JSON form of the REST API; ``extra_info`` only where there is some."""
        found: dict[str, Any] = {"id": self.id, "type": self.type, "name": self.name}
        if self.extra_info:
            found["extra_info"] = dict(self.extra_info)
        return found

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Resource":
        return cls(data["type"], data["id"], data["name"], dict(data.get("extra_info") or {}))

# SPDX-License-Identifier: Apache-2.0
"""How does a plan choose resources without naming them, and why was each one chosen?

A choice goes by tags, metadata and a pattern of names. It is resolved at each run: what fits then is protected, also
what did not exist when the plan was made.
"""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from karbor.model.resource import Resource

#: Why a resource is protected that the plan names by its id.
NAMED = "named in the plan"
#: What a choice can go by; names are known of every type.
NAME, TAGS, METADATA = "name", "tags", "metadata"


@dataclass(frozen=True)
class Traits:
    """What a choice can go by of one resource."""

    resource: Resource
    name: str
    tags: frozenset[str] = frozenset()
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pattern:
    """Things that a resource can have. ``name`` is a pattern as file names have them (``*``, ``?``, ``[ab]``), in which
    capitals count; "" is none."""

    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    name: str = ""

    def tests(self, traits: Traits) -> Sequence[bool]:
        """For each thing that is asked for whether the resource has it."""
        found = [tag in traits.tags for tag in self.tags]
        found += [traits.metadata.get(key) == value for key, value in self.metadata.items()]
        return found + ([_fits(self.name, traits.name)] if self.name else [])

    @property
    def goes_by(self) -> frozenset[str]:
        """Which of NAME, TAGS and METADATA are asked for."""
        given = {NAME: self.name, TAGS: self.tags, METADATA: self.metadata}
        return frozenset(name for name, value in given.items() if value)

    @property
    def words(self) -> list[str]:
        """What is asked for, in words."""
        found = [f"tag={tag}" for tag in self.tags] + [f"{key}={value}" for key, value in self.metadata.items()]
        return found + ([f"name={self.name}"] if self.name else [])

    def to_dict(self) -> dict[str, Any]:
        """JSON; only what is given."""
        found = {TAGS: list(self.tags), METADATA: dict(self.metadata), NAME: self.name}
        return {name: value for name, value in found.items() if value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Pattern":
        return cls(tuple(data.get(TAGS) or ()), dict(data.get(METADATA) or {}), data.get(NAME) or "")


@dataclass(frozen=True)
class Choice:
    """Resources of one ``type`` that have everything in ``wanted``, without those that have anything in ``left_out`` or
    whose id is among ``left_out_ids``."""

    type: str
    wanted: Pattern
    left_out: Pattern = Pattern()
    left_out_ids: tuple[str, ...] = ()

    def fits(self, traits: Traits) -> bool:
        """Whether it chooses that resource."""
        if traits.resource.id in self.left_out_ids or any(self.left_out.tests(traits)):
            return False
        return all(self.wanted.tests(traits))

    @property
    def goes_by(self) -> frozenset[str]:
        """What must be known of resources to choose among them."""
        return self.wanted.goes_by | self.left_out.goes_by

    @property
    def reason(self) -> str:
        """Why what it chooses is chosen."""
        return ", ".join(self.wanted.words)

    def in_words(self) -> str:
        """The choice for people."""
        without = [*self.left_out.words, *(f"id={id_}" for id_ in self.left_out_ids)]
        return f"{self.type} with {self.reason}" + (f", without {', '.join(without)}" if without else "")

    def to_dict(self) -> dict[str, Any]:
        """The form of the API."""
        ids = {"ids": list(self.left_out_ids)} if self.left_out_ids else {}
        exclude = {**ids, **self.left_out.to_dict()}
        return {"type": self.type, **self.wanted.to_dict()} | ({"exclude": exclude} if exclude else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Choice":
        exclude = data.get("exclude") or {}
        ids = tuple(exclude.get("ids") or ())
        return cls(data["type"], Pattern.from_dict(data), Pattern.from_dict(exclude), ids)


@dataclass
class Chosen:
    """What a plan leads to at one time: its resources, each once with all reasons for it, and the choices that found
    nothing, in words."""

    resources: list[tuple[Resource, list[str]]] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)

    @property
    def roots(self) -> list[Resource]:
        """The resources alone."""
        return [resource for resource, _reasons in self.resources]

    def add(self, resources: Iterable[Resource], reason: str) -> None:
        """These are chosen for that reason, too."""
        known = {(resource.type, resource.id): reasons for resource, reasons in self.resources}
        for resource in resources:
            key = (resource.type, resource.id)
            if key not in known:
                known[key] = []
                self.resources.append((resource, known[key]))
            if reason not in known[key]:
                known[key].append(reason)

    def to_dict(self) -> dict[str, Any]:
        """The form that checkpoints keep and the API shows."""
        shown = [
            {"type": resource.type, "id": resource.id, "name": resource.name, "reasons": list(reasons)}
            for resource, reasons in self.resources
        ]
        return {"resources": shown, "empty": list(self.empty)}


def _fits(pattern: str, name: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern)

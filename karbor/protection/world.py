# SPDX-License-Identifier: Apache-2.0
"""What stands in for what in one restore, and who asked for it?"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from karbor.model.mapping import NAMES
from karbor.model.resource import ResourceKey
from karbor.sdk.mapping import OldNames, WorldMap, renamed

#: Kind -> what the user wrote -> what the services of the target take for it.
Resolved = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Asked:
    """The plug-in of a resource asked what stands in for ``old``, and was told ``new``."""

    key: ResourceKey
    kind: str
    old: str
    new: str


class World:
    """The mapping of one restore. Answers the same however often it is asked."""

    def __init__(self, given: WorldMap, names: OldNames, resolved: Resolved) -> None:
        self._given, self._names, self._resolved = given, names, resolved
        self._asked: dict[Asked, None] = {}
        self._used: set[tuple[str, str]] = set()

    def mapped(self, key: ResourceKey, kind: str, value: str) -> str:
        """See Work.mapped."""
        entry = self._given.find(kind, value, self.name_of(kind, value))
        new = value
        if entry is not None:
            self._used.add((kind, entry[0]))
            new = renamed(value, entry[1]) if kind == NAMES else self._resolved.get(kind, {}).get(entry[1], entry[1])
        self._asked[Asked(key, kind, value, new)] = None
        return new

    def name_of(self, kind: str, id_: str) -> str:
        """What had this id was called so when it was protected; empty where that is not known."""
        return self._names.get(kind, {}).get(id_, "")

    @property
    def asked(self) -> Iterable[Asked]:
        """Each question once, the first of them first."""
        return list(self._asked)

    def unused(self) -> Iterable[tuple[str, str]]:
        """(kind, old) of the entries that no question had for an answer."""
        return [
            (kind, old)
            for kind, entries in self._given.entries.items()
            for old in entries
            if (kind, old) not in self._used
        ]


def merged(names: Iterable[OldNames]) -> OldNames:
    """What the plug-ins of several resources know of old names, as one."""
    found: dict[str, dict[str, str]] = {}
    for one in names:
        for kind, known in one.items():
            found.setdefault(kind, {}).update(known)
    return found

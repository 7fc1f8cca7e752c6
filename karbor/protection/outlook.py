# SPDX-License-Identifier: Apache-2.0
"""What is told of a restore before it begins?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from karbor.model import errors
from karbor.model.mapping import MAPPING_TYPE
from karbor.model.resource import ResourceKey
from karbor.sdk.protection import RestorePlan

_LISTS = ("creates", "replaces", "keeps", "conflicts", "warnings", "untold")


@dataclass(frozen=True)
class Entry:
    """Something among the parameters of a restore: an entry of the mapping, by KIND/OLD, or the mapping itself."""

    id: str
    type: str = MAPPING_TYPE


About = ResourceKey | Entry


class Outlook:
    """Gathers the answer.

    ``answer`` has lists ``creates``, ``replaces``, ``keeps``, ``conflicts``, ``warnings`` and ``untold`` (resources
    whose plug-in cannot tell in advance), and ``bytes`` and ``template`` (None where nothing is left to Heat, or
    something is in the way). Each entry names the ``type`` and ``id`` of a resource in the checkpoint, or
    ``OS::Karbor::Mapping`` and ``KIND/OLD`` of an entry of the mapping.

    ``conflicts`` are the errors themselves, the first of them first. ``resolved``: kind -> what the mapping says ->
    what the target takes for it.
    """

    def __init__(self) -> None:
        self.answer: dict[str, Any] = {**{name: [] for name in _LISTS}, "bytes": 0, "template": None}
        self.conflicts: list[tuple[About, errors.KarborError]] = []
        self.resolved: Mapping[str, Mapping[str, str]] = {}

    def plan(self, key: ResourceKey, plan: RestorePlan) -> None:
        """What the plug-in of a resource tells."""
        self._entries("creates", key, plan.creates)
        self._entries("replaces", key, plan.replaces)
        self._entries("keeps", key, plan.keeps)
        for refusal in plan.conflicts:
            self.conflict(key, refusal)
        for text in plan.warnings:
            self.warning(key, text)
        self.answer["bytes"] += plan.bytes

    def conflict(self, key: About, refusal: errors.KarborError) -> None:
        """Something is in the way."""
        entry = {**_of(key), "reason": refusal.message, "next_action": refusal.next_action}
        if entry not in self.answer["conflicts"]:
            self.conflicts.append((key, refusal))
            self.answer["conflicts"].append(entry)

    def creates(self, key: About, name: str) -> None:
        """Something that no plug-in tells of is made."""
        self._entries("creates", key, [{"name": name}])

    def warning(self, key: About, text: str) -> None:
        """Something that people should know."""
        self.answer["warnings"].append({**_of(key), "reason": text})

    def untold(self, key: ResourceKey, name: str) -> None:
        """Nobody can tell what becomes of this one."""
        self.answer["untold"].append({**_of(key), "name": name, "place": None})

    def _entries(self, what: str, key: About, entries: Sequence[Mapping[str, str]]) -> None:
        self.answer[what] += [{**_of(key), "name": e["name"], "place": e.get("place")} for e in entries]


def _of(key: About) -> dict[str, str]:
    return {"type": key.type, "id": key.id}

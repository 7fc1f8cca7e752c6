# SPDX-License-Identifier: Apache-2.0
"""What does a checkpoint use of the quotas that a tenant has in services of a cloud, and does that fit?"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Use:
    """So much of one quota. ``service`` is the attribute of Cloud, ``kind`` what the service calls the quota.
    ``passing``: given back when the checkpoint is made, or could not be."""

    service: str
    kind: str
    amount: int
    passing: bool = False


@dataclass(frozen=True)
class Room:
    """A quota as its service tells it: ``limit`` None has no bound; ``used`` with what is reserved."""

    limit: int | None
    used: int


@dataclass
class Item:
    """One quota in a bill: what stays with the checkpoint, the most that passes at one time, for which types of
    resources how much is used altogether, and the room that there was; None where nobody could tell."""

    service: str
    kind: str
    kept: int = 0
    passing: int = 0
    types: dict[str, int] = field(default_factory=dict)
    room: Room | None = None

    @property
    def fits(self) -> bool:
        """Whether there is room for it, as far as that is known."""
        if self.room is None or self.room.limit is None:
            return True
        return self.room.used + self.kept + self.passing <= self.room.limit

    def in_words(self) -> str:
        """The figures for people."""
        room = self.room or Room(None, 0)
        wanted = self.kept + self.passing
        passing = f" ({self.passing} of them for a while)" if self.passing else ""
        return f"{self.kind}: {wanted} needed{passing}, {room.used} of {room.limit} in use"

    def to_dict(self) -> dict[str, Any]:
        """The form that checkpoints keep and the API shows."""
        return {
            "service": self.service.replace("_", "-"),
            "kind": self.kind,
            "kept": self.kept,
            "passing": self.passing,
            "types": dict(self.types),
            "limit": self.room.limit if self.room else None,
            "used": self.room.used if self.room else None,
        }


def bill(batches: Sequence[Sequence[tuple[str, Iterable[Use]]]]) -> list[Item]:
    """What is used altogether. ``batches`` are resources (their type, and what each uses) that are worked on at the
    same time, one batch after the other: of what passes, that of the largest batch counts."""
    items: dict[tuple[str, str], Item] = {}
    for batch in batches:
        passing: dict[tuple[str, str], int] = {}
        for type_, uses in batch:
            for use in uses:
                key = (use.service, use.kind)
                item = items.setdefault(key, Item(*key))
                item.types[type_] = item.types.get(type_, 0) + use.amount
                if use.passing:
                    passing[key] = passing.get(key, 0) + use.amount
                else:
                    item.kept += use.amount
        for key, amount in passing.items():
            items[key].passing = max(items[key].passing, amount)
    return [items[key] for key in sorted(items)]


def with_room(items: Iterable[Item], rooms: Mapping[str, Mapping[str, Room]]) -> list[Item]:
    """The same with the room that there is, by service and kind. A kind that the service does not know at all (a quota
    for one type of volumes) is left out."""
    found = []
    for item in items:
        known = rooms.get(item.service)
        item.room = (known or {}).get(item.kind)
        if item.room is not None or not known:
            found.append(item)
    return found

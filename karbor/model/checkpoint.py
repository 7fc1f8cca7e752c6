# SPDX-License-Identifier: Apache-2.0
"""What is one point in time of a plan, as the catalog row and as the record in the bank?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from karbor.model import states
from karbor.model.lock import Lock
from karbor.model.lock import from_catalog as shown_lock
from karbor.model.progress import Progress

#: Consistency levels from weak to strong; a checkpoint is as strong as its weakest resource.
CONSISTENCY = ("crash", "filesystem", "application")
RECORD_VERSION = 1
#: Kind of the sealed records that hold checkpoints.
RECORD = "checkpoint"


@dataclass(frozen=True)
class Reason:
    """Why something failed: which resource, which step, what the cause was and what to do next."""

    resource: str
    step: str
    cause: str
    next_action: str = ""

    def in_words(self) -> str:
        """One line: resource, step, cause and next action."""
        where = " ".join(part for part in (self.resource, self.step) if part)
        next_ = f" Next: {self.next_action.rstrip('.')}." if self.next_action else ""
        return f"{where}: {self.cause}{next_}" if where else f"{self.cause}{next_}"

    def to_dict(self) -> dict[str, str]:
        return {"resource": self.resource, "step": self.step, "cause": self.cause, "next_action": self.next_action}


@dataclass(frozen=True)
class Sizes:
    """Bytes: ``logical`` of the protected resources, ``read`` from them, ``stored`` newly in the bank."""

    logical: int = 0
    read: int = 0
    stored: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """The catalog row: what lists and searches need. The record in the bank is the truth about the data."""

    id: str
    project_id: str
    provider_id: str
    plan_id: str
    plan: Mapping[str, Any]
    status: str = states.CHECKPOINT.initial
    graph: Mapping[str, Any] | None = None  # ResourceGraph.to_dict(); None until it is known
    extra_info: Mapping[str, Any] = field(default_factory=dict)
    consistency: str | None = None  # reached; None until known
    mode: str | None = None  # "full" | "incremental"; None until known
    sizes: Sizes = Sizes()
    progress: Progress = Progress()
    reason: Reason | None = None
    base_id: str | None = None  # the checkpoint its increment was read against: information, not a chain
    source_id: str | None = None  # the checkpoint it was copied from
    verified_at: datetime | None = None  # the last good verification, and how deep it looked
    verified_level: str | None = None
    lock_mode: str | None = None  # "governance" | "compliance": what the bank said last; the bank decides
    locked_until: datetime | None = None
    held: bool = False
    held_reason: str | None = None
    chosen: Mapping[str, Any] | None = None  # selection.Chosen.to_dict(); None where the plan chooses nothing
    cost: Sequence[Mapping[str, Any]] | None = None  # cost.Use.to_dict() of all that it uses of quotas of a cloud
    created_at: datetime | None = None
    updated_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def lock(self) -> Lock:
        """What the catalog knows of what keeps it."""
        return shown_lock(self.lock_mode, self.locked_until, held=self.held, held_reason=self.held_reason or "")


@dataclass(frozen=True)
class SavedResource:
    """What a protection plug-in saved of one resource.

    ``saved`` is the plug-in's own JSON object. ``streams`` maps a stream name to the id of its recipe in the vault.
    """

    key: str  # ResourceKey.text
    plugin: str
    saved: Mapping[str, Any]
    streams: Mapping[str, str]
    consistency: str = "crash"
    mode: str = "full"
    base_id: str | None = None  # the checkpoint this increment was read against: information, not a chain

    def to_dict(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "plugin": self.plugin,
            "saved": dict(self.saved),
            "streams": dict(self.streams),
            "consistency": self.consistency,
            "mode": self.mode,
            "base_id": self.base_id,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "SavedResource":
        return cls(**{name: data[name] for name in cls.__dataclass_fields__ if name in data})


@dataclass(frozen=True)
class CheckpointRecord:
    """The self-contained record in the bank. A record that exists is complete and was read back."""

    checkpoint_id: str
    project_id: str
    provider_id: str
    plan: Mapping[str, Any]
    graph: Mapping[str, Any]
    resources: tuple[SavedResource, ...]
    created_at: str  # ISO 8601, UTC
    extra_info: Mapping[str, Any] = field(default_factory=dict)
    consistency: str = "crash"
    mode: str = "full"
    sizes: Sizes = Sizes()
    source_id: str | None = None  # the checkpoint that this one was copied from
    chosen: Mapping[str, Any] | None = None  # as in the catalog
    cost: Sequence[Mapping[str, Any]] | None = None
    stacks: Sequence[Mapping[str, Any]] | None = None  # origins.Origin.to_dict() of each that made any of it
    version: int = RECORD_VERSION

    @property
    def base_id(self) -> str | None:
        """The checkpoint that its increments were read against; None where everything was read in full."""
        return next((entry.base_id for entry in self.resources if entry.base_id), None)

    def resource(self, key: str) -> SavedResource | None:
        return next((entry for entry in self.resources if entry.key == key), None)

    def to_dict(self) -> dict[str, Any]:
        found = {
            "version": self.version,
            "checkpoint_id": self.checkpoint_id,
            "project_id": self.project_id,
            "provider_id": self.provider_id,
            "plan": dict(self.plan),
            "graph": dict(self.graph),
            "resources": [entry.to_dict() for entry in self.resources],
            "created_at": self.created_at,
            "extra_info": dict(self.extra_info),
            "consistency": self.consistency,
            "mode": self.mode,
            "sizes": {"logical": self.sizes.logical, "read": self.sizes.read, "stored": self.sizes.stored},
        }
        later = {"source_id": self.source_id, "chosen": self.chosen, "cost": self.cost, "stacks": self.stacks}
        return found | {name: value for name, value in later.items() if value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "CheckpointRecord":
        """Raises ValueError for a record version that this release does not know."""
        if data["version"] != RECORD_VERSION:
            raise ValueError(f"checkpoint record version {data['version']} is not known to this release")
        plain = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        plain["resources"] = tuple(SavedResource.from_dict(entry) for entry in data["resources"])
        plain["sizes"] = Sizes(**data["sizes"])
        return cls(**plain)

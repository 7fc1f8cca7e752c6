# SPDX-License-Identifier: Apache-2.0
"""What does a tenant want protected, by which provider, with which options?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from karbor.model import states
from karbor.model.resource import Resource
from karbor.model.selection import Choice


@dataclass(frozen=True)
class Plan:
    """``parameters`` maps ``TYPE`` or ``TYPE#ID`` to option values; the second overrides the first.

    ``rpo``: seconds that its last good checkpoint may be old (None: as its schedules promise). ``policy_id``: the
    published policy that makes its schedules. ``selection`` chooses more resources at each run; at least one of it and
    ``resources`` names something.
    """

    id: str
    project_id: str
    name: str
    provider_id: str
    resources: tuple[Resource, ...]
    description: str | None = None
    status: str = states.PLAN.initial
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    rpo: int | None = None
    policy_id: str | None = None
    selection: tuple[Choice, ...] = ()

    def snapshot(self) -> dict[str, Any]:
        """What a checkpoint keeps of its plan (``protection_plan`` in the API)."""
        return {
            "id": self.id,
            "name": self.name,
            "provider_id": self.provider_id,
            "resources": [resource.to_dict() for resource in self.resources],
            "parameters": {name: dict(values) for name, values in self.parameters.items()},
        } | ({"selection": [choice.to_dict() for choice in self.selection]} if self.selection else {})


@dataclass(frozen=True)
class PlanSummary:
    """What became of a plan, as its list shows it.

    ``checkpoints`` counts those that are not deleted, copies among them. The last run is the newest checkpoint that is
    no copy; its status is how that run stands or ended (protecting, available, error), also when the checkpoint has
    been deleted since. The last good one is the newest available checkpoint that is no copy.
    """

    checkpoints: int = 0
    last_run_at: datetime | None = None
    last_run_status: str | None = None
    last_run_id: str | None = None
    last_good_at: datetime | None = None
    last_good_id: str | None = None


def options_for(parameters: Mapping[str, Mapping[str, Any]], type_: str, id_: str) -> dict[str, Any]:
    """The option values for one resource: those of its type, overridden by those of its id. Nulls mean not given."""
    merged = {**(parameters.get(type_) or {}), **(parameters.get(f"{type_}#{id_}") or {})}
    return {name: value for name, value in merged.items() if value is not None}

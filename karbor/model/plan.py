# SPDX-License-Identifier: Apache-2.0
"""What does a tenant want protected, by which provider, with which options?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from karbor.model import states
from karbor.model.resource import Resource


@dataclass(frozen=True)
class Plan:
    """``parameters`` maps ``TYPE`` or ``TYPE#ID`` to option values; the second overrides the first."""

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

    def snapshot(self) -> dict[str, Any]:
        """What a checkpoint keeps of its plan (``protection_plan`` in the API)."""
        return {
            "id": self.id,
            "name": self.name,
            "provider_id": self.provider_id,
            "resources": [resource.to_dict() for resource in self.resources],
            "parameters": {name: dict(values) for name, values in self.parameters.items()},
        }


def options_for(parameters: Mapping[str, Mapping[str, Any]], type_: str, id_: str) -> dict[str, Any]:
    """The option values for one resource: those of its type, overridden by those of its id. Nulls mean not given."""
    merged = {**(parameters.get(type_) or {}), **(parameters.get(f"{type_}#{id_}") or {})}
    return {name: value for name, value in merged.items() if value is not None}

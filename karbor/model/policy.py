# SPDX-License-Identifier: Apache-2.0
"""What does an administrator offer to all projects: which schedules, with which retention?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class PolicySchedule:
    """One schedule that every plan with the policy gets. ``name`` tells it apart from the others of the policy.

    ``definition`` is that of a scheduled operation without plan and provider: those are the plan's.
    """

    name: str
    operation_type: str
    trigger_type: str
    properties: Mapping[str, Any]
    definition: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "operation_type": self.operation_type,
            "trigger": {"type": self.trigger_type, "properties": dict(self.properties)},
            "definition": dict(self.definition),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "PolicySchedule":
        trigger = data["trigger"]
        return cls(
            data["name"], data["operation_type"], trigger["type"], trigger["properties"], data.get("definition") or {}
        )


@dataclass(frozen=True)
class PublishedPolicy:
    """``name`` is unique in the installation. It belongs to no project."""

    id: str
    name: str
    schedules: Sequence[PolicySchedule]
    description: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True)
class PolicyWork:
    """What a policy has made for a plan: a scheduled operation and its trigger, for the schedule named ``entry``."""

    scheduled_operation_id: str
    trigger_id: str
    plan_id: str
    policy_id: str
    entry: str

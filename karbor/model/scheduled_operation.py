# SPDX-License-Identifier: Apache-2.0
"""What has to be done whenever a trigger fires?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

#: Why one without a trust is not done where there is a Keystone.
NO_PERMISSION = "Nobody has let the service act for this schedule. Whoever changes it in any way does so."


@dataclass(frozen=True)
class Health:
    """``failures``: how many of its runs failed in a row. ``paused_until``: no run begins before that because of it."""

    failures: int = 0
    paused_until: datetime | None = None


@dataclass(frozen=True)
class ScheduledOperation:
    """``operation_definition`` names the plan (``plan_id``) and the provider (``provider_id``), and how it is done.

    ``trust_id`` names the trust (at Keystone) by which it is done for the user. ``permission_reason`` says why that
    does not let us act any more (None: it does), since ``permission_since``.
    """

    id: str
    project_id: str
    user_id: str
    name: str
    operation_type: str
    trigger_id: str
    description: str | None = None
    operation_definition: Mapping[str, Any] = field(default_factory=dict)
    enabled: bool = True
    created_at: datetime | None = None
    updated_at: datetime | None = None
    trust_id: str | None = None
    permission_reason: str | None = None
    permission_since: datetime | None = None

    @property
    def plan_id(self) -> str | None:
        """The plan it works on."""
        return self._named("plan_id")

    @property
    def provider_id(self) -> str | None:
        """The provider that does the work."""
        return self._named("provider_id")

    def _named(self, name: str) -> str | None:
        value = self.operation_definition.get(name)
        return value if isinstance(value, str) else None

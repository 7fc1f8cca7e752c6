# SPDX-License-Identifier: Apache-2.0
"""What became of one planned time of a scheduled operation?"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

#: What to do where the last run of the same scheduled operation has not ended.
OVERLAPS = ("skip", "queue", "replace")
_SPACE = uuid.UUID("7b1a2e0c-4f0d-5c8e-9d53-60a1f4b1c7e2")


@dataclass(frozen=True)
class ScheduledRun:
    """One planned time of one scheduled operation: there is never a second row for the same two.

    ``definition`` is what was to be done when the time came. ``begin_until_ms`` is the last moment it may begin (None:
    any), in milliseconds of the database server's clock, like all times with ``_ms``. ``result`` holds what was made:
    ``checkpoint_id``, ``verification_id``, ``copies``, ``deleted``. ``reason`` says why it did not end well, or what it
    waits for. ``owner`` and ``fence`` are those of the engine that took it last.
    """

    id: str
    project_id: str
    user_id: str
    scheduled_operation_id: str
    operation_type: str
    scheduled_for: datetime
    plan_id: str | None = None
    provider_id: str | None = None
    definition: Mapping[str, Any] = field(default_factory=dict)
    status: str = "waiting"
    manual: bool = False
    reason: str | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 0
    owner: str | None = None
    fence: int = 0
    lease_until_ms: int = 0
    not_before_ms: int = 0
    begin_until_ms: int | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def overlap(self) -> str:
        """What to do where the last run has not ended: one of OVERLAPS."""
        wanted = str(self.definition.get("overlap", OVERLAPS[0]))
        return wanted if wanted in OVERLAPS else OVERLAPS[0]

    def key(self, what: str) -> str:
        """The Idempotency-Key of a request of this run: the same for every engine that sends it again."""
        moment = self.scheduled_for.strftime("%Y%m%dT%H%M%S.%fZ")
        return f"{self.scheduled_operation_id}:{moment}:{self.attempts}:{what}"


def run_id(scheduled_operation_id: str, scheduled_for: datetime) -> str:
    """The id of the run of that operation at that time."""
    return str(uuid.uuid5(_SPACE, f"{scheduled_operation_id} {scheduled_for.isoformat()}"))

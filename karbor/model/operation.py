# SPDX-License-Identifier: Apache-2.0
"""What is one piece of work that a worker claims, and what remains of it in the operation log?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from karbor.model import states

OPERATIONS = ("protect", "restore", "verify", "copy", "delete", "lock")


@dataclass(frozen=True)
class Job:
    """One execution of an operation. The row is the truth; a message only says "look".

    ``fence`` grows by one with each claim; whoever writes for this job shows its fence and is refused when it is old.
    ``payload`` is JSON and holds no secrets. ``host`` is None where any worker of the provider may take it. The job of
    a copy has the new checkpoint and the provider it goes to; its payload names the ``source_checkpoint_id`` and the
    ``source_provider_id``. ``trust_id`` names the trust (at Keystone) under which the work acts for the tenant in a
    cloud.
    """

    id: str
    operation: str
    project_id: str
    provider_id: str
    state: str = states.JOB.initial
    checkpoint_id: str | None = None
    restore_id: str | None = None
    verification_id: str | None = None
    host: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    owner: str | None = None
    fence: int = 0
    lease_until_ms: int = 0
    attempts: int = 0
    cancel_requested: bool = False
    request_id: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    trust_id: str | None = None


@dataclass(frozen=True)
class OperationLog:
    """What was done, when, how it ended and why."""

    id: str
    project_id: str
    operation_type: str
    checkpoint_id: str | None = None
    plan_id: str | None = None
    provider_id: str | None = None
    restore_id: str | None = None
    verification_id: str | None = None
    scheduled_operation_id: str | None = None
    status: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error_info: str | None = None
    extra_info: Mapping[str, Any] = field(default_factory=dict)

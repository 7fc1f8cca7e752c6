# SPDX-License-Identifier: Apache-2.0
"""What is the proof that a checkpoint can be restored?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from karbor.model import states
from karbor.model.progress import Progress


@dataclass(frozen=True)
class Verification:
    """One verification. ``resources_status`` and ``resources_reason`` are keyed ``TYPE#ID`` of what was protected.

    ``report`` says what was looked at and what was found damaged; None until it is known.
    """

    id: str
    project_id: str
    provider_id: str
    checkpoint_id: str
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    status: str = states.VERIFICATION.initial
    resources_status: Mapping[str, str] = field(default_factory=dict)
    resources_reason: Mapping[str, str] = field(default_factory=dict)
    report: Mapping[str, Any] | None = None
    progress: Progress = Progress()
    created_at: datetime | None = None
    updated_at: datetime | None = None
    finished_at: datetime | None = None

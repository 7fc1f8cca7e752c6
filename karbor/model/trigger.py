# SPDX-License-Identifier: Apache-2.0
"""When does something have to happen?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Trigger:
    """A rule of time, shared by scheduled operations. ``properties``: format, pattern, start_time, end_time, window."""

    id: str
    project_id: str
    name: str
    type: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    #: When it fires next; None where it does not, or nobody has looked yet. No part of what a trigger is.
    next_fire: datetime | None = field(default=None, compare=False)

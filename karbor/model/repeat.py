# SPDX-License-Identifier: Apache-2.0
"""What is remembered of a request, so that its repetition gets the same answer?"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Repeat:
    """One request under an idempotency key of its project. ``response`` is None until the work is done."""

    project_id: str
    key: str
    path: str
    body_hash: str
    response: Mapping[str, Any] | None = None
    created_at: datetime | None = None

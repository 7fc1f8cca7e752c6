# SPDX-License-Identifier: Apache-2.0
"""Which daemons have been heard of, and when?"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Service:
    """The last sign of life of one daemon on one host. An administrator may have disabled it, and said why."""

    id: int
    binary: str
    host: str
    created_at: datetime
    updated_at: datetime
    disabled: bool = False
    disabled_reason: str | None = None

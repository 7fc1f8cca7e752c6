# SPDX-License-Identifier: Apache-2.0
"""Which daemons have been heard of, and when?"""

from dataclasses import dataclass
from datetime import datetime, timedelta

#: The daemon that does the work.
WORKER = "karbor-protection"


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

    def is_up(self, now: datetime, *, down_after: float) -> bool:
        """Whether it gave a sign of life within so many seconds."""
        return now - self.updated_at <= timedelta(seconds=down_after)

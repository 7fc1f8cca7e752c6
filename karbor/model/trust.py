# SPDX-License-Identifier: Apache-2.0
"""By which permission does Karbor act for a tenant when the tenant's own token is gone?"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Trust:
    """A trust that Karbor asked Keystone for; nothing of it is secret.

    ``trust_id`` is Keystone's id, None until that is known. ``scheduled_operation_id`` is the schedule it was made for,
    None for a single piece of work. ``swept_at`` is when somebody last looked by it for what failed jobs left in the
    cloud, and removed all of that.
    """

    id: str
    project_id: str
    user_id: str
    trust_id: str | None = None
    scheduled_operation_id: str | None = None
    created_at: datetime | None = None
    tried_ms: int = 0
    swept_at: datetime | None = None
    sweep_tried_ms: int = 0

    @property
    def name(self) -> str:
        """The name under which Keystone has it, so that one whose id nobody heard of is found."""
        return f"karbor {self.id}"

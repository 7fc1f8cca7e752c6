# SPDX-License-Identifier: Apache-2.0
"""What is a checkpoint that is offered as disks for a while?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from karbor.model import states

#: Where somebody reads, or may soon: the checkpoint must stay.
OPEN = ("starting", "active", "closing")


@dataclass(frozen=True)
class Export:
    """Streams of one checkpoint over NBD, read-only, until ``expires_at``.

    ``resource`` and ``stream`` choose by name; None takes all. ``host`` is the worker's: where it was asked for, or
    which has taken it. ``streams`` tells, once it is active, of each ``resource``, ``stream``, ``size`` and ``uri``.
    """

    id: str
    project_id: str
    provider_id: str
    checkpoint_id: str
    expires_at: datetime
    resource: str | None = None
    stream: str | None = None
    host: str | None = None
    status: str = states.EXPORT.initial
    streams: Sequence[Mapping[str, Any]] = ()
    reason: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    finished_at: datetime | None = None

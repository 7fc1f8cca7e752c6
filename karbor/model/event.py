# SPDX-License-Identifier: Apache-2.0
"""What happened that triggers wait for, and what became of it?"""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

#: Where events come from: a request to a webhook, a notification of another service, the end of a scheduled run.
WEBHOOK, NOTIFICATION, RUN = SOURCES = ("webhook", "notification", "run")
#: What became of an event: it made runs; it joined those of an earlier one that have not begun; nothing.
FIRED, JOINED, IGNORED = OUTCOMES = ("fired", "joined", "ignored")
#: So many triggers may fire one after the other, each because of what the one before has started.
MAX_CHAIN = 8
_SPACE = uuid.UUID("1d3ad6d1-9c2a-5f0f-8a6b-0f6f3bb1f0f4")


@dataclass(frozen=True)
class Event:
    """Something that happened in a project. ``key`` tells it apart from all others of its source: the same key is the
    same event, however often it is told. ``chain``: the triggers that led to it, the first one first."""

    project_id: str
    source: str
    type: str
    key: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    chain: tuple[str, ...] = ()


@dataclass(frozen=True)
class TriggerEvent:
    """What became of an event at one trigger: there is never a second row for the same two.

    ``due_ms``: when its runs may begin (milliseconds of the database server's clock).
    """

    id: str
    trigger_id: str
    project_id: str
    source: str
    type: str
    at: datetime
    due_ms: int
    outcome: str
    reason: str | None = None
    runs: int = 0


def event_id(trigger_id: str, event: Event) -> str:
    """The id of the row of that event at that trigger."""
    key = hashlib.sha256(event.key.encode(errors="replace")).hexdigest()
    return str(uuid.uuid5(_SPACE, f"{trigger_id} {event.source} {key}"))

# SPDX-License-Identifier: Apache-2.0
"""When does a trigger of type ``after`` start what hangs on it?"""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from karbor.model import errors
from karbor.model.event import RUN, Event
from karbor.sdk.trigger import Properties, TriggerType

OUTCOMES = ("success", "failed", "any")
_NOUNS = {"scheduled_operation_id": "scheduled operation", "plan_id": "plan"}
_KNOWN = (*_NOUNS, "outcome", "window")


class AfterTrigger(TriggerType):
    """Whenever a run of a scheduled operation, or any scheduled run of a plan, has ended.

    ``outcome`` says how it must have ended: ``success`` (the default), ``failed`` or ``any`` of both. A run that never
    began (missed, skipped) has not ended in this sense. The payload of the event holds ``scheduled_operation_id``,
    ``plan_id`` and ``status``.
    """

    listens = frozenset({RUN})

    def accept(self, given: Properties, *, stored: Properties, created_at: datetime, now: datetime) -> dict[str, Any]:
        kept = self.merged(given, stored, _KNOWN)
        named = [name for name in _NOUNS if name in kept]
        if len(named) != 1:
            raise errors.InvalidInput(f"Either {' or '.join(_NOUNS)} is required.")
        try:
            kept[named[0]] = str(uuid.UUID(kept[named[0]]))
        except (ValueError, AttributeError, TypeError):
            raise errors.InvalidInput(f"{named[0]} must be a uuid.") from None
        if kept.get("outcome", OUTCOMES[0]) not in OUTCOMES:
            raise errors.InvalidInput(f"outcome must be one of {', '.join(OUTCOMES)}.")
        return kept

    def matches(self, properties: Properties, event: Event) -> bool:
        wanted = properties.get("outcome", OUTCOMES[0])
        named = all(event.payload.get(name) == properties[name] for name in _NOUNS if name in properties)
        return named and wanted in ("any", event.payload.get("status"))

    def names(self, properties: Properties) -> Mapping[str, str]:
        return {noun: properties[name] for name, noun in _NOUNS.items() if name in properties}

# SPDX-License-Identifier: Apache-2.0
"""When does a trigger of type ``webhook`` start what hangs on it?"""

from datetime import datetime
from typing import Any

from karbor.model.event import WEBHOOK, Event
from karbor.sdk.trigger import Properties, TriggerType

_KNOWN = ("window",)


class WebhookTrigger(TriggerType):
    """Whenever somebody asks for it: under a login, or at an address that holds the trigger's secret token."""

    listens = frozenset({WEBHOOK})

    def accept(self, given: Properties, *, stored: Properties, created_at: datetime, now: datetime) -> dict[str, Any]:
        return self.merged(given, stored, _KNOWN)

    def matches(self, properties: Properties, event: Event) -> bool:
        return True

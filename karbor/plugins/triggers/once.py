# SPDX-License-Identifier: Apache-2.0
"""When does a trigger of type ``at`` start what hangs on it?"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from karbor.model import errors
from karbor.sdk.moments import moment, zone_named
from karbor.sdk.trigger import Fire, Properties, TriggerType

_KNOWN = ("at", "timezone", "window")


class OnceTrigger(TriggerType):
    """Once, at the moment ``at``, which the clocks of ``timezone`` show (UTC where it is absent).

    A moment that has passed is refused, and one that the clocks of the zone skip; of one that they show twice, it is
    the first.
    """

    def accept(self, given: Properties, *, stored: Properties, created_at: datetime, now: datetime) -> dict[str, Any]:
        kept = self.merged(given, stored, _KNOWN)
        if _at(kept) <= now:
            raise errors.InvalidInput("at must lie ahead.")
        kept["at"] = str(kept["at"]).strip()
        return kept

    def plan(self, properties: Properties, *, created_at: datetime, after: datetime, seed: str) -> Iterator[Fire]:
        if (at := _at(properties)) > after:
            yield Fire(at, at)


def _at(properties: Properties) -> datetime:
    return moment("at", properties.get("at"), zone_named(properties.get("timezone", "UTC")))

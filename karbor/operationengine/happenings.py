# SPDX-License-Identifier: Apache-2.0
"""Which triggers wait for an event, and what do they start?

All kinds of events meet here. What they start is made in the transaction of the caller, once for each event and trigger
(karbor/db/events.py), so an event may be told any number of times.
"""

import logging
from collections.abc import Mapping

from karbor.db.database import Database, Transaction
from karbor.model import errors
from karbor.model.event import RUN, Event, TriggerEvent
from karbor.model.scheduled_run import ScheduledRun
from karbor.model.trigger import Trigger
from karbor.sdk.trigger import TriggerType

LOG = logging.getLogger(__name__)


class Happenings:
    """Takes events to the triggers of their project. Used by many threads."""

    def __init__(self, kinds: Mapping[str, TriggerType], *, interval_ms: int = 0) -> None:
        """``interval_ms`` lies at least between two lots of runs that one trigger starts."""
        self._kinds = {name: kind for name, kind in kinds.items() if kind.listens}
        self._interval_ms = interval_ms

    def wanted(self, database: Database, event: Event) -> bool:
        """Whether any trigger waits for it: nearly nothing of what a cloud tells is, and that costs one question."""
        with database.read() as rows:
            return bool(self._waiting(rows, event))

    def take(self, rows: Transaction, event: Event) -> list[TriggerEvent]:
        """Let every trigger of the event's project that waits for it fire; returns what became of it at each."""
        taken = []
        for trigger in self._waiting(rows, event):
            window_ms = self._kinds[trigger.type].window(trigger.properties) * 1000
            try:
                one = rows.events.take(trigger, event, window_ms=window_ms, interval_ms=self._interval_ms)
            except errors.NotFound:
                continue  # it was deleted this moment
            taken.append(one)
            LOG.info(
                "event taken event=%s trigger=%s source=%s type=%s outcome=%s runs=%d project=%s",
                one.id, one.trigger_id, one.source, one.type, one.outcome, one.runs, one.project_id,
            )  # fmt: skip
        return taken

    def _waiting(self, rows: Transaction, event: Event) -> list[Trigger]:
        names = [name for name, kind in self._kinds.items() if event.source in kind.listens]
        found = rows.triggers.listening(event.project_id, names) if names else ()
        # A trigger never fires because of what it has started itself, however many others lie between.
        return [
            trigger
            for trigger in found
            if trigger.id not in event.chain and self._kinds[trigger.type].matches(trigger.properties, event)
        ]

    def run_ended(self, rows: Transaction, run: ScheduledRun, status: str) -> None:
        """A run that had begun ended so."""
        cause = run.result.get("cause") or {}
        payload = {
            "scheduled_operation_id": run.scheduled_operation_id,
            "plan_id": run.plan_id,
            "status": status,
        }
        event = Event(run.project_id, RUN, status, run.id, payload, chain=tuple(cause.get("chain", ())))
        self.take(rows, event)

# SPDX-License-Identifier: Apache-2.0
"""How does an event become runs exactly once, however often and by however many it is told?

The row of an event at a trigger has an id that follows from both, and is inserted in the transaction that inserts the
runs. The trigger is locked meanwhile: its events are taken one after the other.
"""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from karbor.db.fires import insert_new, moment, now_ms, run_values
from karbor.db.query import Listing, capped, equal
from karbor.db.repository import Repository, locked
from karbor.db.scheduletables import SCHEDULED_OPERATIONS, SCHEDULED_RUNS, TRIGGER_EVENTS, TRIGGERS
from karbor.model import errors
from karbor.model.event import FIRED, IGNORED, JOINED, MAX_CHAIN, Event, TriggerEvent, event_id
from karbor.model.page import Page, PageRequest
from karbor.model.trigger import Trigger

_C = TRIGGER_EVENTS.c
_O = SCHEDULED_OPERATIONS.c
_R = SCHEDULED_RUNS.c
_MILLISECOND = timedelta(milliseconds=1)
_TOO_LONG = f"It would be the end of a chain of more than {MAX_CHAIN} triggers."
_JOINED = "It came soon after the last one: the runs at {} are for both."
_NOBODY = "No enabled scheduled operation hangs on the trigger."


class Events(Repository):
    """The events of the triggers."""

    noun = "event"
    table = TRIGGER_EVENTS
    LISTING = Listing(
        TRIGGER_EVENTS,
        keys={"id": _C.id, "at": _C.at},
        filters={"trigger_id": equal(_C.trigger_id), "outcome": equal(_C.outcome)},
        default=(("at", "desc"),),
        narrow=frozenset({"trigger_id"}),
    )

    def list(self, request: PageRequest) -> Page[TriggerEvent]:
        """A page of events."""
        rows = self.LISTING.fetch(self._connection, request, {_C.project_id: request.project_id})
        return Page(tuple(map(_event, rows)), len(rows) >= capped(request))

    def take(self, trigger: Trigger, event: Event, *, window_ms: int, interval_ms: int) -> TriggerEvent:
        """Make the runs that this event starts at this trigger; returns what became of it.

        An event that was taken before is not taken again: its row is returned. Runs may begin for ``window_ms``. At
        most one lot of runs becomes due in ``interval_ms``; events that come while one waits for its time join it.
        Raises NotFound where the trigger is gone.
        """
        self._lock(trigger)
        id = event_id(trigger.id, event)
        if (known := self._connection.execute(sa.select(TRIGGER_EVENTS).where(_C.id == id)).first()) is not None:
            return _event(known)
        now = now_ms(self._connection, self._clock)
        last = self._last(trigger)
        at = max(moment(now), last.at + _MILLISECOND) if last else moment(now)
        due = max(now, last.due_ms + interval_ms) if last else now
        outcome, reason, runs = FIRED, None, 0
        if len(event.chain) >= MAX_CHAIN:
            outcome, reason = IGNORED, _TOO_LONG
        elif last and last.due_ms > now:
            outcome, due, reason = JOINED, last.due_ms, _JOINED.format(moment(last.due_ms).isoformat(sep=" ")[:19])
        else:
            at, runs = self._start(trigger, event, id, at, due, due + window_ms)
            if not runs:
                outcome, reason = IGNORED, _NOBODY
        taken = TriggerEvent(
            id, trigger.id, trigger.project_id, event.source, event.type[:255], at, due, outcome, reason, runs
        )
        self._insert(**asdict(taken))
        return taken

    def forget(self, trigger_id: str) -> None:
        """The trigger is gone: so are its events."""
        self._connection.execute(sa.delete(TRIGGER_EVENTS).where(_C.trigger_id == trigger_id))

    def purge(self, before: datetime, limit: int) -> int:
        """Remove at most ``limit`` that came before this moment; returns how many."""
        old = sa.select(_C.id).where(_C.at < before).order_by(_C.at, _C.id).limit(limit)
        return self._remove(self._connection.execute(old).scalars().all())

    def _lock(self, trigger: Trigger) -> None:
        query = locked(sa.select(TRIGGERS.c.id).where(TRIGGERS.c.id == trigger.id), self._connection)
        if self._connection.execute(query).first() is None:
            raise errors.NotFound(f"The trigger {trigger.id} could not be found.")

    def _last(self, trigger: Trigger) -> Row[Any] | None:
        """The newest event that made runs."""
        query = sa.select(TRIGGER_EVENTS).where(_C.trigger_id == trigger.id, _C.outcome == FIRED)
        return self._connection.execute(query.order_by(_C.at.desc(), _C.id.desc()).limit(1)).first()

    def _start(
        self, trigger: Trigger, event: Event, id: str, at: datetime, due_ms: int, until_ms: int
    ) -> tuple[datetime, int]:
        """A run of each enabled operation; returns their time, which no other run of theirs has, and how many."""
        query = sa.select(SCHEDULED_OPERATIONS).where(_O.trigger_id == trigger.id, _O.enabled == 1)
        operations = self._connection.execute(query).all()
        cause: dict[str, Any] = {"event_id": id, "source": event.source, "type": event.type[:255]}
        cause["chain"] = [*event.chain, trigger.id]
        given = {"result": {"cause": cause}, "not_before_ms": due_ms, "begin_until_ms": until_ms}
        left = {operation.id: operation for operation in operations}
        while left:
            newest = sa.select(sa.func.max(_R.scheduled_for)).where(_R.scheduled_operation_id.in_(list(left)))
            last = self._connection.execute(newest).scalar()
            at = last + _MILLISECOND if last is not None and last >= at else at
            made = [run_values(operation, at, at) | given for operation in left.values()]
            insert_new(self._connection, made)
            # Where somebody asked for a run at the very same moment, that one is there, and not ours.
            query = sa.select(_R.scheduled_operation_id, _R.result).where(_R.id.in_([run["id"] for run in made]))
            for operation_id, result in self._connection.execute(query).tuples():
                if result.get("cause") == cause:
                    del left[operation_id]
        return at, len(operations)


def _event(row: Row[Any]) -> TriggerEvent:
    return TriggerEvent(**row._mapping)

# SPDX-License-Identifier: Apache-2.0
"""Which triggers are due, and how does exactly one engine turn a due time into runs?

``next_fire_ms`` of a trigger is its next time in milliseconds of the database server's clock. Whoever is first to
move it on (compare-and-swap, in one transaction with the rows of the runs) has taken the time; everybody else finds it
moved. So any number of engines may look at the same triggers, with any clocks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import Connection, Row

from karbor.common.clock import Clock
from karbor.db.jobs import server_ms
from karbor.db.repository import Repository
from karbor.db.scheduletables import PAUSED_PLANS, SCHEDULED_OPERATIONS, SCHEDULED_RUNS, TRIGGERS
from karbor.model.scheduled_run import run_id
from karbor.model.trigger import Trigger

_T = TRIGGERS.c
_O = SCHEDULED_OPERATIONS.c
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Of a trigger that nobody has looked at yet, and of one whose times could not be found out.
UNPLANNED, BROKEN = 0, -1


@dataclass(frozen=True)
class Due:
    """A trigger whose time has come, as it was seen. ``at_ms`` is that time, or UNPLANNED."""

    trigger: Trigger
    at_ms: int
    revision: int


@dataclass(frozen=True)
class Fired:
    """What is made of one time of a trigger: a run that may begin until ``until_ms``, or a missed one and why."""

    at_ms: int
    until_ms: int | None = None
    missed: str = ""


@dataclass(frozen=True)
class Settled:
    """What becomes of a due trigger: its times up to now, and its next one (None: never again, BROKEN)."""

    due: Due
    next_ms: int | None
    fired: tuple[Fired, ...] = ()


class Fires(Repository):
    """The times of the triggers."""

    noun = "trigger"
    table = TRIGGERS

    def now_ms(self) -> int:
        """Now, as the database server sees it."""
        return now_ms(self._connection, self._clock)

    def now(self) -> datetime:
        """The same as a moment."""
        return moment(self.now_ms())

    def due(self, limit: int) -> Sequence[Due]:
        """The triggers whose time has come, the longest due first."""
        now = server_ms(self._connection, self._clock)
        wanted = sa.and_(_T.next_fire_ms >= UNPLANNED, _T.next_fire_ms <= now)
        query = sa.select(TRIGGERS).where(wanted).order_by(_T.next_fire_ms, _T.id).limit(limit)
        return [Due(trigger(row), row.next_fire_ms, row.revision) for row in self._connection.execute(query)]

    def wait_ms(self, longest: int) -> int:
        """Milliseconds until the next time of any trigger, at most ``longest``."""
        query = sa.select(sa.func.min(_T.next_fire_ms)).where(_T.next_fire_ms >= UNPLANNED)
        first = self._connection.execute(query).scalar()
        return longest if first is None else max(0, min(longest, int(first) - self.now_ms()))

    def claim(self, settled: Sequence[Settled]) -> int:
        """Move these triggers on and insert what came of their times; returns the number of rows of runs.

        Those that somebody else moved on or changed meanwhile are left alone: they are not ours.
        """
        by_id = {one.due.trigger.id: one for one in settled}
        query = sa.select(_T.id, _T.next_fire_ms, _T.revision).where(_T.id.in_(list(by_id)))
        if self._connection.dialect.name != "sqlite":
            query = query.with_for_update(skip_locked=True)  # somebody else is just taking that one
        seen = {row.id: (row.next_fire_ms, row.revision) for row in self._connection.execute(query)}
        ours = [one for id, one in by_id.items() if seen.get(id) == (one.due.at_ms, one.due.revision)]
        if not ours:
            return 0
        move = (
            sa.update(TRIGGERS)
            .where(_T.id == sa.bindparam("b_id"), _T.next_fire_ms == sa.bindparam("b_seen"))
            .values(next_fire_ms=sa.bindparam("b_next"))
        )
        values = [{"b_id": one.due.trigger.id, "b_seen": one.due.at_ms, "b_next": one.next_ms} for one in ours]
        self._connection.execute(move, values)
        return self._insert_runs([one for one in ours if one.fired])

    def _insert_runs(self, ours: Sequence[Settled]) -> int:
        by_id = {one.due.trigger.id: one for one in ours}
        wanted = sa.select(SCHEDULED_OPERATIONS).where(_O.trigger_id.in_(list(by_id)), _O.enabled == 1)
        now = self.now()
        found = [
            run_values(operation, moment(fired.at_ms), now)
            | {
                "status": "missed" if fired.missed else "waiting",
                "reason": fired.missed or None,
                "begin_until_ms": fired.until_ms,
                "ended_at": now if fired.missed else None,
            }
            for operation in self._connection.execute(wanted)
            for fired in by_id[operation.trigger_id].fired
            if fired.at_ms >= operation.since_ms
        ]
        insert_new(self._connection, found)
        return len(found)

    def revive(self) -> None:
        """Let triggers whose times could not be found out be looked at again (a plug-in may be there by now)."""
        self._connection.execute(
            sa.update(TRIGGERS)
            .where(_T.next_fire_ms == BROKEN)
            .values(next_fire_ms=UNPLANNED, revision=_T.revision + 1)
        )

    def next_of_plans(self, plan_ids: Iterable[str]) -> dict[str, datetime]:
        """When each of these plans is run next by an enabled scheduled operation; those that are not are left out."""
        wanted = list(plan_ids)
        paused = sa.select(PAUSED_PLANS.c.plan_id).where(PAUSED_PLANS.c.plan_id.in_(wanted))
        query = (
            sa.select(_O.plan_id, sa.func.min(_T.next_fire_ms))
            .join(TRIGGERS, _T.id == _O.trigger_id)
            .where(_O.plan_id.in_(wanted), _O.enabled == 1, _T.next_fire_ms > 0, _O.plan_id.not_in(paused))
            .group_by(_O.plan_id)
        )
        return {id: moment(at) for id, at in self._connection.execute(query).tuples()} if wanted else {}

    def next_of_triggers(self, trigger_ids: Iterable[str]) -> dict[str, datetime]:
        """When each of these triggers fires next; those that do not are left out."""
        wanted = list(set(trigger_ids))
        query = sa.select(_T.id, _T.next_fire_ms).where(_T.id.in_(wanted), _T.next_fire_ms > 0)
        return {id: moment(at) for id, at in self._connection.execute(query).tuples()} if wanted else {}

    def note_status(self, plan_id: str, *, before: str, after: str) -> None:
        """A plan that is suspended after it was started is not run by schedules, until it is started again."""
        if before == after:
            return
        self._connection.execute(sa.delete(PAUSED_PLANS).where(PAUSED_PLANS.c.plan_id == plan_id))
        if after == "suspended":
            self._connection.execute(sa.insert(PAUSED_PLANS).values(plan_id=plan_id))


def now_ms(connection: Connection, clock: Clock) -> int:
    """Now in milliseconds, as the database server sees it."""
    return int(connection.execute(sa.select(server_ms(connection, clock))).scalar_one())


def moment(milliseconds: int) -> datetime:
    """Milliseconds since 1970 as a moment."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def milliseconds(at: datetime) -> int:
    """A moment as whole milliseconds since 1970."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def trigger(row: Row[Any]) -> Trigger:
    """A row of the triggers as a value."""
    values = dict(row._mapping)
    next_ms = values.pop("next_fire_ms")
    del values["revision"], values["token_hash"]
    return Trigger(**values, next_fire=moment(next_ms) if next_ms and next_ms > 0 else None)


def insert_new(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Insert those runs that are not there yet: one operation has one for each time, whatever the clocks do."""
    if not rows:
        return
    if connection.dialect.name in ("mysql", "mariadb"):
        connection.execute(mysql.insert(SCHEDULED_RUNS).on_duplicate_key_update(id=SCHEDULED_RUNS.c.id), rows)
        return
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(insert(SCHEDULED_RUNS).on_conflict_do_nothing(), rows)


def run_values(operation: Row[Any], at: datetime, now: datetime) -> dict[str, Any]:
    """The row of a run of that operation for that time, which waits for its turn."""
    return {
        "id": run_id(operation.id, at),
        "project_id": operation.project_id,
        "user_id": operation.user_id,
        "scheduled_operation_id": operation.id,
        "operation_type": operation.operation_type,
        "scheduled_for": at,
        "plan_id": operation.plan_id,
        "provider_id": operation.provider_id,
        "definition": operation.operation_definition,
        "status": "waiting",
        "result": {},
        "created_at": now,
    }

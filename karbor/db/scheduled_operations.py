# SPDX-License-Identifier: Apache-2.0
"""How are scheduled operations kept?"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from karbor.db import usage
from karbor.db.breakers import Breakers
from karbor.db.jobs import server_ms
from karbor.db.query import Listing, capped, equal, flag, json_substring, substring
from karbor.db.repository import Repository, locked
from karbor.db.scheduled_runs import ScheduledRuns
from karbor.db.scheduletables import POLICY_SCHEDULES, SCHEDULED_OPERATIONS, TRIGGERS
from karbor.db.tables import PLANS
from karbor.model import errors
from karbor.model.page import Page, PageRequest
from karbor.model.scheduled_operation import ScheduledOperation

_C = SCHEDULED_OPERATIONS.c
_PERMISSION = frozenset({"trust_id", "permission_reason", "permission_since"})
_FIXED = frozenset({"id", "project_id", "user_id", "created_at"}) | _PERMISSION  # others change these
_COLUMNS = frozenset({"plan_id", "provider_id", "since_ms", "permission_checked_ms"})  # that are no fields of the value


class ScheduledOperations(Repository):
    """The scheduled operations. While one is there, its trigger and its plan cannot be deleted."""

    noun = "scheduled operation"
    table = SCHEDULED_OPERATIONS
    LISTING = Listing(
        SCHEDULED_OPERATIONS,
        keys={"id": _C.id, "name": _C.name, "created_at": _C.created_at},
        filters={
            "name": substring(_C.name),
            "operation_type": equal(_C.operation_type),
            "trigger_id": equal(_C.trigger_id),
            "plan_id": equal(_C.plan_id),
            "provider_id": equal(_C.provider_id),
            "operation_definition": json_substring(_C.operation_definition),
            "enabled": flag(_C.enabled),
        },
        narrow=frozenset({"trigger_id", "plan_id"}),
    )

    def create(self, operation: ScheduledOperation) -> ScheduledOperation:
        """Keep a new one; returns it with its time of creation.

        Raises Conflict where the id is taken, NotFound where its trigger or its plan is not there (any more).
        """
        operation = replace(operation, created_at=operation.created_at or self._clock.now())
        self._hold(operation)
        now = self._now_ms()
        self._insert(**_values(operation), since_ms=now, permission_checked_ms=now)
        return operation

    def get(self, id: str, *, project_id: str | None = None) -> ScheduledOperation:
        """It, of any project where ``project_id`` is None. Raises NotFound."""
        return read(self._row(id, *([_C.project_id == project_id] if project_id is not None else [])))

    def list(self, request: PageRequest) -> Page[ScheduledOperation]:
        """A page of scheduled operations."""
        rows = self.LISTING.fetch(self._connection, request, {_C.project_id: request.project_id})
        return Page(tuple(map(read, rows)), len(rows) >= capped(request))

    def of_plan(self, plan_id: str) -> Sequence[ScheduledOperation]:
        """All of a plan, the oldest first."""
        query = sa.select(SCHEDULED_OPERATIONS).where(_C.plan_id == plan_id).order_by(_C.created_at, _C.id)
        return [read(row) for row in self._connection.execute(query)]

    def count_own(self, project_id: str) -> int:
        """How many of the project no policy has made. Nobody else counts them until the transaction ends."""
        usage.hold(self._connection, project_id)
        made = sa.exists().where(POLICY_SCHEDULES.c.scheduled_operation_id == _C.id)
        query = sa.select(sa.func.count()).where(_C.project_id == project_id, ~made)
        return int(self._connection.execute(query).scalar_one())

    def update(self, operation: ScheduledOperation) -> ScheduledOperation:
        """Replace what is kept; returns it with the time of the change.

        Raises NotFound, also where its trigger or its plan is not there.
        """
        operation = replace(operation, updated_at=self._clock.now())
        self._hold(operation)
        Breakers(self._connection, self._clock, self._changes).forget(operation.id)  # somebody has seen to it
        changed = {name: value for name, value in _values(operation).items() if name not in _FIXED}
        if operation.enabled:  # times that passed while it was not are not made up for
            now = server_ms(self._connection, self._clock)
            changed["since_ms"] = sa.case((_C.enabled == 0, now), else_=_C.since_ms)
        if not self._update(operation.id, **changed):
            raise errors.NotFound(f"The scheduled operation {operation.id} could not be found.")
        return operation

    def delete(self, id: str) -> None:
        """Forget it, with what became of its times. Raises NotFound."""
        if not self._delete(id):
            raise errors.NotFound(f"The scheduled operation {id} could not be found.")
        ScheduledRuns(self._connection, self._clock, self._changes).forget(id)
        Breakers(self._connection, self._clock, self._changes).forget(id)

    def entrust(self, id: str, *, trust_id: str, user_id: str) -> ScheduledOperation:
        """From now on it is done for this user, by this trust; returns it. Raises NotFound."""
        values = {"trust_id": trust_id, "user_id": user_id, "permission_reason": None}
        now = {"permission_since": self._clock.now(), "permission_checked_ms": self._now_ms()}
        if not self._update(id, **values, **now):
            raise errors.NotFound(f"The scheduled operation {id} could not be found.")
        return self.get(id)

    def note_permission(self, id: str, *, trust_id: str | None, reason: str | None) -> bool:
        """Somebody has just tried whether that trust lets us act: ``reason`` says why not. Returns whether the answer
        is another one than before; what is known of another trust stays."""
        own = (_C.trust_id == trust_id) if trust_id is not None else _C.trust_id.is_(None)
        self._update(id, own, permission_checked_ms=self._now_ms())
        other = (
            _C.permission_reason.is_not(None)
            if reason is None
            else sa.func.coalesce(_C.permission_reason, "") != reason
        )
        before = self._connection.execute(sa.select(_C.permission_reason).where(_C.id == id, own)).first()
        if before is None or not self._update(id, own, other, permission_reason=reason):
            return False
        if (before.permission_reason is None) != (reason is None):
            self._update(id, own, permission_since=self._clock.now())
        return True

    def unchecked(self, *, lost_ms: int, held_ms: int, limit: int) -> Sequence[ScheduledOperation]:
        """Enabled ones whose permission nobody tried for so long: for a lost one, and for one that was there. Whoever
        gets them tries; others do not get them meanwhile."""
        now = server_ms(self._connection, self._clock)
        lost = sa.and_(_C.permission_reason.is_not(None), _C.permission_checked_ms <= now - lost_ms)
        due = sa.or_(lost, _C.permission_checked_ms <= now - held_ms)
        query = sa.select(SCHEDULED_OPERATIONS).where(_C.enabled == 1, _C.trust_id.is_not(None), due)
        query = query.order_by(_C.permission_checked_ms, _C.id).limit(limit)
        if self._connection.dialect.name != "sqlite":
            query = query.with_for_update(skip_locked=True)
        found = self._connection.execute(query).all()
        if found:
            taken = sa.update(SCHEDULED_OPERATIONS).where(_C.id.in_([row.id for row in found]))
            self._connection.execute(taken.values(permission_checked_ms=now))
        return [read(row) for row in found]

    def _now_ms(self) -> sa.ColumnElement[int]:
        return server_ms(self._connection, self._clock)

    def _hold(self, operation: ScheduledOperation) -> None:
        """Plan and trigger stay until the transaction ends; whoever deletes one of them then sees the operation."""
        for noun, table, id in (("plan", PLANS, operation.plan_id), ("trigger", TRIGGERS, operation.trigger_id)):
            query = locked(sa.select(table.c.id).where(table.c.id == id), self._connection)
            if id is not None and self._connection.execute(query).first() is None:
                raise errors.NotFound(f"The {noun} {id[:64]} could not be found.")


def _values(operation: ScheduledOperation) -> dict[str, Any]:
    plan = {"plan_id": operation.plan_id, "provider_id": operation.provider_id, "enabled": int(operation.enabled)}
    return asdict(operation) | plan


def read(row: Row[Any]) -> ScheduledOperation:
    """A row of the scheduled operations as a value."""
    values = {name: value for name, value in row._mapping.items() if name not in _COLUMNS}
    return ScheduledOperation(**values | {"enabled": bool(row.enabled)})

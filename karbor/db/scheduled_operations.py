# SPDX-License-Identifier: Apache-2.0
"""How are scheduled operations kept?"""

from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from karbor.db.jobs import server_ms
from karbor.db.query import Listing, capped, equal, flag, json_substring, substring
from karbor.db.repository import Repository, locked
from karbor.db.scheduled_runs import ScheduledRuns
from karbor.db.tables import PLANS, SCHEDULED_OPERATIONS, TRIGGERS
from karbor.model import errors
from karbor.model.page import Page, PageRequest
from karbor.model.scheduled_operation import ScheduledOperation

_C = SCHEDULED_OPERATIONS.c
_FIXED = frozenset({"id", "project_id", "created_at"})
_COLUMNS = frozenset({"plan_id", "provider_id", "since_ms"})  # that are no fields of the value


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
        self._insert(**_values(operation), since_ms=server_ms(self._connection, self._clock))
        return operation

    def get(self, id: str, *, project_id: str | None = None) -> ScheduledOperation:
        """It, of any project where ``project_id`` is None. Raises NotFound."""
        return _operation(self._row(id, *([_C.project_id == project_id] if project_id is not None else [])))

    def list(self, request: PageRequest) -> Page[ScheduledOperation]:
        """A page of scheduled operations."""
        rows = self.LISTING.fetch(self._connection, request, {_C.project_id: request.project_id})
        return Page(tuple(map(_operation, rows)), len(rows) >= capped(request))

    def update(self, operation: ScheduledOperation) -> ScheduledOperation:
        """Replace what is kept; returns it with the time of the change.

        Raises NotFound, also where its trigger or its plan is not there.
        """
        operation = replace(operation, updated_at=self._clock.now())
        self._hold(operation)
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

    def _hold(self, operation: ScheduledOperation) -> None:
        """Plan and trigger stay until the transaction ends; whoever deletes one of them then sees the operation."""
        for noun, table, id in (("plan", PLANS, operation.plan_id), ("trigger", TRIGGERS, operation.trigger_id)):
            query = locked(sa.select(table.c.id).where(table.c.id == id), self._connection)
            if id is not None and self._connection.execute(query).first() is None:
                raise errors.NotFound(f"The {noun} {id[:64]} could not be found.")


def _values(operation: ScheduledOperation) -> dict[str, Any]:
    plan = {"plan_id": operation.plan_id, "provider_id": operation.provider_id, "enabled": int(operation.enabled)}
    return asdict(operation) | plan


def _operation(row: Row[Any]) -> ScheduledOperation:
    values = {name: value for name, value in row._mapping.items() if name not in _COLUMNS}
    return ScheduledOperation(**values | {"enabled": bool(row.enabled)})

# SPDX-License-Identifier: Apache-2.0
"""How is kept what was done, when, and how it ended? A log has the id of its job."""

from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from karbor.db.query import Listing, capped, day_from, day_until, equal
from karbor.db.repository import Repository
from karbor.db.tables import OPERATION_LOGS
from karbor.model.operation import OperationLog
from karbor.model.page import Page, PageRequest

_C = OPERATION_LOGS.c
_NARROW = ("checkpoint_id", "plan_id", "restore_id", "verification_id", "scheduled_operation_id")


class OperationLogs(Repository):
    """The operation logs."""

    noun = "operation log"
    table = OPERATION_LOGS
    LISTING = Listing(
        OPERATION_LOGS,
        keys={
            "id": _C.id,
            "status": _C.status,
            "started_at": _C.started_at,
            "created_at": _C.started_at,
        },
        filters={
            **{name: equal(_C[name]) for name in (*_NARROW, "status", "provider_id", "operation_type")},
            "start_date": day_from(_C.started_at),
            "end_date": day_until(_C.started_at),
        },
        narrow=frozenset(_NARROW),
    )

    def create(self, log: OperationLog) -> OperationLog:
        """Keep a new log; it starts now where it does not say when. Raises Conflict where the id is taken."""
        log = replace(log, started_at=log.started_at or self._clock.now())
        self._insert(**asdict(log) | {"status": log.status or ""})
        return log

    def finish(self, id: str, *, status: str, ended_at: datetime, error_info: str | None = None) -> None:
        """Note how it ended. Nothing happens where there is no such log: the job's end must not depend on it."""
        self._update(id, status=status, ended_at=ended_at, error_info=error_info)

    def note(self, id: str, **extra: Any) -> None:
        """Keep something more in ``extra_info``. Nothing happens where there is no such log."""
        kept = self._connection.execute(sa.select(_C.extra_info).where(_C.id == id)).scalar()
        if kept is not None:
            self._update(id, extra_info={**kept, **extra})

    def statuses(self, ids: Iterable[str]) -> dict[str, str]:
        """The status of each of these logs that there is; "" for one without."""
        return self._column_of(_C.status, ids)

    def get(self, id: str, *, project_id: str | None = None) -> OperationLog:
        """The log, of any project where ``project_id`` is None. Raises NotFound."""
        return _log(self._row(id, *([_C.project_id == project_id] if project_id is not None else [])))

    def list(self, request: PageRequest) -> Page[OperationLog]:
        """A page of logs."""
        rows = self.LISTING.fetch(self._connection, request, {_C.project_id: request.project_id})
        return Page(tuple(map(_log, rows)), len(rows) >= capped(request))

    def purge(self, before: datetime, limit: int) -> int:
        """Remove at most ``limit`` logs of what began before this moment, oldest first; returns how many."""
        old = sa.select(_C.id).where(_C.started_at < before).order_by(_C.started_at, _C.id).limit(limit)
        return self._remove(self._connection.execute(old).scalars().all())


def _log(row: Row[Any]) -> OperationLog:
    return OperationLog(**dict(row._mapping) | {"status": row.status or None})

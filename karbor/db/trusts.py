# SPDX-License-Identifier: Apache-2.0
"""Which trusts were asked for, and which are of no use any more?

A row is written before Keystone is asked, so a trust is known of whatever happens then. It is used as long as a
schedule or a job that has not ended names it: nobody has to say when that is over.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from karbor.db.jobs import server_ms
from karbor.db.repository import Repository
from karbor.db.scheduletables import SCHEDULED_OPERATIONS, SCHEDULED_RUNS, TRUSTS
from karbor.db.tables import JOBS
from karbor.model import errors
from karbor.model.trust import Trust

_C = TRUSTS.c


class Trusts(Repository):
    """The trusts."""

    noun = "trust"
    table = TRUSTS

    def begin(self, trust: Trust) -> Trust:
        """Keystone will be asked for this one; returns it with its time. Raises Conflict where the id is taken."""
        trust = replace(trust, created_at=trust.created_at or self._clock.now())
        self._insert(**asdict(trust))
        return trust

    def keep(self, id: str, trust_id: str) -> None:
        """Keystone gave it this id; in the transaction that makes its first user. Raises Conflict where it took so long
        that the trust was given back meanwhile."""
        if not self._update(id, trust_id=trust_id):
            raise errors.Conflict("The permission was given back meanwhile. Ask again.")

    def find(self, trust_id: str) -> Trust | None:
        """Ours with this id of Keystone's."""
        row = self._connection.execute(sa.select(TRUSTS).where(_C.trust_id == trust_id)).first()
        return _trust(row) if row else None

    def of_schedule(self, scheduled_operation_id: str) -> tuple[str | None, str | None]:
        """Keystone's id of the trust of this schedule, also of one that is gone while a run of it is under way; and why
        it does not let us act any more."""
        schedules = SCHEDULED_OPERATIONS.c
        own = sa.select(schedules.trust_id, schedules.permission_reason).where(schedules.id == scheduled_operation_id)
        row = self._connection.execute(own).first()
        if row is not None:
            return row.trust_id, row.permission_reason
        left = sa.select(_C.trust_id).where(
            _C.scheduled_operation_id == scheduled_operation_id, _C.trust_id.is_not(None)
        )
        return self._connection.execute(left.order_by(_C.created_at.desc()).limit(1)).scalar(), None

    def unused(self, *, wait_ms: int, limit: int) -> Sequence[Trust]:
        """Trusts that nothing needs any more and that nobody tried to give back in the last ``wait_ms``."""
        return [_trust(row) for row in self._connection.execute(self._unused(wait_ms).limit(limit))]

    def is_unused(self, trust_id: str) -> Trust | None:
        """The trust, where nothing needs it any more."""
        row = self._connection.execute(self._unused(0).where(_C.trust_id == trust_id)).first()
        return _trust(row) if row else None

    def unheard(self, before: datetime) -> Sequence[Trust]:
        """Those that were asked for before this moment and never used: perhaps Keystone has them."""
        query = sa.select(TRUSTS).where(_C.trust_id.is_(None), _C.created_at < before)
        return [_trust(row) for row in self._connection.execute(query.order_by(_C.created_at).limit(1000))]

    def tried(self, id: str) -> None:
        """Somebody tries to give it back just now."""
        self._update(id, tried_ms=server_ms(self._connection, self._clock))

    def forget(self, id: str) -> None:
        """Keystone has it no more. May be called twice."""
        self._delete(id)

    def _unused(self, wait_ms: int) -> sa.Select[Any]:
        jobs, schedules, runs = JOBS.c, SCHEDULED_OPERATIONS.c, SCHEDULED_RUNS.c
        work = sa.exists().where(jobs.trust_id == _C.trust_id, jobs.state.in_(["queued", "running"]))
        planned = sa.exists().where(schedules.trust_id == _C.trust_id)
        # A run outlives its schedule, but not a new trust of that schedule.
        gone = ~sa.exists().where(schedules.id == _C.scheduled_operation_id)
        watched = sa.exists().where(
            runs.scheduled_operation_id == _C.scheduled_operation_id, runs.status == "running", gone
        )
        before = server_ms(self._connection, self._clock) - wait_ms
        return (
            sa.select(TRUSTS)
            .where(_C.trust_id.is_not(None), _C.tried_ms <= before, ~work, ~planned, ~watched)
            .order_by(_C.tried_ms, _C.id)
        )


def _trust(row: Row[Any]) -> Trust:
    return Trust(**row._mapping)

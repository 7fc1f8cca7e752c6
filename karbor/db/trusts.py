# SPDX-License-Identifier: Apache-2.0
"""Which trusts were asked for, and which are of no use any more?

A row is written before Keystone is asked, so a trust is known of whatever happens then. It is used as long as a
schedule or a job that has not ended names it, and for a while by one that failed: nobody has to say when that is over.
"""

from collections.abc import Iterable, Sequence
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
_OF_ONE = 10  # trusts of one project that are worth a look, on average


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

    def unused(self, *, wait_ms: int, limit: int, held_since: datetime | None = None) -> Sequence[Trust]:
        """Trusts that nothing needs any more and that nobody tried to give back in the last ``wait_ms``.

        ``held_since``: a job that failed after that needs its trust until somebody has looked for what it left.
        """
        return [_trust(row) for row in self._connection.execute(self._unused(wait_ms, held_since).limit(limit))]

    def is_unused(self, trust_id: str, *, held_since: datetime | None = None) -> Trust | None:
        """The trust, where nothing needs it any more."""
        row = self._connection.execute(self._unused(0, held_since).where(_C.trust_id == trust_id)).first()
        return _trust(row) if row else None

    def unswept(
        self, *, since: datetime, provider_ids: Iterable[str], wait_ms: int, limit: int
    ) -> Sequence[Sequence[Trust]]:
        """For each of up to ``limit`` projects the trusts by which nobody looked for what a job left that failed since
        then, the newest first. Only those whose failed jobs are all of these providers, and by which nobody tried to
        look in the last ``wait_ms``."""
        others = _failed(since, JOBS.c.provider_id.not_in(list(provider_ids)))
        before = server_ms(self._connection, self._clock) - wait_ms
        query = (
            sa.select(TRUSTS)
            .where(_C.trust_id.is_not(None), _C.sweep_tried_ms <= before, _failed(since), ~others)
            .order_by(_C.sweep_tried_ms, _C.created_at.desc(), _C.id)
        )
        found: dict[str, list[Trust]] = {}
        for row in self._connection.execute(query.limit(limit * _OF_ONE)):
            found.setdefault(row.project_id, []).append(_trust(row))
        newest = [sorted(trusts, key=lambda one: str(one.created_at), reverse=True) for trusts in found.values()]
        return newest[:limit]

    def begin_sweep(self, trusts: Sequence[Trust]) -> bool:
        """Somebody begins to look by these, as ``unswept`` gave them. False where another worker was faster."""
        now, first = server_ms(self._connection, self._clock), trusts[0]
        if not self._update(first.id, _C.sweep_tried_ms == first.sweep_tried_ms, sweep_tried_ms=now):
            return False
        rest = [trust.id for trust in trusts[1:]]
        self._connection.execute(sa.update(TRUSTS).where(_C.id.in_(rest)).values(sweep_tried_ms=now))
        return True

    def swept(self, trusts: Iterable[Trust], *, at: datetime) -> None:
        """All that was left by jobs that had failed by then is gone."""
        ids = [trust.id for trust in trusts]
        self._connection.execute(sa.update(TRUSTS).where(_C.id.in_(ids)).values(swept_at=at))

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

    def _unused(self, wait_ms: int, held_since: datetime | None) -> sa.Select[Any]:
        jobs, schedules, runs = JOBS.c, SCHEDULED_OPERATIONS.c, SCHEDULED_RUNS.c
        work = sa.exists().where(jobs.trust_id == _C.trust_id, jobs.state.in_(["queued", "running"]))
        planned = sa.exists().where(schedules.trust_id == _C.trust_id)
        # A run outlives its schedule, but not a new trust of that schedule.
        gone = ~sa.exists().where(schedules.id == _C.scheduled_operation_id)
        watched = sa.exists().where(
            runs.scheduled_operation_id == _C.scheduled_operation_id, runs.status == "running", gone
        )
        held = [] if held_since is None else [~_failed(held_since)]
        before = server_ms(self._connection, self._clock) - wait_ms
        return (
            sa.select(TRUSTS)
            .where(_C.trust_id.is_not(None), _C.tried_ms <= before, ~work, ~planned, ~watched, *held)
            .order_by(_C.tried_ms, _C.id)
        )


def _failed(since: datetime, *more: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Whether a job under the trust failed after that, was begun before, and nobody looked for what it left."""
    jobs = JOBS.c
    unseen = sa.or_(_C.swept_at.is_(None), jobs.updated_at > _C.swept_at)
    ended = (jobs.state == "failed", jobs.updated_at > since, jobs.fence > 0)
    return sa.exists().where(jobs.trust_id == _C.trust_id, *ended, unseen, *more)


def _trust(row: Row[Any]) -> Trust:
    return Trust(**row._mapping)

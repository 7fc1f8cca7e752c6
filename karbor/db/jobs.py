# SPDX-License-Identifier: Apache-2.0
"""Who works on which job, and who may still write for it?

A claim is a compare-and-swap on the fence. Whoever holds the highest fence of a running job owns it, also when the
lease has run out and nobody has taken it over yet; everybody else gets LeaseLost. Time is the server's, in whole
milliseconds, so that workers with wrong clocks do not steal from each other (SQLite: all are on one host).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from karbor.common.clock import Clock
from karbor.db.flowtables import LOGBOOKS
from karbor.db.query import Condition
from karbor.db.repository import Repository
from karbor.db.tables import JOBS
from karbor.model import errors, states
from karbor.model.operation import Job

_C = JOBS.c
_LOOK_AT = 16  # candidates looked at before another round
_ROUNDS = 4
_ENDED = ("done", "failed")
FLOW_KEY = "logbook"  # the payload names the kept flow with it; a job that has one is gone on with


def server_ms(connection: Connection, clock: Clock) -> sa.ColumnElement[int]:
    """Now in whole milliseconds since 1970, as the database server sees it."""
    if connection.dialect.name == "sqlite":
        return sa.literal(clock.milliseconds(), sa.BigInteger)
    if connection.dialect.name == "postgresql":
        return sa.literal_column("CAST(extract(epoch FROM statement_timestamp()) * 1000 AS BIGINT)", sa.BigInteger)
    return sa.literal_column("CAST(unix_timestamp(now(3)) * 1000 AS SIGNED)", sa.BigInteger)


def ours(job: Job) -> Condition:
    """The row of ``job``, while it is running under the fence that ``job`` shows."""
    return sa.and_(_C.id == job.id, _C.fence == job.fence, _C.state == "running")


class Jobs(Repository):
    """The jobs."""

    noun = "job"
    table = JOBS

    def create(self, job: Job) -> Job:
        """Keep a new job; returns it with its time of creation. Raises Conflict where the id is taken."""
        job = replace(job, created_at=job.created_at or self._clock.now())
        self._insert(**asdict(job), not_before_ms=0)
        self._tell(job, job.state)
        return job

    def states(self, ids: Iterable[str]) -> dict[str, str]:
        """The state of each of these jobs that there is."""
        return self._column_of(_C.state, ids)

    def get(self, id: str) -> Job:
        """Raises NotFound."""
        return _job(self._row(id))

    def claim(
        self,
        *,
        owner: str,
        provider_ids: Iterable[str],
        host: str,
        lease_ms: int,
        operations: Iterable[str] | None = None,
    ) -> Job | None:
        """Take a job of these providers that any host or this ``host`` may do, one of these ``operations`` where they
        are named; None where there is none.

        First come running jobs whose owner has not been heard of for its lease, then the oldest queued one whose time
        has come. ``attempts`` grows where the work begins anew, not where a kept flow is gone on with. No other
        caller gets the same job, unless the lease runs out.
        """
        now = server_ms(self._connection, self._clock)
        mine = sa.and_(_C.provider_id.in_(list(provider_ids)), sa.or_(_C.host.is_(None), _C.host == host))
        if operations is not None:
            mine = sa.and_(mine, _C.operation.in_(list(operations)))
        left = sa.and_(_C.state == "running", _C.lease_until_ms < now, mine)
        waiting = sa.and_(_C.state == "queued", _C.not_before_ms <= now, mine)
        for wanted, order in ((left, (_C.lease_until_ms, _C.id)), (waiting, (_C.created_at, _C.id))):
            query = sa.select(_C.id).where(wanted).order_by(*order).limit(_LOOK_AT)
            for _round in range(_ROUNDS):
                candidates = self._connection.execute(query).scalars().all()
                for id in candidates:
                    if self._take(id, wanted, owner=owner, lease_until_ms=now + lease_ms):
                        taken = self.get(id)
                        self._tell(taken, "taken_over" if wanted is left else "running")
                        return taken
                if len(candidates) < _LOOK_AT:
                    break
        return None

    def _take(self, id: str, wanted: Condition, *, owner: str, lease_until_ms: sa.ColumnElement[int]) -> bool:
        query = sa.select(JOBS).where(_C.id == id, wanted)
        if self._connection.dialect.name != "sqlite":
            query = query.with_for_update(skip_locked=True)  # somebody else is just taking that one
        row = self._connection.execute(query).first()
        if row is None:
            return False
        return self._update(
            id,
            _C.fence == row.fence,
            _C.state == row.state,
            state=states.JOB.move(row.state, "running"),
            owner=owner,
            fence=row.fence + 1,
            lease_until_ms=lease_until_ms,
            attempts=row.attempts + (0 if row.payload.get(FLOW_KEY) else 1),
            updated_at=self._clock.now(),
        )

    def heartbeat(self, job: Job, *, lease_ms: int) -> Job:
        """Keep the job for ``lease_ms`` from now; returns the row (see its ``cancel_requested``). Raises LeaseLost."""
        until = server_ms(self._connection, self._clock) + lease_ms
        self._change(job, lease_until_ms=until)
        return self.get(job.id)

    def check(self, job: Job) -> None:
        """Raises LeaseLost unless the job is still ours.

        In a writing transaction nobody can take the job before that transaction ends: what is written with it counts.
        """
        check_fence(self._connection, job)

    def release(self, job: Job, *, delay_ms: int = 0, fresh: bool = False, state_note: str = "") -> None:
        """Back to the queue, not to be taken for ``delay_ms``. Raises LeaseLost.

        ``fresh`` forgets which flow was kept: the next owner begins anew. ``state_note`` is kept in the payload.
        """
        payload = dict(self._payload(job))
        if fresh:
            payload.pop(FLOW_KEY, None)
        if state_note:
            payload["state_note"] = state_note
        not_before = server_ms(self._connection, self._clock) + delay_ms
        self._change(job, state="queued", owner=None, lease_until_ms=0, not_before_ms=not_before, payload=payload)
        self._tell(replace(job, state="queued", owner=None), "queued", before="running")

    def finish(self, job: Job, state: str) -> None:
        """The job ended, ``done`` or ``failed``. May be called twice. Raises LeaseLost."""
        ended = sa.and_(_C.id == job.id, _C.fence == job.fence, _C.state == state)
        if self._connection.execute(sa.select(_C.id).where(ended)).first():
            return
        self._change(job, state=states.JOB.move("running", state), lease_until_ms=0)
        self._tell(replace(job, state=state), state, before="running")

    def set_payload(self, job: Job, **changes: Any) -> Job:
        """Merge ``changes`` into the payload; returns the row. Raises LeaseLost."""
        self._change(job, payload={**self._payload(job), **changes})
        return self.get(job.id)

    def bind(self, job: Job, host: str) -> None:
        """From now on, only workers of ``host`` go on with the job: something of it is only there. Raises LeaseLost."""
        self._change(job, host=host)

    def request_cancel(self, id: str) -> bool:
        """Ask for the end of the job. Raises NotFound.

        True: it had never been begun, and has failed now. False: its worker will see the wish (a job that was begun has
        things to put back, also while it waits in the queue), or it has ended already.
        """
        row = self._row(id, lock=True)
        job = replace(_job(row), cancel_requested=True)
        if row.state == "queued" and row.fence == 0:
            now = self._clock.now()
            ended = self._update(id, _C.fence == 0, state="failed", cancel_requested=True, updated_at=now)
            if ended:
                self._tell(replace(job, state="failed"), "failed", before="queued")
            return ended
        if row.state in ("queued", "running") and not row.cancel_requested:
            self._update(id, cancel_requested=True)
            self._tell(job, "cancelling", before=row.state)
        return False

    def give_up(self, id: str) -> bool:
        """End a running job whose owner has not been heard of for its lease; nobody goes on with it. Raises NotFound.

        False: it is not running, or its owner is alive. An owner that only slept gets LeaseLost when it wakes.
        """
        row = self._row(id, lock=True)
        silent = _C.lease_until_ms < server_ms(self._connection, self._clock)
        ended = row.state == "running" and self._update(
            id, _C.fence == row.fence, silent, state="failed", fence=row.fence + 1, updated_at=self._clock.now()
        )
        if ended:
            self._forget_flows([id])
            self._tell(replace(_job(row), state="failed"), "failed", before="running")
        return ended

    def live_for(
        self,
        *,
        checkpoint_id: str | None = None,
        restore_id: str | None = None,
        verification_id: str | None = None,
    ) -> Sequence[Job]:
        """The queued and running jobs of this checkpoint, restore or verification, oldest first."""
        wanted = (
            (_C.checkpoint_id, checkpoint_id),
            (_C.restore_id, restore_id),
            (_C.verification_id, verification_id),
        )
        conditions = [column == value for column, value in wanted if value is not None]
        query = sa.select(JOBS).where(_C.state.in_(["queued", "running"]), *conditions).order_by(_C.created_at, _C.id)
        return [_job(row) for row in self._connection.execute(query)]

    def live(self) -> Sequence[Job]:
        """Every queued and running job, oldest first."""
        query = sa.select(JOBS).where(_C.state.in_(["queued", "running"])).order_by(_C.created_at, _C.id)
        return [_job(row) for row in self._connection.execute(query)]

    def failed(self, limit: int) -> Sequence[Job]:
        """The newest jobs that failed, newest first."""
        query = sa.select(JOBS).where(_C.state == "failed").order_by(_C.created_at.desc(), _C.id.desc()).limit(limit)
        return [_job(row) for row in self._connection.execute(query)]

    def lease_left(self, id: str) -> int:
        """Milliseconds for which the lease of a job holds; 0 or less where it is over. Raises NotFound."""
        query = sa.select(_C.lease_until_ms - server_ms(self._connection, self._clock)).where(_C.id == id)
        left = self._connection.execute(query).scalar()
        return int(left) if left is not None else int(self._row(id).lease_until_ms)

    def take_back(self, id: str) -> None:
        """Put a running job back into the queue, whoever has it. Its owner gets LeaseLost. Raises NotFound, Conflict
        where it is not running."""
        row = self._row(id, lock=True)
        states.JOB.move(row.state, "queued")
        self._update(id, state="queued", owner=None, lease_until_ms=0, not_before_ms=0, updated_at=self._clock.now())
        self._tell(replace(_job(row), state="queued", owner=None), "queued", before=row.state)

    def withdraw(self, id: str) -> None:
        """End a job that no living worker has: a queued one, begun or not, or one whose lease is over.

        Raises NotFound, Conflict where it has ended, or its owner is alive.
        """
        row = self._row(id, lock=True)
        if row.state not in ("queued", "running") or (row.state == "running" and self.lease_left(id) > 0):
            raise errors.Conflict(f"The job {id} has ended, or a worker has it.")
        self._update(id, state="failed", fence=row.fence + 1, lease_until_ms=0, updated_at=self._clock.now())
        self._forget_flows([id])
        self._tell(replace(_job(row), state="failed"), "failed", before=row.state)

    def purge(self, before: datetime, limit: int) -> int:
        """Remove at most ``limit`` jobs that ended before this moment, with what was left of their flows.

        Returns how many.
        """
        old = sa.select(_C.id).where(_C.updated_at < before, _C.state.in_(_ENDED)).limit(limit)
        ids = self._connection.execute(old).scalars().all()
        self._forget_flows(ids)
        return self._remove(ids)  # a job that has ended stays so

    def _forget_flows(self, ids: Sequence[str]) -> None:
        """Remove what is kept of the flows of these jobs, which bear their names."""
        if ids:
            self._connection.execute(sa.delete(LOGBOOKS).where(LOGBOOKS.c.name.in_(ids)))

    def _payload(self, job: Job) -> Mapping[str, Any]:
        query = sa.select(_C.payload).where(ours(job))
        if self._connection.dialect.name != "sqlite":
            query = query.with_for_update()
        payload: Mapping[str, Any] | None = self._connection.execute(query).scalar()
        if payload is None:
            raise errors.LeaseLost(detail=f"job {job.id} is not ours under fence {job.fence}")
        return payload

    def _change(self, job: Job, **values: Any) -> None:
        if not self._update(job.id, ours(job), **values, updated_at=self._clock.now()):
            raise errors.LeaseLost(detail=f"job {job.id} is not ours under fence {job.fence}")


def check_fence(connection: Connection, job: Job) -> None:
    """Raises LeaseLost unless ``job`` is still ours; keeps it ours until the transaction of ``connection`` ends."""
    query = sa.select(_C.id).where(ours(job))
    if connection.dialect.name != "sqlite":  # there, a writing transaction is alone
        query = query.with_for_update(read=True)  # shared: the steps of a job do not wait for each other
    if connection.execute(query).first() is None:
        raise errors.LeaseLost(detail=f"job {job.id} is not ours under fence {job.fence}")


def _job(row: Row[Any]) -> Job:
    return Job(**{name: value for name, value in row._mapping.items() if name != "not_before_ms"})

# SPDX-License-Identifier: Apache-2.0
"""Which planned times wait, run and have ended, and which engine may write for one?

An engine takes a run for a short time (a lease) to do one step of it, and gives it back; a fence, counted up at each
taking, keeps an engine that slept past its lease from writing. Time is the database server's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from karbor.db.breakers import Breakers
from karbor.db.fires import insert_new, moment, now_ms
from karbor.db.jobs import server_ms
from karbor.db.query import Listing, capped, equal
from karbor.db.repository import Repository, locked, upsert
from karbor.db.scheduletables import PAUSED_PLANS, SCHEDULED_RUNS
from karbor.db.tables import TURNS
from karbor.model import errors, states
from karbor.model.page import Page, PageRequest
from karbor.model.scheduled_operation import Health, ScheduledOperation
from karbor.model.scheduled_run import ScheduledRun, run_id

_C = SCHEDULED_RUNS.c
_TURN = "scheduled_runs"
_MILLISECOND = timedelta(milliseconds=1)
_LOOK_AT = 4  # candidates for each run that may begin
_QUEUE_MS = 2000  # until one that waits for the last run of its operation is looked at again
_LATE = "It could not begin within its window: the service was busy, or no engine was there."
_UNDER_WAY = "The run of {} had not ended."
_PAUSED = "{} runs failed one after the other; none begins before {}."
_QUEUED = 100  # runs of one operation that somebody asked for and that have not begun


class ScheduledRuns(Repository):
    """The runs of the scheduled operations."""

    noun = "run"
    table = SCHEDULED_RUNS
    LISTING = Listing(
        SCHEDULED_RUNS,
        keys={"id": _C.id, "scheduled_for": _C.scheduled_for},
        filters={"scheduled_operation_id": equal(_C.scheduled_operation_id), "status": equal(_C.status)},
        default=(("scheduled_for", "desc"),),
        narrow=frozenset({"scheduled_operation_id"}),
    )

    def get(self, id: str, *, lock: bool = False) -> ScheduledRun:
        """Raises NotFound."""
        return _run(self._row(id, lock=lock))

    def list(self, request: PageRequest) -> Page[ScheduledRun]:
        """A page of runs."""
        rows = self.LISTING.fetch(self._connection, request, {_C.project_id: request.project_id})
        return Page(tuple(map(_run, rows)), len(rows) >= capped(request))

    def ask(self, operation: ScheduledOperation) -> ScheduledRun:
        """A run of this operation now, because somebody wants one. Raises TooMany where many wait already."""
        wanted = (_C.scheduled_operation_id == operation.id, _C.status == "waiting")
        waiting = sa.select(sa.func.count()).select_from(SCHEDULED_RUNS).where(*wanted)
        if self._connection.execute(waiting).scalar_one() >= _QUEUED:
            raise errors.TooMany("There are too many runs of this operation that wait.", retry_after=60)
        now = self._now()
        newest = sa.select(sa.func.max(_C.scheduled_for)).where(_C.scheduled_operation_id == operation.id)
        last = self._connection.execute(newest).scalar()
        if last is not None and last >= now:
            now = last + _MILLISECOND  # a time has one run, and this is to be another
        run = ScheduledRun(
            id=run_id(operation.id, now),
            project_id=operation.project_id,
            user_id=operation.user_id,
            scheduled_operation_id=operation.id,
            operation_type=operation.operation_type,
            scheduled_for=now,
            plan_id=operation.plan_id,
            provider_id=operation.provider_id,
            definition=operation.operation_definition,
            manual=True,
            created_at=now,
        )
        insert_new(self._connection, [asdict(run) | {"manual": 1}])
        return self.get(run.id)

    def begin(
        self, *, owner: str, lease_ms: int, limit: int, per_project: int, per_provider: int
    ) -> Sequence[ScheduledRun]:
        """Take up to ``limit`` waiting runs whose turn it is. At most so many of one project and provider run at once
        (0: no bound); of the projects, that one is first which has the fewest.

        Those that may not begin any more, or whose plan is suspended, or whose last run has not ended, end here.
        """
        upsert(self._connection, TURNS, {"name": _TURN}, new={})  # locks it: what runs is counted by one at a time
        self._miss()
        busy = self._running()
        full = [id for id, number in busy.projects.items() if per_project and number >= per_project]
        spent = [id for id, number in busy.providers.items() if per_provider and number >= per_provider]
        begun: list[Row[Any]] = []
        found = self._candidates(limit * _LOOK_AT, busy.projects, full, spent)
        paused = self._paused(found)
        health = Breakers(self._connection, self._clock, self._changes).of(row.scheduled_operation_id for row in found)
        for row in found:
            if len(begun) >= limit:
                break
            if (per_project and busy.projects.get(row.project_id, 0) >= per_project) or (
                per_provider and busy.providers.get(row.provider_id, 0) >= per_provider
            ):
                continue
            if not row.manual and (rest := health.get(row.scheduled_operation_id, Health()).paused_until):
                failures = health[row.scheduled_operation_id].failures
                self._skip(row, _PAUSED.format(failures, rest.strftime("%Y-%m-%d %H:%M:%S UTC")))
            elif self._may_begin(row, busy, paused):
                begun.append(row)
                busy.add(row)
        return self._take(begun, owner=owner, lease_ms=lease_ms, begin=True)

    def resume(self, *, owner: str, lease_ms: int, limit: int) -> Sequence[ScheduledRun]:
        """Take up to ``limit`` runs that were begun and want a look now, whichever engine began them."""
        now = server_ms(self._connection, self._clock)
        query = (
            sa.select(SCHEDULED_RUNS)
            .where(_C.status == "running", _C.not_before_ms <= now, _C.lease_until_ms < now)
            .order_by(_C.not_before_ms, _C.id)
            .limit(limit)
        )
        if self._connection.dialect.name != "sqlite":
            query = query.with_for_update(skip_locked=True)
        return self._take(self._connection.execute(query).all(), owner=owner, lease_ms=lease_ms, begin=False)

    def wanted(self) -> tuple[bool, bool]:
        """Whether any waits that may be begun or must be ended now, and whether any under way wants a look now."""
        now = server_ms(self._connection, self._clock)
        turn, late = _C.not_before_ms <= now, _C.begin_until_ms < now
        waiting = [sa.and_(_C.status == "waiting", turn), sa.and_(_C.status == "waiting", late)]
        running = sa.and_(_C.status == "running", turn, _C.lease_until_ms < now)
        found = [bool(self._connection.execute(sa.select(_C.id).where(one).limit(1)).first()) for one in waiting]
        return any(found), bool(self._connection.execute(sa.select(_C.id).where(running).limit(1)).first())

    def replace_earlier(self, run: ScheduledRun) -> Sequence[ScheduledRun]:
        """End the earlier runs of the same operation that have begun nothing; returns those that have something to be
        called off. Raises LeaseLost."""
        self.check(run)
        earlier = sa.and_(_C.scheduled_operation_id == run.scheduled_operation_id, _C.id != run.id)
        query = sa.select(SCHEDULED_RUNS).where(earlier, _C.status == "running", _C.started_at <= run.started_at)
        found = self._connection.execute(locked(query, self._connection)).all()
        text = f"It was replaced by the run of {run.scheduled_for:%Y-%m-%d %H:%M:%S} UTC."
        for row in found:
            if row.result.get("checkpoint_id"):
                self._update(row.id, result={**row.result, "replaced": run.id}, reason=text)
            else:
                gone = {"status": "failed", "fence": row.fence + 1, "ended_at": self._now(), "reason": text}
                self._update(row.id, **gone)
        return [_run(row) for row in found if row.result.get("checkpoint_id")]

    def check(self, run: ScheduledRun, *, lease_ms: int = 0) -> None:
        """Raises LeaseLost unless the run is still ours; keeps it for ``lease_ms`` from now."""
        until = server_ms(self._connection, self._clock) + lease_ms
        self._change(run, **({"lease_until_ms": until} if lease_ms else {"fence": run.fence}))

    def note(self, run: ScheduledRun, *, reason: str | None = None, **result: Any) -> ScheduledRun:
        """Add to the result of our run; None takes something away. Returns the row. Raises LeaseLost."""
        self._change(run, result=self._merged(run, result), **({"reason": reason} if reason is not None else {}))
        return self.get(run.id)

    def pause(self, run: ScheduledRun, *, delay_ms: int, reason: str | None = None, **result: Any) -> None:
        """Give it back, with what was added to its result; somebody looks at it again after ``delay_ms``.

        Raises LeaseLost.
        """
        not_before = server_ms(self._connection, self._clock) + delay_ms
        merged = {"result": self._merged(run, result)} if result else {}
        self._change(run, lease_until_ms=0, not_before_ms=not_before, reason=reason, **merged)

    def again(self, run: ScheduledRun, *, delay_ms: int, reason: str) -> None:
        """Give it back to be begun anew after ``delay_ms``, with another attempt. Raises LeaseLost."""
        not_before = server_ms(self._connection, self._clock) + delay_ms
        failed = [*run.result.get("failed", ()), run.result.get("checkpoint_id")]
        cause = {"cause": run.result["cause"]} if "cause" in run.result else {}
        self._change(
            run,
            lease_until_ms=0,
            not_before_ms=not_before,
            attempts=run.attempts + 1,
            reason=reason,
            result={"failed": [id for id in failed if id], **cause},
        )

    def end(self, run: ScheduledRun, status: str, *, reason: str | None = None, **result: Any) -> None:
        """It ended so. Raises LeaseLost."""
        states.SCHEDULED_RUN.move("running", status)
        merged = self._merged(run, result)
        self._change(run, status=status, reason=reason, result=merged, lease_until_ms=0, ended_at=self._now())

    def attach(self, run_id: str, *, fence: int, operation_id: str, checkpoint_id: str) -> None:
        """Note in the transaction that makes a checkpoint which run it is for.

        Raises Conflict where the run is another engine's by now, or has ended: nothing may be begun for it any more.
        """
        row = self._row(run_id, _C.scheduled_operation_id == operation_id, lock=True)
        if (row.status, row.fence) != ("running", fence) or row.result.get("checkpoint_id"):
            raise errors.Conflict("This run of the scheduled operation was taken over, or has ended.")
        self._update(run_id, result={**row.result, "checkpoint_id": checkpoint_id})

    def forget(self, operation_id: str) -> None:
        """The operation is gone: so are its runs, but for one that is under way."""
        gone = sa.delete(SCHEDULED_RUNS).where(_C.scheduled_operation_id == operation_id, _C.status != "running")
        self._connection.execute(gone)

    def purge(self, before: datetime, limit: int) -> int:
        """Remove at most ``limit`` that ended before this moment; returns how many."""
        old = sa.select(_C.id).where(_C.ended_at < before).order_by(_C.ended_at, _C.id).limit(limit)
        return self._remove(self._connection.execute(old).scalars().all())

    def _now(self) -> datetime:
        return moment(now_ms(self._connection, self._clock))

    def _miss(self) -> None:
        """End those that may not begin any more."""
        late = sa.and_(_C.status == "waiting", _C.begin_until_ms < server_ms(self._connection, self._clock))
        query = locked(sa.select(_C.id).where(late).order_by(_C.begin_until_ms, _C.id).limit(1000), self._connection)
        ids = self._connection.execute(query).scalars().all()
        if ids:
            ended = {"status": "missed", "reason": _LATE, "ended_at": self._now()}
            self._connection.execute(sa.update(SCHEDULED_RUNS).where(_C.id.in_(ids)).values(**ended))

    def _running(self) -> "_Busy":
        columns = (_C.scheduled_operation_id, _C.project_id, _C.provider_id, _C.scheduled_for, _C.id)
        busy = _Busy()
        for row in self._connection.execute(sa.select(*columns).where(_C.status == "running")):
            busy.add(row)
        return busy

    def _candidates(
        self, limit: int, projects: Mapping[str, int], full: Sequence[str], spent: Sequence[str]
    ) -> Sequence[Row[Any]]:
        """Waiting runs: first the oldest of each project, then the second oldest; who runs much comes later."""
        now = server_ms(self._connection, self._clock)
        place = sa.func.row_number().over(partition_by=_C.project_id, order_by=(_C.scheduled_for, _C.id))
        load = sa.case(projects, value=_C.project_id, else_=0) if projects else sa.literal(0)
        wanted = [_C.status == "waiting", _C.not_before_ms <= now]
        if full:
            wanted.append(_C.project_id.not_in(full))
        if spent:
            wanted.append(sa.func.coalesce(_C.provider_id, "").not_in(spent))
        turns = sa.select(_C.id, (place + load).label("turn"), _C.scheduled_for).where(*wanted).subquery()
        order = (turns.c.turn, turns.c.scheduled_for, turns.c.id)
        query = sa.select(SCHEDULED_RUNS).join(turns, turns.c.id == _C.id).order_by(*order).limit(limit)
        return self._connection.execute(query).all()

    def _paused(self, rows: Sequence[Row[Any]]) -> set[str]:
        """Those of their plans that are suspended."""
        wanted = {row.plan_id for row in rows if row.plan_id}
        query = sa.select(PAUSED_PLANS.c.plan_id).where(PAUSED_PLANS.c.plan_id.in_(wanted))
        return set(self._connection.execute(query).scalars()) if wanted else set()

    def _may_begin(self, row: Row[Any], busy: "_Busy", paused: set[str]) -> bool:
        if row.plan_id in paused:
            return self._skip(row, "The plan is suspended.")
        last = busy.operations.get(row.scheduled_operation_id)
        if last is None or _run(row).overlap == "replace":
            return True
        text = _UNDER_WAY.format(last.scheduled_for.strftime("%Y-%m-%d %H:%M:%S UTC"))
        if _run(row).overlap == "skip" or row.scheduled_operation_id in busy.queued:
            return self._skip(row, text)
        busy.queued.add(row.scheduled_operation_id)
        later = server_ms(self._connection, self._clock) + _QUEUE_MS
        self._update(row.id, _C.status == "waiting", not_before_ms=later, begin_until_ms=None, reason=text)
        return False

    def _skip(self, row: Row[Any], reason: str) -> bool:
        self._update(row.id, _C.status == "waiting", status="skipped", reason=reason, ended_at=self._now())
        return False

    def _take(self, rows: Sequence[Row[Any]], *, owner: str, lease_ms: int, begin: bool) -> Sequence[ScheduledRun]:
        """Make these rows, which nobody else can change just now, ours."""
        if not rows:
            return []
        now = now_ms(self._connection, self._clock)
        values: dict[str, Any] = {"owner": owner, "lease_until_ms": now + lease_ms}
        if begin:
            values |= {"status": "running", "started_at": moment(now), "attempts": 1, "reason": None}
        own = sa.and_(_C.id == sa.bindparam("b_id"), _C.fence == sa.bindparam("b_fence"))
        query = sa.update(SCHEDULED_RUNS).where(own).values(**values, fence=_C.fence + 1)
        self._connection.execute(query, [{"b_id": row.id, "b_fence": row.fence} for row in rows])
        return [replace(_run(row), **values, fence=row.fence + 1) for row in rows]

    def _merged(self, run: ScheduledRun, changes: Mapping[str, Any]) -> dict[str, Any]:
        query = locked(sa.select(_C.result).where(_C.id == run.id), self._connection)
        kept = self._connection.execute(query).scalar() or {}
        return {name: value for name, value in {**kept, **changes}.items() if value is not None}

    def _change(self, run: ScheduledRun, **values: Any) -> None:
        if not self._update(run.id, _C.fence == run.fence, _C.status == "running", **values):
            raise errors.LeaseLost(detail=f"run {run.id} is not ours under fence {run.fence}")


class _Busy:
    """What runs just now: how many of each project and provider, and the last run of each operation."""

    def __init__(self) -> None:
        self.projects: dict[str, int] = {}
        self.providers: dict[str, int] = {}
        self.operations: dict[str, Any] = {}
        self.queued: set[str] = set()

    def add(self, row: Any) -> None:
        self.projects[row.project_id] = self.projects.get(row.project_id, 0) + 1
        self.providers[row.provider_id or ""] = self.providers.get(row.provider_id or "", 0) + 1
        self.operations[row.scheduled_operation_id] = row


def _run(row: Row[Any]) -> ScheduledRun:
    return ScheduledRun(**dict(row._mapping) | {"manual": bool(row.manual)})

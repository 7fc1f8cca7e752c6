# SPDX-License-Identifier: Apache-2.0
"""How does the whole installation do: which daemons live, what waits, how old are the last good checkpoints?

Each question costs one or two statements that run along indexes; none reads a checkpoint's contents.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from karbor.db.database import Transaction
from karbor.db.scheduletables import SCHEDULED_OPERATIONS
from karbor.db.tables import CHECKPOINTS, JOBS, PLAN_SUMMARIES, PLANS, PROVIDERS
from karbor.model.service import Service

#: A daemon that was not heard of for so long was taken out of use, and is missed no more.
_MISSED = timedelta(days=7)
_C, _J, _P, _S, _O = CHECKPOINTS.c, JOBS.c, PLANS.c, PLAN_SUMMARIES.c, SCHEDULED_OPERATIONS.c


@dataclass(frozen=True)
class Condition:
    """What is known of the daemons and of the work. ``services`` of the last seven days, with whether each was heard of
    lately; ``providers`` with whether each can be used; ages in seconds, None where nothing waits."""

    services: Sequence[tuple[Service, bool]]
    providers: Sequence[tuple[str, str, bool]]  # id, name, available
    queued: int
    running: int
    oldest_queued_seconds: float | None

    def up(self, binary: str) -> int:
        """How many daemons of that name live."""
        return sum(lives for service, lives in self.services if service.binary == binary)


@dataclass(frozen=True)
class Stored:
    """The checkpoints of one provider in one status, without those that were deleted; bytes."""

    provider_id: str
    status: str
    checkpoints: int
    logical: int
    read: int
    stored: int


@dataclass(frozen=True)
class PlanAge:
    """Seconds since the last good checkpoint of a plan began; since the plan was made where ``good`` is False.

    ``scheduled``: new ones are expected, because the plan is started or has an enabled scheduled operation.
    """

    plan_id: str
    project_id: str
    scheduled: bool
    good: bool
    seconds: float


def condition(rows: Transaction, *, now: datetime, down_after: float) -> Condition:
    """How it stands. ``down_after``: seconds without a sign of life until a daemon counts as dead."""
    silent = now - timedelta(seconds=down_after)
    run = rows.connection.execute
    counts: dict[str, int] = dict(
        run(sa.select(_J.state, sa.func.count()).where(_J.state.in_(["queued", "running"])).group_by(_J.state))
        .tuples()
        .all()
    )
    first = run(sa.select(_J.created_at).where(_J.state == "queued").order_by(_J.created_at, _J.id).limit(1)).scalar()
    providers = run(sa.select(PROVIDERS.c.id, PROVIDERS.c.name, PROVIDERS.c.available).order_by(PROVIDERS.c.id))
    return Condition(
        services=[
            (service, service.updated_at >= silent)
            for service in rows.services.list()
            if service.updated_at >= now - _MISSED
        ],
        providers=[(id, name, bool(available)) for id, name, available in providers],
        queued=counts.get("queued", 0),
        running=counts.get("running", 0),
        oldest_queued_seconds=None if first is None else max(0.0, (now - first).total_seconds()),
    )


def jobs(rows: Transaction) -> Mapping[tuple[str, str], int]:
    """How many jobs there are by operation and state; ended ones until they are purged."""
    query = sa.select(_J.operation, _J.state, sa.func.count()).group_by(_J.state, _J.operation)
    return {(operation, state): number for operation, state, number in rows.connection.execute(query)}


def permissions_lost(rows: Transaction) -> int:
    """How many enabled scheduled operations are not done, because their user's permission is lost."""
    query = sa.select(sa.func.count()).where(_O.enabled == 1, _O.permission_reason.is_not(None))
    return int(rows.connection.execute(query).scalar_one())


def checkpoints(rows: Transaction) -> Sequence[Stored]:
    """The checkpoints by provider and status."""
    sums = [sa.func.sum(column) for column in (_C.size_logical, _C.size_read, _C.size_stored)]
    query = (
        sa.select(_C.provider_id, _C.status, sa.func.count(), *sums)
        .where(_C.deleted == 0)
        .group_by(_C.provider_id, _C.status)
    )
    return [Stored(provider, status, *map(int, rest)) for provider, status, *rest in rows.connection.execute(query)]


def oldest_plans(rows: Transaction, *, now: datetime, limit: int) -> Sequence[PlanAge]:
    """At most ``limit`` plans: first those that new checkpoints are expected of, the longest without one first."""
    since, scheduled = _since(), _scheduled()
    query = (
        sa.select(_P.id, _P.project_id, scheduled, _S.last_good_at.is_not(None), since)
        .select_from(_with_summaries())
        .order_by(scheduled.desc(), since, _P.id)
        .limit(limit)
    )
    return [
        PlanAge(id, project, bool(wanted), bool(good), max(0.0, (now - moment).total_seconds()))
        for id, project, wanted, good, moment in rows.connection.execute(query)
    ]


def plan_ages(
    rows: Transaction, *, now: datetime, bounds: Sequence[float]
) -> Mapping[bool, tuple[Sequence[int], int, float]]:
    """Of the plans that are ``scheduled`` and of those that are not: how many have an age of at most each of the
    ``bounds`` (seconds, ascending), how many there are, and the sum of their ages."""
    since, scheduled = _since(), _scheduled().label("scheduled")
    aged = sa.select(scheduled, since.label("since")).select_from(_with_summaries()).subquery()
    within = [sa.func.sum(sa.case((aged.c.since >= now - timedelta(seconds=bound), 1), else_=0)) for bound in bounds]
    total = sa.func.sum(sa.type_coerce(aged.c.since, sa.BigInteger))
    query = sa.select(aged.c.scheduled, sa.func.count(), total, *within).group_by(aged.c.scheduled)
    found: dict[bool, tuple[Sequence[int], int, float]] = {}
    for wanted, number, moments, *numbers in rows.connection.execute(query):
        found[bool(wanted)] = (list(map(int, numbers)), number, number * now.timestamp() - int(moments) / 1e6)
    return found


def _with_summaries() -> sa.Join:
    return sa.outerjoin(PLANS, PLAN_SUMMARIES, _S.plan_id == _P.id)


def _since() -> sa.ColumnElement[datetime]:
    return sa.func.coalesce(_S.last_good_at, _P.created_at)


def _scheduled() -> sa.Case[Any]:
    user = sa.exists().where(_O.plan_id == _P.id, _O.enabled == 1)
    return sa.case((sa.or_(_P.status == "started", user), 1), else_=0)

# SPDX-License-Identifier: Apache-2.0
"""How is what became of a plan kept, so that a list of plans does not look at their checkpoints?

One row for each plan that ever had a checkpoint, changed by the transactions that change the checkpoints. Its row is
locked last of all, and then looked at: what others have committed meanwhile counts.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from karbor.db.repository import locked, upsert
from karbor.db.tables import CHECKPOINTS, PLAN_SUMMARIES, PLANS
from karbor.model.plan import PlanSummary
from karbor.model.quota import Drift

_S = PLAN_SUMMARIES.c
_C = CHECKPOINTS.c
_RUN = frozenset({"protecting", "available", "error"})
_DELETING = frozenset({"deleting", "error-deleting", "deleted"})
_SHOWN = tuple(PlanSummary.__dataclass_fields__)


def fetch(connection: Connection, plan_ids: Iterable[str]) -> dict[str, PlanSummary]:
    """The summaries of these plans, also of those that never ran."""
    wanted = list(plan_ids)
    query = sa.select(_S.plan_id, *(_S[name] for name in _SHOWN)).where(_S.plan_id.in_(wanted))
    found = {row.plan_id: PlanSummary(*row[1:]) for row in connection.execute(query)}
    return {id: found.get(id, PlanSummary()) for id in wanted}


def note(connection: Connection, checkpoint: Row[Any], *, before: str | None) -> None:
    """The checkpoint (its row as it is now) has just come to be, or had the status ``before`` until now."""
    counted = _alive(checkpoint.status) - (0 if before is None else _alive(before))
    key = {"plan_id": checkpoint.plan_id}
    if before is None:
        upsert(connection, PLAN_SUMMARIES, key, new={"project_id": checkpoint.project_id})
    row = _held(connection, checkpoint.plan_id)
    if row is None:
        return
    values: dict[str, Any] = {"checkpoints": row.checkpoints + counted} if counted else {}
    if checkpoint.source_id is None:
        values |= _run(row, checkpoint, before) | _good(connection, row, checkpoint)
    if values:
        connection.execute(sa.update(PLAN_SUMMARIES).where(_S.plan_id == checkpoint.plan_id).values(**values))
    if row.checkpoints + counted == 0:
        forget(connection, checkpoint.plan_id)


def forget(connection: Connection, plan_id: str) -> None:
    """Remove the row of a plan that is gone with all its checkpoints. Nothing happens while one of them is there."""
    gone = ~sa.exists().where(PLANS.c.id == _S.plan_id)
    connection.execute(sa.delete(PLAN_SUMMARIES).where(_S.plan_id == plan_id, _S.checkpoints == 0, gone))


def reconcile(connection: Connection, project_id: str | None) -> Sequence[Drift]:
    """Count the checkpoints of the plans anew, and mend the rows that are wrong; returns what was wrong."""
    kept = sa.select(_S.plan_id, _S.checkpoints)
    live = sa.select(_C.plan_id, sa.func.count()).where(_C.deleted == 0).group_by(_C.plan_id)
    if project_id is not None:
        kept, live = kept.where(_S.project_id == project_id), live.where(_C.project_id == project_id)
    have: dict[str, int] = dict(connection.execute(kept).tuples().all())
    found: dict[str, int] = dict(connection.execute(live).tuples().all())
    wrong = (id for id in sorted(have.keys() | found.keys()) if have.get(id, 0) != found.get(id, 0))
    return [drift for id in wrong for drift in _mend(connection, id)]


def _mend(connection: Connection, plan_id: str) -> Sequence[Drift]:
    owner = sa.select(_C.project_id).where(_C.plan_id == plan_id).limit(1)
    project_id = connection.execute(owner).scalar()
    if project_id is not None:
        upsert(connection, PLAN_SUMMARIES, {"plan_id": plan_id}, new={"project_id": project_id})
    row = _held(connection, plan_id)
    if row is None:
        return []
    found = connection.execute(sa.select(sa.func.count()).where(_C.plan_id == plan_id, _C.deleted == 0)).scalar_one()
    if found == row.checkpoints:
        return []
    mended = sa.update(PLAN_SUMMARIES).where(_S.plan_id == plan_id)
    connection.execute(mended.values(checkpoints=found, **_newest_good(connection, plan_id)))
    return [Drift(row.project_id, "plan", row.checkpoints, found, plan_id)]


def _held(connection: Connection, plan_id: str) -> Row[Any] | None:
    return connection.execute(locked(sa.select(PLAN_SUMMARIES).where(_S.plan_id == plan_id), connection)).first()


def _alive(status: str) -> int:
    return int(status != "deleted")


def _run(row: Row[Any], checkpoint: Row[Any], before: str | None) -> dict[str, Any]:
    """What is new about the last run. How a run ended stays known when its checkpoint is deleted."""
    if checkpoint.status not in _RUN or before in _DELETING or _older(checkpoint, row.last_run_at, row.last_run_id):
        return {}
    at = checkpoint.created_at
    return {"last_run_id": checkpoint.id, "last_run_at": at, "last_run_status": checkpoint.status}


def _good(connection: Connection, row: Row[Any], checkpoint: Row[Any]) -> dict[str, Any]:
    """What is new about the last good one."""
    if checkpoint.status != "available":
        return _newest_good(connection, checkpoint.plan_id) if row.last_good_id == checkpoint.id else {}
    if _older(checkpoint, row.last_good_at, row.last_good_id):
        return {}
    return {"last_good_id": checkpoint.id, "last_good_at": checkpoint.created_at}


def _newest_good(connection: Connection, plan_id: str) -> dict[str, Any]:
    query = (
        sa.select(_C.id, _C.created_at)
        .where(_C.plan_id == plan_id, _C.status == "available", _C.source_id.is_(None))
        .order_by(_C.created_at.desc(), _C.id.desc())
        .limit(1)
    )
    id, at = connection.execute(query).tuples().first() or (None, None)
    return {"last_good_id": id, "last_good_at": at}


def _older(checkpoint: Row[Any], at: datetime | None, id: str | None) -> bool:
    return at is not None and (checkpoint.created_at, checkpoint.id) < (at, id or "")

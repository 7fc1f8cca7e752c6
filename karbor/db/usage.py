# SPDX-License-Identifier: Apache-2.0
"""How is what a project has counted, so that the number is always that of the rows?

Whoever makes or removes a row changes the counter in the same transaction, after the row. The counter's row is the last
thing locked but for the summary of a plan (see summaries.py), everywhere in this order, so that nobody waits in a
circle. Who holds its lock and counts anew counts exactly: every transaction whose change is in the counter has ended,
and no other one's rows can be seen.
"""

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from karbor.db.repository import locked, upsert
from karbor.db.tables import CHECKPOINTS, PLANS, QUOTA_USAGES
from karbor.model.quota import KINDS

_U = QUOTA_USAGES.c
_C = CHECKPOINTS.c


def add(connection: Connection, project_id: str, **amounts: int) -> None:
    """Change the counters of the project by these amounts; nothing is locked where all of them are 0."""
    found = {kind: amount for kind, amount in amounts.items() if amount}
    if found:
        change = {kind: _U[kind] + amount for kind, amount in found.items()}
        upsert(connection, QUOTA_USAGES, {"project_id": project_id}, new=found, change=change)


def hold(connection: Connection, project_id: str) -> Mapping[str, int]:
    """The counters, which nobody else changes until the transaction ends."""
    query = locked(sa.select(*(_U[kind] for kind in KINDS)).where(_U.project_id == project_id), connection)
    row = connection.execute(query).first()
    if row is None:
        upsert(connection, QUOTA_USAGES, {"project_id": project_id}, new={})
        row = connection.execute(query).one()
    return dict(row._mapping)


def kept(connection: Connection, project_id: str | None = None) -> dict[str, dict[str, int]]:
    """The counters by project; of all projects where none is named."""
    query = sa.select(_U.project_id, *(_U[kind] for kind in KINDS))
    if project_id is not None:
        query = query.where(_U.project_id == project_id)
    return {row.project_id: {kind: getattr(row, kind) for kind in KINDS} for row in connection.execute(query)}


def counted(connection: Connection, project_id: str | None = None) -> dict[str, dict[str, int]]:
    """What exists, by project, read from the rows themselves."""
    plans = sa.select(PLANS.c.project_id, sa.func.count()).group_by(PLANS.c.project_id)
    checkpoints = (
        sa.select(_C.project_id, sa.func.count(), sa.func.sum(_C.size_logical), sa.func.sum(_C.size_stored))
        .where(_C.deleted == 0)
        .group_by(_C.project_id)
    )
    if project_id is not None:
        plans = plans.where(PLANS.c.project_id == project_id)
        checkpoints = checkpoints.where(_C.project_id == project_id)
    found: dict[str, dict[str, int]] = {}
    for project, number in connection.execute(plans):
        found[project] = dict.fromkeys(KINDS, 0) | {"plans": number}
    for project, *numbers in connection.execute(checkpoints):
        found.setdefault(project, dict.fromkeys(KINDS, 0)).update(zip(KINDS[1:], map(int, numbers), strict=True))
    return found

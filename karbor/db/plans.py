# SPDX-License-Identifier: Apache-2.0
"""How are plans kept?"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from karbor.db import summaries, usage
from karbor.db.query import Listing, capped, equal, substring
from karbor.db.repository import Repository
from karbor.db.scheduletables import PLAN_ALARMS, SCHEDULED_OPERATIONS
from karbor.db.tables import PLANS
from karbor.model import errors
from karbor.model.page import Page, PageRequest
from karbor.model.plan import Plan, PlanSummary
from karbor.model.resource import Resource
from karbor.model.selection import Choice

_C = PLANS.c
_NAMES = tuple(column.name for column in PLANS.c)


class Plans(Repository):
    """The plans. Each counts for its project (see Quotas) while it is there."""

    noun = "plan"
    table = PLANS
    LISTING = Listing(
        PLANS,
        keys={"id": _C.id, "status": _C.status, "name": _C.name, "created_at": _C.created_at},
        filters={"name": substring(_C.name), "description": substring(_C.description), "status": equal(_C.status)},
    )

    def create(self, plan: Plan) -> Plan:
        """Keep a new plan; returns it with its time of creation. Raises Conflict where the id is taken."""
        plan = replace(plan, created_at=plan.created_at or self._clock.now())
        self._insert(**_values(plan))
        usage.add(self._connection, plan.project_id, plans=1)
        self._tell(plan, "created")
        return plan

    def get(self, id: str, *, project_id: str | None = None, lock: bool = False) -> Plan:
        """The plan, of any project where ``project_id`` is None. Raises NotFound.

        ``lock`` keeps it from being changed or deleted until the transaction ends.
        """
        return read(self._row(id, *([_C.project_id == project_id] if project_id is not None else []), lock=lock))

    def update(self, plan: Plan) -> Plan:
        """Replace what is kept under the plan's id; returns it with the time of the change.

        Raises NotFound, and Conflict where somebody has changed it since it was read: the time of the last change must
        still be the one in ``plan``. The project stays the same.
        """
        row = self._row(plan.id, lock=True)
        if row.updated_at != plan.updated_at:
            raise errors.Conflict(f"The plan {plan.id} was changed by somebody else.")
        plan = replace(plan, updated_at=self._later(row.updated_at))
        values = _values(plan)
        del values["created_at"], values["project_id"]
        self._update(plan.id, **values)
        self._tell(plan, "updated", before=row.status)
        return plan

    def _later(self, last: datetime | None) -> datetime:
        """Now, but never the moment of the last change again: that is what tells two states of a plan apart."""
        now = self._clock.now()
        return now if last is None or now > last else last + timedelta(microseconds=1)

    def delete(self, id: str) -> None:
        """Forget the plan. Its checkpoints stay. Raises Conflict while a scheduled operation refers to it, NotFound."""
        row = self._row(id, lock=True)
        users = sa.select(SCHEDULED_OPERATIONS.c.id).where(SCHEDULED_OPERATIONS.c.plan_id == id).limit(1)
        if self._connection.execute(users).first():
            raise errors.Conflict(f"The plan {id} is used by a scheduled operation.")
        self._delete(id)
        usage.add(self._connection, row.project_id, plans=-1)
        summaries.forget(self._connection, id)
        self._connection.execute(sa.delete(PLAN_ALARMS).where(PLAN_ALARMS.c.plan_id == id))
        self._tell(read(row), "deleted", before=row.status)

    def summaries(self, ids: Iterable[str]) -> dict[str, PlanSummary]:
        """What became of each of these plans. Costs the same whatever the number of their checkpoints."""
        return summaries.fetch(self._connection, ids)

    def list(self, request: PageRequest) -> Page[Plan]:
        """A page of plans."""
        rows = self.LISTING.fetch(self._connection, request, {_C.project_id: request.project_id})
        return Page(tuple(map(read, rows)), len(rows) >= capped(request))


def _values(plan: Plan) -> dict[str, Any]:
    return {
        "id": plan.id,
        "project_id": plan.project_id,
        "name": plan.name,
        "description": plan.description,
        "provider_id": plan.provider_id,
        "status": plan.status,
        "resources": [{**resource.to_dict(), "per_parent": resource.per_parent} for resource in plan.resources],
        "parameters": {name: dict(values) for name, values in plan.parameters.items()},
        "created_at": plan.created_at,
        "updated_at": plan.updated_at,
        "rpo": plan.rpo,
        "policy_id": plan.policy_id,
        "selection": [choice.to_dict() for choice in plan.selection] or None,
    }


def read(row: Row[Any]) -> Plan:
    """A row of the plans as a value."""
    values = dict(zip(_NAMES, row, strict=True))  # a third of the time of row._mapping, and lists are long
    values["resources"] = tuple(
        Resource(entry["type"], entry["id"], entry["name"], entry.get("extra_info") or {}, entry["per_parent"])
        for entry in values["resources"]
    )
    values["selection"] = tuple(map(Choice.from_dict, values["selection"] or ()))
    return Plan(**values)

# SPDX-License-Identifier: Apache-2.0
"""How are plans kept?"""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from karbor.db.query import Listing, capped, equal, substring
from karbor.db.repository import Repository
from karbor.db.tables import PLANS
from karbor.model import errors
from karbor.model.page import Page, PageRequest
from karbor.model.plan import Plan
from karbor.model.resource import Resource

_C = PLANS.c


class Plans(Repository):
    """The plans."""

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
        return plan

    def get(self, id: str, *, project_id: str | None = None) -> Plan:
        """The plan, of any project where ``project_id`` is None. Raises NotFound."""
        return _plan(self._row(id, *([_C.project_id == project_id] if project_id is not None else [])))

    def update(self, plan: Plan) -> Plan:
        """Replace what is kept under the plan's id; returns it with the time of the change. Raises NotFound."""
        plan = replace(plan, updated_at=self._clock.now())
        values = _values(plan)
        del values["created_at"]
        if not self._update(plan.id, **values):
            raise errors.NotFound(f"The plan {plan.id} could not be found.")
        return plan

    def delete(self, id: str) -> None:
        """Forget the plan. Raises NotFound."""
        if not self._connection.execute(sa.delete(PLANS).where(_C.id == id)).rowcount:
            raise errors.NotFound(f"The plan {id} could not be found.")

    def list(self, request: PageRequest) -> Page[Plan]:
        """A page of plans."""
        scope = [_C.project_id == request.project_id] if request.project_id is not None else []
        rows = self.LISTING.fetch(self._connection, request, scope)
        return Page(tuple(map(_plan, rows)), len(rows) >= capped(request))


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
    }


def _plan(row: Row[Any]) -> Plan:
    values = dict(row._mapping)
    values["resources"] = tuple(
        replace(Resource.from_dict(entry), per_parent=entry["per_parent"]) for entry in values["resources"]
    )
    return Plan(**values)

# SPDX-License-Identifier: Apache-2.0
"""How are published policies kept, and what they made for which plan?"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from karbor.db.query import Listing, capped, substring
from karbor.db.repository import Repository, locked
from karbor.db.scheduletables import POLICIES, POLICY_SCHEDULES
from karbor.db.tables import PLANS
from karbor.model import errors
from karbor.model.page import Page, PageRequest
from karbor.model.policy import PolicySchedule, PolicyWork, PublishedPolicy

_C, _W = POLICIES.c, POLICY_SCHEDULES.c


class Policies(Repository):
    """The published policies. While a plan uses one, it cannot be deleted."""

    noun = "policy"
    table = POLICIES
    LISTING = Listing(
        POLICIES,
        keys={"id": _C.id, "name": _C.name, "created_at": _C.created_at},
        filters={"name": substring(_C.name)},
        default=(("name", "asc"),),
    )

    def create(self, policy: PublishedPolicy) -> PublishedPolicy:
        """Keep a new one; returns it with its time. Raises Conflict where the name is taken."""
        policy = replace(policy, created_at=policy.created_at or self._clock.now())
        try:
            self._insert(**_values(policy))
        except errors.Conflict as fault:
            raise _taken(policy) from fault
        return policy

    def get(self, id: str, *, lock: bool = False) -> PublishedPolicy:
        """Raises NotFound. ``lock`` keeps it from being changed or deleted until the transaction ends."""
        return _policy(self._row(id, lock=lock))

    def find(self, name_or_id: str) -> PublishedPolicy:
        """By its id, or by its name. Raises NotFound. It stays until the transaction ends."""
        wanted = sa.or_(_C.id == name_or_id.lower(), _C.name == name_or_id)
        query = locked(sa.select(POLICIES).where(wanted).limit(1), self._connection)
        row = self._connection.execute(query).first()
        if row is None:
            raise errors.NotFound("The policy could not be found.")
        return _policy(row)

    def list(self, request: PageRequest) -> Page[PublishedPolicy]:
        """A page of policies, whatever the project."""
        rows = self.LISTING.fetch(self._connection, request, {})
        return Page(tuple(map(_policy, rows)), len(rows) >= capped(request))

    def update(self, policy: PublishedPolicy) -> PublishedPolicy:
        """Replace what is kept. Raises NotFound, Conflict where the name is taken."""
        policy = replace(policy, updated_at=self._clock.now())
        values = {name: value for name, value in _values(policy).items() if name not in ("id", "created_at")}
        try:
            with self._connection.begin_nested():
                if not self._update(policy.id, **values):
                    raise errors.NotFound(f"The policy {policy.id} could not be found.")
        except sa.exc.IntegrityError as fault:
            raise _taken(policy) from fault
        return policy

    def delete(self, id: str) -> None:
        """Raises Conflict while a plan uses it, NotFound."""
        self._row(id, lock=True)
        if number := self.users([id]).get(id):
            raise errors.Conflict(f"The policy is used by {number} plans.", next_action="take it from the plans first")
        self._delete(id)

    def users(self, ids: Iterable[str], *, project_id: str | None = None) -> dict[str, int]:
        """How many plans (of the project) use each of these; those that none uses are left out."""
        mine = [] if project_id is None else [PLANS.c.project_id == project_id]
        query = sa.select(PLANS.c.policy_id, sa.func.count()).where(PLANS.c.policy_id.in_(list(ids)), *mine)
        return dict(self._connection.execute(query.group_by(PLANS.c.policy_id)).tuples().all())

    def plans_with(self, id: str) -> Sequence[str]:
        """The ids of the plans that use it."""
        query = sa.select(PLANS.c.id).where(PLANS.c.policy_id == id).order_by(PLANS.c.id)
        return self._connection.execute(query).scalars().all()

    def work_of(self, plan_id: str) -> Sequence[PolicyWork]:
        """What a policy has made for the plan."""
        query = sa.select(POLICY_SCHEDULES).where(_W.plan_id == plan_id).order_by(_W.entry)
        return [PolicyWork(**row._mapping) for row in self._connection.execute(query)]

    def attach(self, work: PolicyWork) -> None:
        """It has just been made."""
        self._connection.execute(sa.insert(POLICY_SCHEDULES).values(**asdict(work)))

    def detach(self, work: PolicyWork) -> None:
        """It is gone."""
        mine = _W.scheduled_operation_id == work.scheduled_operation_id
        self._connection.execute(sa.delete(POLICY_SCHEDULES).where(mine))

    def require_own(self, *, scheduled_operation_id: str | None = None, trigger_id: str | None = None) -> None:
        """Raise Conflict where a policy has made it: it is changed with the plan, or with the policy."""
        for column, id in ((_W.scheduled_operation_id, scheduled_operation_id), (_W.trigger_id, trigger_id)):
            query = sa.select(_C.name, _W.plan_id).join(POLICIES, _C.id == _W.policy_id).where(column == id).limit(1)
            row = self._connection.execute(query).first() if id is not None else None
            if row is not None:
                raise errors.Conflict(
                    f"The policy {row.name} makes this for the plan {row.plan_id}. Choose another one for the plan, or "
                    "none, to change it."
                )


def _taken(policy: PublishedPolicy) -> errors.Conflict:
    return errors.Conflict(f"There is a policy named {policy.name} already.")


def _values(policy: PublishedPolicy) -> dict[str, Any]:
    return asdict(policy) | {"schedules": [schedule.to_dict() for schedule in policy.schedules]}


def _policy(row: Row[Any]) -> PublishedPolicy:
    schedules = tuple(PolicySchedule.from_dict(entry) for entry in row.schedules)
    return PublishedPolicy(**{**row._mapping, "schedules": schedules})

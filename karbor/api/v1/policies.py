# SPDX-License-Identifier: Apache-2.0
"""Published policies: which schedules does an administrator offer, of which tenants pick one for a plan?"""

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from karbor.api import paging, published
from karbor.api.call import Call, canonical
from karbor.api.node import Item
from karbor.api.operation import Answer, operation
from karbor.api.v1.schedule_definitions import checked_definition
from karbor.api.v1.trigger_kinds import Typed, now
from karbor.api.v1.views import links, moment
from karbor.db.database import Transaction
from karbor.model import errors
from karbor.model.policy import PolicySchedule, PublishedPolicy
from karbor.schema.nouns.policy import POLICY
from karbor.schema.query import ListQuery
from karbor.schema.types import UUID

LOG = logging.getLogger(__name__)
QUERY = ListQuery(
    filters={"name": "Only those whose name holds this text."},
    sort=("id", "name", "created_at"),
    default_sort=(("name", "asc"),),
)
_NOBODY = {"plan_id": str(uuid.UUID(int=0)), "provider_id": str(uuid.UUID(int=0))}


def view(call: Call, value: PublishedPolicy, plans: int) -> dict[str, Any]:
    """A policy as it is shown."""
    return {
        "id": value.id,
        "name": value.name,
        "description": value.description,
        "schedules": [schedule.to_dict() for schedule in value.schedules],
        "plans": plans,
        "created_at": moment(value.created_at),
        "updated_at": moment(value.updated_at),
        "links": links(call, f"/policies/{value.id}"),
    }


class Policy(Typed):
    """``/policies/{id}``"""

    @operation("policy:get", response=POLICY.show, errors=(400, 404))
    def get(self, call: Call) -> Answer:
        """Show a published policy."""
        with call.services.database.read() as rows:
            return _shown(call, rows, rows.policies.get(_id(call)))

    @operation("policy:update", role="admin", body=POLICY.update, response=POLICY.show, errors=(400, 404, 409))
    def put(self, call: Call) -> Answer:
        """Change a published policy, and with it the schedules of all plans that use it.

        A schedule that keeps its name, its kind of trigger and its type is changed; others are removed and made. They
        are done for those who chose the policy, as before.
        """
        given = dict(call.body)
        if "schedules" in given:
            given["schedules"] = _schedules(self, call, given["schedules"])

        def change(rows: Transaction) -> Answer:
            before = rows.policies.get(_id(call), lock=True)
            after = replace(before, **given)
            if after == before:
                return _shown(call, rows, before)
            after = rows.policies.update(after)
            for plan_id in rows.policies.plans_with(after.id):
                published.choose(rows, rows.plans.get(plan_id, lock=True), after, None, self.kinds)
            return _shown(call, rows, after)

        answer = call.services.database.retrying(change)
        LOG.info("policy changed policy=%s request=%s", _id(call), call.context.request_id)
        return answer

    @operation("policy:delete", role="admin", status=204, errors=(400, 404, 409))
    def delete(self, call: Call) -> Answer:
        """Delete a published policy. Refused while a plan uses it."""
        call.services.database.retrying(lambda rows: rows.policies.delete(_id(call)))
        LOG.info("policy deleted policy=%s request=%s", _id(call), call.context.request_id)
        return None


class Policies(Typed):
    """``/policies``"""

    item = Item("policy_id", UUID, Policy)

    @operation("policy:get_all", response=POLICY.list, query=QUERY, errors=(400,))
    def get(self, call: Call) -> Answer:
        """List published policies. Every project sees all of them."""
        with call.services.database.read() as rows:
            page = rows.policies.list(call.page)
            users = rows.policies.users((policy.id for policy in page.items), project_id=call.scope)
        shown = [view(call, policy, users.get(policy.id, 0)) for policy in page.items]
        return paging.listing(call, "policies", shown, full=page.full)

    @operation("policy:create", role="admin", body=POLICY.create, response=POLICY.show, errors=(400, 409))
    def post(self, call: Call) -> Answer:
        """Publish a policy: schedules that a tenant may pick as one thing, with `policy` of a plan."""
        policy = PublishedPolicy(
            id=str(uuid.uuid4()),
            name=call.body["name"],
            description=call.body.get("description"),
            schedules=_schedules(self, call, call.body["schedules"]),
        )
        made = call.services.database.retrying(lambda rows: rows.policies.create(policy))
        LOG.info("policy published policy=%s request=%s", made.id, call.context.request_id)
        return {"policy": view(call, made, 0)}


def _id(call: Call) -> str:
    return canonical(call.path["policy_id"])


def _shown(call: Call, rows: Transaction, policy: PublishedPolicy) -> dict[str, Any]:
    return {"policy": view(call, policy, rows.policies.users([policy.id], project_id=call.scope).get(policy.id, 0))}


def _schedules(node: Typed, call: Call, given: Sequence[Mapping[str, Any]]) -> tuple[PolicySchedule, ...]:
    """Checked as those of a tenant would be, but for the limits of tenants. Raises InvalidInput."""
    at = now(call)
    found: list[PolicySchedule] = []
    for entry in given:
        schedule = PolicySchedule.from_dict(entry)
        if schedule.name in {one.name for one in found}:
            raise errors.InvalidInput(f"The name {schedule.name} is given twice.")
        kind = node.kind(schedule.trigger_type)
        if kind.listens:
            raise errors.InvalidInput(f"{schedule.name}: a trigger of type {schedule.trigger_type} plans nothing.")
        if named := sorted(schedule.definition.keys() & _NOBODY.keys()):
            raise errors.InvalidInput(f"{schedule.name}: {named[0]} is that of the plan, and cannot be given.")
        try:
            properties = kind.accept(schedule.properties, stored={}, created_at=at, now=at)
            definition = checked_definition(schedule.operation_type, {**schedule.definition, **_NOBODY})
        except errors.InvalidInput as fault:
            raise errors.InvalidInput(f"{schedule.name}: {fault.message}") from fault
        definition = {name: value for name, value in definition.items() if name not in _NOBODY}
        found.append(replace(schedule, properties=properties, definition=definition))
    return tuple(found)

# SPDX-License-Identifier: Apache-2.0
"""Plans: what does a tenant want protected?"""

import logging
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from karbor.api import paging, parameters, published, repeats, tags, trusts
from karbor.api.call import Call, canonical
from karbor.api.node import Item
from karbor.api.operation import Answer, operation
from karbor.api.v1 import selections, views
from karbor.api.v1.outlooks import PlanForecast, PlanRetention
from karbor.api.v1.trigger_kinds import Typed
from karbor.conf import quota
from karbor.db.database import Transaction
from karbor.model import errors, lock
from karbor.model.plan import Plan as Value
from karbor.model.plan import PlanSummary
from karbor.model.policy import PublishedPolicy
from karbor.model.provider import ProviderInfo
from karbor.model.resource import Resource
from karbor.schema.nouns.lock import OPTIONS as LOCK_OPTIONS
from karbor.schema.nouns.plan import PLAN
from karbor.schema.query import ListQuery
from karbor.schema.types import UUID

LOG = logging.getLogger(__name__)
QUERY = ListQuery(
    filters={
        "name": "Only plans whose name holds this text.",
        "description": "Only plans whose description holds this text.",
        "status": "Only plans in this status.",
    },
    sort=("id", "status", "name", "created_at"),
    offset=True,
    tenants=True,
)


_PLAIN = ("name", "description", "status", "rpo", "policy_id")
#: What can be changed of a plan that is started.
_ALWAYS = frozenset({"status", "rpo", "policy_id"})


def tag(answer: Mapping[str, Any]) -> str:
    """The entity tag of an answer with one plan: what its owner can change, and nothing that runs of it change."""
    return tags.tag_of(answer["plan"], without=views.VOLATILE)


class Plan(Typed):
    """``/plans/{id}``"""

    below = {"retention": PlanRetention, "forecast": PlanForecast}

    @operation("plan:get", response=PLAN.show, errors=(400, 404), tag=tag)
    def get(self, call: Call) -> Answer:
        """Show a plan."""
        with call.services.database.read() as rows:
            plan = rows.plans.get(call.path["plan_id"], project_id=call.scope)
            call.allow(project_id=plan.project_id)
            return _shown(rows, call, plan)

    @operation("plan:update", role="member", body=PLAN.update, response=PLAN.show, errors=(400, 404, 503), tag=tag)
    def put(self, call: Call) -> Answer:
        """Change a plan.

        Only a suspended plan can be changed, except for its status, its `rpo` and its `policy`.
        """
        before = self._plan(call)
        _require(call, before)
        with call.services.database.read() as rows:
            policy = _policy(rows, call.body.get("policy"))
            old = published.trusts_of(rows, before.id)
        given = {**call.body, "policy_id": policy and policy.id} if "policy" in call.body else call.body
        changes = _changes(before, given)
        self._check_changes(call, before, changes)

        def change(rows: Transaction) -> Answer:
            now = rows.plans.get(before.id, project_id=before.project_id, lock=True)
            _require(call, now)
            changed = _changes(now, given)
            rows.fires.note_status(now.id, before=now.status, after=changed.get("status", now.status))
            after = rows.plans.update(replace(now, **changed)) if changed else now
            if "policy" in call.body:
                published.choose(rows, after, policy and rows.policies.find(policy.id), chooser, self.kinds)
                permission.keep(rows)
            return _shown(rows, call, after)

        if policy is None:
            chooser, permission = None, trusts.Permission()
            answer = call.services.database.retrying(change)
        else:
            with published.chosen(call, before) as (chooser, permission):
                answer = call.services.database.retrying(change)
        if "policy" in call.body:
            for trust_id in old:
                trusts.release(call, trust_id)
        return answer

    @operation("plan:delete", role="member", status=204, errors=(400, 404, 409), tag=tag)
    def delete(self, call: Call) -> Answer:
        """Delete a plan.

        Its checkpoints stay; what its policy has made goes. Refused while another scheduled operation refers to it.
        """
        plan = self._plan(call)
        with call.services.database.read() as rows:
            old = published.trusts_of(rows, plan.id)

        def delete(rows: Transaction) -> None:
            found = rows.plans.get(plan.id, project_id=plan.project_id, lock=True)
            _require(call, found)
            published.choose(rows, found, None, None, self.kinds)
            rows.plans.delete(plan.id)

        call.services.database.retrying(delete)
        for trust_id in old:
            trusts.release(call, trust_id)
        LOG.info("plan deleted plan=%s project=%s request=%s", plan.id, plan.project_id, call.context.request_id)
        return None

    def _check_changes(self, call: Call, before: Value, changes: Mapping[str, Any]) -> None:
        if not changes.keys() & {"resources", "selection"}:
            return
        with call.services.database.read() as rows:
            provider = rows.providers.get(before.provider_id)
        if "resources" in changes:
            selections.check_duplicates(call.body["resources"])
            selections.check_resources(call, provider, call.body["resources"], project_id=before.project_id)
        selections.check(call, provider, changes.get("selection", ()))

    def _plan(self, call: Call) -> Value:
        with call.services.database.read() as rows:
            plan = rows.plans.get(call.path["plan_id"], project_id=call.scope)
        call.allow(project_id=plan.project_id)
        return plan


def _shown(rows: Transaction, call: Call, plan: Value) -> dict[str, Any]:
    following = rows.fires.next_of_plans([plan.id]).get(plan.id)
    alarm = rows.alarms.of([plan.id]).get(plan.id)
    return {"plan": views.plan(plan, call, rows.plans.summaries([plan.id])[plan.id], following, alarm)}


def _require(call: Call, plan: Value) -> None:
    """Raise PreconditionFailed where the client saw another state of the plan."""
    tags.require(call, tag({"plan": views.plan(plan, call, PlanSummary())}))


def _changes(plan: Value, body: Mapping[str, Any]) -> dict[str, Any]:
    """What really changes. Raises InvalidInput where the plan's status does not allow it."""
    wanted: dict[str, Any] = {name: body[name] for name in _PLAIN if name in body}
    if "resources" in body:
        wanted["resources"] = tuple(Resource.from_dict(entry) for entry in body["resources"])
    if "selection" in body:
        wanted["selection"] = selections.given(body)
    after = replace(plan, **wanted)
    selections.require_any(body, after.resources, after.selection)
    changes = {name: value for name, value in wanted.items() if getattr(plan, name) != value}
    if plan.status != "suspended" and changes.keys() - _ALWAYS:
        raise errors.InvalidInput("The plan can be only updated in suspended status.")
    return changes


class Plans(Typed):
    """``/plans``"""

    item = Item("plan_id", UUID, Plan)

    @operation("plan:get_all", response=PLAN.list, query=QUERY, errors=(400,))
    def get(self, call: Call) -> Answer:
        """List plans."""
        with call.services.database.read() as rows:
            page = rows.plans.list(call.page)
            summaries = rows.plans.summaries(plan.id for plan in page.items)
            following = rows.fires.next_of_plans(plan.id for plan in page.items)
            alarms = rows.alarms.of(plan.id for plan in page.items)
        shown = [
            views.plan(plan, call, summaries[plan.id], following.get(plan.id), alarms.get(plan.id))
            for plan in page.items
        ]
        return paging.listing(call, "plans", shown, full=page.full)

    @operation(
        "plan:create",
        role="member",
        body=PLAN.create,
        response=PLAN.show,
        errors=(400, 413, 503),
        tag=tag,
        repeatable=True,
    )
    def post(self, call: Call) -> Answer:
        """Create a plan."""
        body = call.body
        provider = _provider(call, canonical(body["provider_id"]))
        resources, choices = body.get("resources") or (), selections.given(body)
        selections.require_any(body, resources, choices)
        selections.check_duplicates(resources)
        given = parameters.without_nulls(body.get("parameters"))
        named = [(entry["type"], entry["id"]) for entry in resources]
        known = {**(provider.schemas.get("options_schema") or {}), lock.PARAMETER: LOCK_OPTIONS}
        parameters.check(given, known, resources=named)
        selections.check_resources(call, provider, resources, project_id=call.project_id)
        selections.check(call, provider, choices)
        with call.services.database.read() as rows:
            policy = _policy(rows, body.get("policy"))
        plan = Value(
            id=str(uuid.uuid4()),
            project_id=call.project_id,
            name=body["name"],
            provider_id=provider.id,
            resources=tuple(Resource.from_dict(entry) for entry in resources),
            selection=choices,
            description=body.get("description"),
            parameters=given,
            rpo=body.get("rpo"),
            policy_id=policy.id if policy else None,
        )

        def create(rows: Transaction) -> repeats.Made:
            rows.quotas.require(plan.project_id, quota.defaults(call.services.conf), "plans")
            made = rows.plans.create(plan)
            if policy is not None:
                published.choose(rows, made, rows.policies.find(policy.id), chooser, self.kinds)
                permission.keep(rows)
            return _shown(rows, call, made), ()

        if policy is None:
            answer, _jobs = repeats.once(call, create)
        else:
            with published.chosen(call, plan) as (chooser, permission):
                answer, _jobs = repeats.once(call, create)
        LOG.info("plan created plan=%s project=%s request=%s", plan.id, plan.project_id, call.context.request_id)
        return answer


def _policy(rows: Transaction, name_or_id: str | None) -> PublishedPolicy | None:
    """Raises InvalidInput."""
    try:
        return rows.policies.find(name_or_id) if name_or_id else None
    except errors.NotFound as fault:
        raise errors.InvalidInput(fault.message) from None


def _provider(call: Call, provider_id: str) -> ProviderInfo:
    try:
        with call.services.database.read() as rows:
            return rows.providers.get(provider_id)
    except errors.NotFound:
        raise errors.InvalidInput("The provider could not be found.") from None

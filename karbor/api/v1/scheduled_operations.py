# SPDX-License-Identifier: Apache-2.0
"""Scheduled operations: what is done whenever a trigger fires?"""

import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from karbor.api import paging, tenantlimits, trusts
from karbor.api.call import Call, canonical
from karbor.api.node import Item, Node
from karbor.api.operation import Answer, operation
from karbor.api.v1.outlooks import ScheduleForecast, ScheduleRetention
from karbor.api.v1.schedule_definitions import checked_definition, keys_of
from karbor.api.v1.scheduled_runs import Action, Runs, operation_of
from karbor.api.v1.views import links, moment
from karbor.db.database import Transaction
from karbor.model import errors
from karbor.model.scheduled_operation import NO_PERMISSION, Health
from karbor.model.scheduled_operation import ScheduledOperation as Value
from karbor.schema.nouns.scheduled_operation import SCHEDULED_OPERATION
from karbor.schema.query import ListQuery
from karbor.schema.types import UUID

LOG = logging.getLogger(__name__)
QUERY = ListQuery(
    filters={
        "name": "Only those whose name holds this text.",
        "operation_type": "Only those of this type.",
        "trigger_id": "Only those of this trigger.",
        "plan_id": "Only those of this plan.",
        "provider_id": "Only those of this provider.",
        "operation_definition": "Only those whose definition holds this text.",
        "enabled": "Only those that are enabled (true), or are not (false).",
    },
    sort=("id", "name", "created_at"),
    offset=True,
    tenants=True,
)


def view(call: Call, value: Value, next_run: datetime | None, health: Health) -> dict[str, Any]:
    """A scheduled operation as it is shown. ``next_run``: when its trigger fires next."""
    return {
        "id": value.id,
        "name": value.name,
        "description": value.description,
        "operation_type": value.operation_type,
        "trigger_id": value.trigger_id,
        "operation_definition": dict(value.operation_definition),
        "enabled": value.enabled,
        "permission": _permission(call, value),
        "project_id": value.project_id,
        "created_at": moment(value.created_at),
        "updated_at": moment(value.updated_at),
        "next_run": moment(next_run) if value.enabled else None,
        "failures": health.failures,
        "paused_until": moment(health.paused_until),
        "links": links(
            call,
            f"/scheduled_operations/{value.id}",
            runs=f"/scheduled_operations/{value.id}/runs",
            trigger=f"/triggers/{value.trigger_id}",
            plan=f"/plans/{value.plan_id}",
            provider=f"/providers/{value.provider_id}",
        ),
    }


class ScheduledOperation(Node):
    """``/scheduled_operations/{id}``"""

    below = {"runs": Runs, "action": Action, "retention": ScheduleRetention, "forecast": ScheduleForecast}

    @operation("scheduled_operation:get", response=SCHEDULED_OPERATION.show, errors=(400, 404))
    def get(self, call: Call) -> Answer:
        """Show a scheduled operation."""
        with call.services.database.read() as rows:
            return _shown(call, rows, operation_of(call, rows))

    @operation(
        "scheduled_operation:update",
        role="member",
        body=SCHEDULED_OPERATION.update,
        response=SCHEDULED_OPERATION.show,
        errors=(400, 404, 409),
    )
    def put(self, call: Call) -> Answer:
        """Change a scheduled operation: its name, description and definition, and whether it is run.

        Keys of the definition that are not named stay as they are; null takes one away. Where there is a Keystone, an
        enabled one is done from now on with the permission of whoever changes it. Of one that a policy has made only
        `enabled` can be changed.
        """
        with call.services.database.read() as rows:
            old = operation_of(call, rows)
        enabled = call.body.get("enabled", old.enabled)

        def change(rows: Transaction) -> Answer:
            before = operation_of(call, rows)
            if call.body.keys() - {"enabled"}:
                rows.policies.require_own(scheduled_operation_id=before.id)
            wanted = {name: call.body[name] for name in ("name", "description", "enabled") if name in call.body}
            after = replace(before, **wanted)
            if given := keys_of(call.body.get("operation_definition") or {}):
                definition = checked_definition(before.operation_type, {**before.operation_definition, **given})
                _check_plan(rows, definition, project_id=before.project_id)
                after = replace(after, operation_definition=definition)
            if after != before:
                after = rows.scheduled_operations.update(after)
            return _shown(call, rows, _entrusted(rows, call, after, permission))

        with _renewed(call, old, enabled=enabled) as permission:
            changed = call.services.database.retrying(change)
        if permission.trust_id is not None:
            trusts.release(call, old.trust_id)
        return changed

    @operation("scheduled_operation:delete", role="member", status=204, errors=(400, 404, 409))
    def delete(self, call: Call) -> Answer:
        """Delete a scheduled operation. What it has made stays. Refused for one that a policy has made."""

        def delete(rows: Transaction) -> Value:
            found = operation_of(call, rows)
            rows.policies.require_own(scheduled_operation_id=found.id)
            rows.scheduled_operations.delete(found.id)
            return found

        gone = call.services.database.retrying(delete)
        trusts.release(call, gone.trust_id)
        LOG.info(
            "scheduled operation deleted scheduled_operation=%s project=%s request=%s",
            gone.id, gone.project_id, call.context.request_id,
        )  # fmt: skip
        return None


class ScheduledOperations(Node):
    """``/scheduled_operations``"""

    item = Item("scheduled_operation_id", UUID, ScheduledOperation)

    @operation("scheduled_operation:list", response=SCHEDULED_OPERATION.list, query=QUERY, errors=(400,))
    def get(self, call: Call) -> Answer:
        """List scheduled operations."""
        with call.services.database.read() as rows:
            page = rows.scheduled_operations.list(call.page)
            following = rows.fires.next_of_triggers(found.trigger_id for found in page.items)
            health = rows.breakers.of(found.id for found in page.items)
        shown = [
            view(call, found, following.get(found.trigger_id), health.get(found.id, Health())) for found in page.items
        ]
        return paging.listing(call, "operations", shown, full=page.full)

    @operation(
        "scheduled_operation:create",
        role="member",
        body=SCHEDULED_OPERATION.create,
        response=SCHEDULED_OPERATION.show,
        errors=(400, 404, 413),
        more_rules=(tenantlimits.SCHEDULES,),
    )
    def post(self, call: Call) -> Answer:
        """Create a scheduled operation. Trigger and plan must be of your project.

        Where there is a Keystone, you let the service act for you later, by a trust that is given back when the
        scheduled operation is deleted. A login with an application credential or a trust cannot do so.
        """
        body = call.body
        tenantlimits.check_type(call, body["operation_type"])
        wanted = Value(
            id=str(uuid.uuid4()),
            project_id=call.project_id,
            user_id=str(call.context.user_id or ""),
            name=body["name"],
            description=body.get("description"),
            operation_type=body["operation_type"],
            trigger_id=canonical(body["trigger_id"]),
            operation_definition=checked_definition(body["operation_type"], keys_of(body["operation_definition"])),
            enabled=body.get("enabled", True),
        )

        def check(rows: Transaction) -> None:
            rows.triggers.get(wanted.trigger_id, project_id=call.project_id)
            _check_plan(rows, wanted.operation_definition, project_id=call.project_id)

        def create(rows: Transaction) -> dict[str, Any]:
            check(rows)
            tenantlimits.check_number(call, rows)
            return _shown(call, rows, _entrusted(rows, call, rows.scheduled_operations.create(wanted), permission))

        with call.services.database.read() as rows:
            check(rows)
        with trusts.for_schedule(call, wanted.id) as permission:
            made = call.services.database.retrying(create)
        LOG.info(
            "scheduled operation created scheduled_operation=%s project=%s request=%s",
            wanted.id, wanted.project_id, call.context.request_id,
        )  # fmt: skip
        return made


@contextmanager
def _renewed(call: Call, old: Value, *, enabled: bool) -> Iterator[trusts.Permission]:
    """The permission of whoever changes it. The one that it has stays where somebody of another project does so, where
    it is not to be run, and where its own user cannot give another one just now.

    Raises Forbidden where it would be done with somebody else's permission.
    """
    if not enabled or old.project_id != call.project_id or call.context.system_scope:
        yield trusts.Permission()
        return
    with ExitStack() as stack:
        try:
            permission = stack.enter_context(trusts.for_schedule(call, old.id))
        except errors.Forbidden:
            if old.trust_id is None or old.permission_reason or old.user_id != call.context.user_id:
                raise
            permission = trusts.Permission()
        yield permission


def _entrusted(rows: Transaction, call: Call, value: Value, permission: trusts.Permission) -> Value:
    if permission.trust_id is None:
        return value
    permission.keep(rows)
    user_id = str(call.context.user_id)
    return rows.scheduled_operations.entrust(value.id, trust_id=permission.trust_id, user_id=user_id)


def _permission(call: Call, value: Value) -> dict[str, Any] | None:
    """Whether the service may act for the user; None where nobody needs a permission."""
    if call.services.identity is None:
        return None
    reason = value.permission_reason if value.trust_id else NO_PERMISSION
    since = value.permission_since or value.created_at
    return {"state": "lost" if reason else "ok", "reason": reason, "since": moment(since), "user_id": value.user_id}


def _shown(call: Call, rows: Transaction, value: Value) -> dict[str, Any]:
    following = rows.fires.next_of_triggers([value.trigger_id]).get(value.trigger_id)
    health = rows.breakers.of([value.id]).get(value.id, Health())
    return {"scheduled_operation": view(call, value, following, health)}


def _check_plan(rows: Transaction, definition: Mapping[str, Any], *, project_id: str) -> None:
    """Raise InvalidInput unless the project has the plan, and the provider is that of the plan."""
    try:
        plan = rows.plans.get(definition["plan_id"], project_id=project_id)
        provider = rows.providers.get(definition["provider_id"])
    except errors.NotFound as fault:
        raise errors.InvalidInput(fault.message) from None
    if plan.provider_id != provider.id:
        raise errors.InvalidInput("The plan belongs to another provider.")

# SPDX-License-Identifier: Apache-2.0
"""Triggers: when has something to happen?"""

import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from karbor.api import paging, tenantlimits
from karbor.api.call import Call
from karbor.api.node import Item
from karbor.api.operation import Answer, operation
from karbor.api.v1.trigger_events import Events, Fire, Token
from karbor.api.v1.trigger_kinds import Typed, hook, new_token, now, token_hash
from karbor.api.v1.views import links, moment
from karbor.db.database import Transaction
from karbor.model import errors
from karbor.model.event import WEBHOOK
from karbor.model.trigger import Trigger as Value
from karbor.schema.nouns.trigger import CREATE, FIRES, LEFT_OUT, TRIGGER, UPDATE
from karbor.schema.query import ListQuery
from karbor.schema.types import UUID, Schema
from karbor.sdk.moments import zone_named

LOG = logging.getLogger(__name__)
MAX_FIRES, DEFAULT_FIRES = 100, 10
QUERY = ListQuery(
    filters={
        "name": "Only triggers whose name holds this text.",
        "type": "Only triggers of this type.",
        "properties": "Only triggers whose properties hold this text.",
    },
    sort=("id", "name", "type", "created_at"),
    offset=True,
    tenants=True,
)
_COUNT: Schema = {
    "type": "integer",
    "minimum": 1,
    "maximum": MAX_FIRES,
    "description": f"How many; {DEFAULT_FIRES} where it is absent.",
}


def view(call: Call, value: Value, *, token: str | None = None) -> dict[str, Any]:
    """A trigger as it is shown. ``token``: the secret of one that was just made."""
    return {
        "id": value.id,
        "name": value.name,
        "type": value.type,
        "properties": dict(value.properties),
        "project_id": value.project_id,
        "created_at": moment(value.created_at),
        "updated_at": moment(value.updated_at),
        "next_run": moment(value.next_fire),
        "token": token,
        "hook": hook(call, value.id, token) if token else None,
        "links": links(
            call, f"/triggers/{value.id}", fires=f"/triggers/{value.id}/fires", events=f"/triggers/{value.id}/events"
        ),
    }


class Fires(Typed):
    """``/triggers/{id}/fires``"""

    @operation("trigger:get_fires", response=FIRES, parameters={"count": _COUNT}, errors=(400, 404))
    def get(self, call: Call) -> Answer:
        """Show when a trigger will fire next, with its jitter, and what its blackouts leave out.

        Nothing for a trigger that waits for something to happen.
        """
        count = _count(call)
        trigger = self.trigger(call)
        kind = self.kind(trigger.type)
        zone = zone_named(trigger.properties.get("timezone", "UTC"))
        fires: list[dict[str, Any]] = []
        left_out: list[dict[str, Any]] = []
        for fire in kind.plan(trigger.properties, created_at=_made(trigger), after=now(call), seed=trigger.id):
            if fire.left_out:
                left_out.append({"at": moment(fire.at)})
                continue
            local = fire.at.astimezone(zone).isoformat(timespec="seconds")
            fires.append({"at": moment(fire.at), "local": local, "planned": moment(fire.planned)})
            if len(fires) == count:
                break
        return {"fires": fires, "left_out": left_out[:LEFT_OUT], "window": kind.window(trigger.properties)}


class Trigger(Typed):
    """``/triggers/{id}``"""

    below = {"fires": Fires, "fire": Fire, "events": Events, "token": Token}

    @operation("trigger:get", response=TRIGGER.show, errors=(400, 404))
    def get(self, call: Call) -> Answer:
        """Show a trigger."""
        return {"trigger_info": view(call, self.trigger(call))}

    @operation(
        "trigger:update",
        role="member",
        body=UPDATE,
        response=TRIGGER.show,
        errors=(400, 404, 409),
        more_rules=(tenantlimits.TRIGGERS,),
    )
    def put(self, call: Call) -> Answer:
        """Change a trigger.

        Properties that are not named stay as they are; null takes one away.
        """
        before = self.trigger(call)
        after, following = replace(before, name=call.body.get("name", before.name)), None
        names: Mapping[str, str] = {}
        if call.body.get("properties"):
            kind, at = self.allowed(call, before.type), now(call)
            properties = kind.accept(
                call.body["properties"], stored=before.properties, created_at=_made(before), now=at
            )
            following = next(iter(kind.fires(properties, created_at=_made(before), after=at, seed=before.id)), None)
            after, names = replace(after, properties=properties, next_fire=following), kind.names(properties)
        if after == before:
            return {"trigger_info": view(call, before)}

        def change(rows: Transaction) -> Value:
            found = rows.triggers.get(before.id, project_id=before.project_id, lock=True)
            rows.policies.require_own(trigger_id=found.id)
            if found != before:
                raise errors.Conflict("The trigger was changed by somebody else meanwhile. Try again.")
            _check_names(rows, names, project_id=before.project_id)
            return rows.triggers.update(after if following else replace(after, next_fire=found.next_fire))

        return {"trigger_info": view(call, call.services.database.retrying(change))}

    @operation("trigger:delete", role="member", status=204, errors=(400, 404, 409))
    def delete(self, call: Call) -> Answer:
        """Delete a trigger. Refused while a scheduled operation uses it, and for one that a policy has made."""
        trigger = self.trigger(call)

        def delete(rows: Transaction) -> None:
            rows.policies.require_own(trigger_id=trigger.id)
            rows.triggers.delete(trigger.id)

        call.services.database.retrying(delete)
        LOG.info(
            "trigger deleted trigger=%s project=%s request=%s", trigger.id, trigger.project_id, call.context.request_id
        )
        return None


class Triggers(Typed):
    """``/triggers``"""

    item = Item("trigger_id", UUID, Trigger)

    @operation("trigger:list", response=TRIGGER.list, query=QUERY, errors=(400,))
    def get(self, call: Call) -> Answer:
        """List triggers."""
        with call.services.database.read() as rows:
            page = rows.triggers.list(call.page)
        return paging.listing(call, "triggers", [view(call, trigger) for trigger in page.items], full=page.full)

    @operation("trigger:create", role="member", body=CREATE, response=TRIGGER.show, errors=(400,))
    def post(self, call: Call) -> Answer:
        """Create a trigger.

        Refused where its pattern cannot be understood, its runs would come too close, or there would be none. The
        answer for a webhook holds its secret, which is not shown again.
        """
        body, at = call.body, now(call)
        kind = self.allowed(call, body["type"])
        properties = kind.accept(body["properties"], stored={}, created_at=at, now=at)
        id = str(uuid.uuid4())
        trigger = Value(
            id=id,
            project_id=call.project_id,
            name=body["name"],
            type=body["type"],
            properties=properties,
            created_at=at,
            next_fire=next(iter(kind.fires(properties, created_at=at, after=at, seed=id)), None),
        )
        token = new_token() if WEBHOOK in kind.listens else None

        def create(rows: Transaction) -> Value:
            _check_names(rows, kind.names(properties), project_id=trigger.project_id)
            made = rows.triggers.create(trigger)
            if token:
                rows.triggers.set_token(made.id, token_hash(token))
            return made

        made = call.services.database.retrying(create)
        LOG.info("trigger created trigger=%s project=%s request=%s", made.id, made.project_id, call.context.request_id)
        return {"trigger_info": view(call, made, token=token)}


def _check_names(rows: Transaction, names: Mapping[str, str], *, project_id: str) -> None:
    """Raise InvalidInput unless the project has what the properties name."""
    places: Mapping[str, Callable[..., object]] = {
        "plan": rows.plans.get,
        "scheduled operation": rows.scheduled_operations.get,
    }
    for noun, id in names.items():
        try:
            places[noun](id, project_id=project_id)
        except errors.NotFound as fault:
            raise errors.InvalidInput(fault.message) from None


def _made(trigger: Value) -> datetime:
    """When the trigger was made: where its start is not given, it begins then."""
    assert trigger.created_at is not None  # every row has it
    return trigger.created_at


def _count(call: Call) -> int:
    text = call.query.get("count", str(DEFAULT_FIRES)).strip()
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:20]) <= MAX_FIRES):
        raise errors.InvalidInput(f"count must be a number from 1 to {MAX_FIRES}.")
    return int(text)

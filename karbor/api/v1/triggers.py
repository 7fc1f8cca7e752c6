# SPDX-License-Identifier: Apache-2.0
"""Triggers: when has something to happen?"""

import itertools
import logging
import uuid
import zoneinfo
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from karbor.api import paging
from karbor.api.call import Call, Services
from karbor.api.node import Item, Node
from karbor.api.operation import Answer, operation
from karbor.api.v1.views import links, moment
from karbor.db.database import Transaction
from karbor.model import errors
from karbor.model.trigger import Trigger as Value
from karbor.schema.nouns.trigger import CREATE, FIRES, TRIGGER, UPDATE
from karbor.schema.query import ListQuery
from karbor.schema.types import UUID, Schema
from karbor.sdk.trigger import Limits, TriggerType, load_types

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


def view(call: Call, value: Value) -> dict[str, Any]:
    """A trigger as it is shown."""
    return {
        "id": value.id,
        "name": value.name,
        "type": value.type,
        "properties": dict(value.properties),
        "project_id": value.project_id,
        "created_at": moment(value.created_at),
        "updated_at": moment(value.updated_at),
        "next_run": moment(value.next_fire),
        "links": links(call, f"/triggers/{value.id}", fires=f"/triggers/{value.id}/fires"),
    }


class _Typed(Node):
    """A node that knows the kinds of triggers that are installed."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        conf = services.conf
        self._types = load_types(Limits(conf.min_interval, conf.min_window_time, conf.max_window_time))

    def _kind(self, name: str) -> TriggerType:
        """Raises InvalidInput."""
        if name not in self._types:
            raise errors.InvalidInput(f"The type of a trigger must be one of {', '.join(sorted(self._types))}.")
        return self._types[name]

    def _trigger(self, call: Call) -> Value:
        with call.services.database.read() as rows:
            trigger = rows.triggers.get(call.path["trigger_id"], project_id=call.scope)
        call.allow(project_id=trigger.project_id)
        return trigger


class Fires(_Typed):
    """``/triggers/{id}/fires``"""

    @operation("trigger:get_fires", response=FIRES, parameters={"count": _COUNT}, errors=(400, 404))
    def get(self, call: Call) -> Answer:
        """Show when a trigger will fire next."""
        count = _count(call)
        trigger = self._trigger(call)
        kind = self._kind(trigger.type)
        zone = _zone(trigger.properties)
        found = kind.fires(trigger.properties, created_at=_made(trigger), after=_now(call))
        return {
            "fires": [
                {"at": moment(fire), "local": fire.astimezone(zone).isoformat(timespec="seconds")}
                for fire in itertools.islice(found, count)
            ],
            "window": kind.window(trigger.properties),
        }


class Trigger(_Typed):
    """``/triggers/{id}``"""

    below = {"fires": Fires}

    @operation("trigger:get", response=TRIGGER.show, errors=(400, 404))
    def get(self, call: Call) -> Answer:
        """Show a trigger."""
        return {"trigger_info": view(call, self._trigger(call))}

    @operation("trigger:update", role="member", body=UPDATE, response=TRIGGER.show, errors=(400, 404, 409))
    def put(self, call: Call) -> Answer:
        """Change a trigger.

        Properties that are not named stay as they are; null takes one away.
        """
        before = self._trigger(call)
        after, following = replace(before, name=call.body.get("name", before.name)), None
        if call.body.get("properties"):
            kind, now = self._kind(before.type), _now(call)
            properties = kind.accept(
                call.body["properties"], stored=before.properties, created_at=_made(before), now=now
            )
            following = next(iter(kind.fires(properties, created_at=_made(before), after=now)), None)
            after = replace(after, properties=properties, next_fire=following)
        if after == before:
            return {"trigger_info": view(call, before)}

        def change(rows: Transaction) -> Value:
            found = rows.triggers.get(before.id, project_id=before.project_id, lock=True)
            if found != before:
                raise errors.Conflict("The trigger was changed by somebody else meanwhile. Try again.")
            return rows.triggers.update(after if following else replace(after, next_fire=found.next_fire))

        return {"trigger_info": view(call, call.services.database.retrying(change))}

    @operation("trigger:delete", role="member", status=204, errors=(400, 404, 409))
    def delete(self, call: Call) -> Answer:
        """Delete a trigger. Refused while a scheduled operation uses it."""
        trigger = self._trigger(call)
        call.services.database.retrying(lambda rows: rows.triggers.delete(trigger.id))
        LOG.info(
            "trigger deleted trigger=%s project=%s request=%s", trigger.id, trigger.project_id, call.context.request_id
        )
        return None


class Triggers(_Typed):
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

        Refused where its pattern cannot be understood, its runs would come too close, or there would be none.
        """
        body, now = call.body, _now(call)
        kind = self._kind(body["type"])
        properties = kind.accept(body["properties"], stored={}, created_at=now, now=now)
        trigger = Value(
            id=str(uuid.uuid4()),
            project_id=call.project_id,
            name=body["name"],
            type=body["type"],
            properties=properties,
            created_at=now,
            next_fire=next(iter(kind.fires(properties, created_at=now, after=now)), None),
        )
        made = call.services.database.retrying(lambda rows: rows.triggers.create(trigger))
        LOG.info("trigger created trigger=%s project=%s request=%s", made.id, made.project_id, call.context.request_id)
        return {"trigger_info": view(call, made)}


def _now(call: Call) -> datetime:
    """Now by the clock that triggers fire by: the database server's, whatever ours says."""
    with call.services.database.read() as rows:
        return rows.fires.now()


def _made(trigger: Value) -> datetime:
    """When the trigger was made: where its start is not given, it begins then."""
    assert trigger.created_at is not None  # every row has it
    return trigger.created_at


def _zone(properties: Mapping[str, Any]) -> Any:
    name = properties.get("timezone", "UTC")
    return UTC if name == "UTC" else zoneinfo.ZoneInfo(name)


def _count(call: Call) -> int:
    text = call.query.get("count", str(DEFAULT_FIRES)).strip()
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:20]) <= MAX_FIRES):
        raise errors.InvalidInput(f"count must be a number from 1 to {MAX_FIRES}.")
    return int(text)

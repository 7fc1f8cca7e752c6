# SPDX-License-Identifier: Apache-2.0
"""Events: how does a request fire a trigger, and what became of what happened?"""

import logging
import uuid
from dataclasses import replace
from typing import Any

from karbor.api import paging
from karbor.api.call import Call, Services
from karbor.api.limits import Rate
from karbor.api.node import Item, Node
from karbor.api.operation import Answer, operation
from karbor.api.v1.trigger_kinds import Typed, hook, new_token, token_hash
from karbor.api.v1.views import moment
from karbor.db.fires import moment as from_ms
from karbor.model.event import TriggerEvent
from karbor.schema.nouns.trigger import EVENT, SECRET
from karbor.schema.query import ListQuery
from karbor.schema.types import END, UUID, Schema

LOG = logging.getLogger(__name__)
QUERY = ListQuery(
    filters={"outcome": "Only those of which this became."},
    sort=("id", "at"),
    default_sort=(("at", "desc"),),
)
_KEY: Schema = {
    "type": "string",
    "pattern": r"^[!-~]{1,255}" + END,
    "description": "A text of your choice that tells this event apart: with the same key it is the same event, and"
    " nothing is done twice. Without a key each request is an event of its own.",
}
_KEYED = {"Idempotency-Key": _KEY}
_SECRET: Schema = {"type": "string", "pattern": r"^[A-Za-z0-9_-]{20,100}" + END, "examples": ["c2VjcmV0"]}


def view(value: TriggerEvent) -> dict[str, Any]:
    """An event as it is shown."""
    return {
        "id": value.id,
        "trigger_id": value.trigger_id,
        "source": value.source,
        "type": value.type,
        "at": moment(value.at),
        "due_at": moment(from_ms(value.due_ms)),
        "outcome": value.outcome,
        "reason": value.reason,
        "runs": value.runs,
    }


def _key(call: Call) -> str:
    return call.headers.get("Idempotency-Key") or str(uuid.uuid4())


class Fire(Typed):
    """``/triggers/{id}/fire``"""

    @operation(
        "trigger:fire",
        role="member",
        response=EVENT.show,
        status=202,
        errors=(400, 404, 409, 413),
        begins_work=True,
        headers=_KEYED,
    )
    def post(self, call: Call) -> Answer:
        """Fire a trigger of type webhook.

        What hangs on it is begun by an engine. Requests that come soon after each other are taken together.
        """
        trigger, key = self.trigger(call), _key(call)
        return {"event": view(call.services.database.retrying(lambda rows: self.take(rows, trigger, key)))}


class Token(Typed):
    """``/triggers/{id}/token``"""

    @operation("trigger:renew_token", role="member", response=SECRET, errors=(400, 404, 409))
    def post(self, call: Call) -> Answer:
        """Give a webhook a new secret. The one before does not count any more."""
        trigger, token = self.trigger(call), new_token()
        self.webhook(trigger)
        call.services.database.retrying(lambda rows: rows.triggers.set_token(trigger.id, token_hash(token)))
        LOG.info(
            "token renewed trigger=%s project=%s request=%s", trigger.id, trigger.project_id, call.context.request_id
        )
        return {"webhook": {"token": token, "hook": hook(call, trigger.id, token)}}


class Events(Typed):
    """``/triggers/{id}/events``"""

    @operation("trigger:get_events", response=EVENT.list, query=QUERY, errors=(400, 404))
    def get(self, call: Call) -> Answer:
        """List the events that a trigger was told of, and what became of each."""
        trigger = self.trigger(call)
        filters = {**call.page.filters, "trigger_id": trigger.id}
        with call.services.database.read() as rows:
            page = rows.events.list(replace(call.page, filters=filters, project_id=trigger.project_id))
        return paging.listing(call, "events", [view(event) for event in page.items], full=page.full)


class Hook(Typed):
    """``/hooks/{id}/{token}``"""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._rate = Rate(services.conf.webhook_per_minute, clock=services.clock, what="requests at this webhook")

    @operation(None, response=EVENT.show, status=202, errors=(400, 404, 409, 413), headers=_KEYED)
    def post(self, call: Call) -> Answer:
        """Fire a trigger of type webhook by its secret address; no other login is needed.

        The body is not read. What hangs on the trigger is begun by an engine. Requests that come soon after each other
        are taken together.
        """
        digest = token_hash(call.path["token"])
        with call.services.database.read() as rows:
            trigger = rows.triggers.with_token(call.path["trigger_id"], digest)
        self._rate.take(trigger.id)
        key = _key(call)
        return {"event": view(call.services.database.retrying(lambda rows: self.take(rows, trigger, key)))}


class HookOfTrigger(Node):
    """``/hooks/{id}``"""

    item = Item("token", _SECRET, Hook)


class Hooks(Node):
    """``/hooks``"""

    item = Item("trigger_id", UUID, HookOfTrigger)

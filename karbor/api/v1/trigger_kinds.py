# SPDX-License-Identifier: Apache-2.0
"""What do the URLs of triggers share? They know the kinds that are installed, and the trigger that is meant."""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime

from karbor.api import tenantlimits
from karbor.api.call import Call, Services
from karbor.api.node import Node
from karbor.db.database import Transaction
from karbor.model import errors
from karbor.model.event import WEBHOOK, Event, TriggerEvent
from karbor.model.trigger import Trigger
from karbor.sdk.trigger import Limits, TriggerType, load_types

_TOKEN_BYTES = 32


class Typed(Node):
    """A node that knows the kinds of triggers."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        conf = services.conf
        windows = conf.min_window_time, conf.max_window_time
        self._types = load_types(Limits(conf.min_interval, *windows))
        self._bounded = load_types(Limits(max(conf.min_interval, conf.tenant_min_interval), *windows))

    @property
    def kinds(self) -> Mapping[str, TriggerType]:
        """All of them, by name."""
        return self._types

    def allowed(self, call: Call, name: str) -> TriggerType:
        """The same, with the bounds of the caller. Raises InvalidInput."""
        kind = self.kind(name)
        return kind if tenantlimits.unbounded(call, tenantlimits.TRIGGERS) else self._bounded[name]

    def kind(self, name: str) -> TriggerType:
        """Raises InvalidInput."""
        if name not in self._types:
            raise errors.InvalidInput(f"The type of a trigger must be one of {', '.join(sorted(self._types))}.")
        return self._types[name]

    def trigger(self, call: Call) -> Trigger:
        """The trigger that the URL names. Raises NotFound, Forbidden."""
        with call.services.database.read() as rows:
            trigger = rows.triggers.get(call.path["trigger_id"], project_id=call.scope)
        call.allow(project_id=trigger.project_id)
        return trigger

    def webhook(self, trigger: Trigger) -> TriggerType:
        """Its kind. Raises Conflict where nobody can fire it by a request."""
        kind = self.kind(trigger.type)
        if WEBHOOK not in kind.listens:
            raise errors.Conflict(f"A trigger of type {trigger.type} is not fired by requests.")
        return kind

    def take(self, rows: Transaction, trigger: Trigger, key: str) -> TriggerEvent:
        """Fire it: once for each key. Raises Conflict, NotFound."""
        window_ms = self.webhook(trigger).window(trigger.properties) * 1000
        event = Event(trigger.project_id, WEBHOOK, WEBHOOK, key)
        interval_ms = self.services.conf.event_interval * 1000
        return rows.events.take(trigger, event, window_ms=window_ms, interval_ms=interval_ms)


def new_token() -> str:
    """A secret that nobody guesses."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def token_hash(token: str) -> str:
    """What is kept of it. It is as long as the hash, so nobody finds it by trying."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def hook(call: Call, trigger_id: str, token: str) -> str:
    """The address at which whoever knows the token fires the trigger."""
    return f"{call.base_url}/hooks/{trigger_id}/{token}"


def now(call: Call) -> datetime:
    """Now by the clock that triggers fire by: the database server's, whatever ours says."""
    with call.services.database.read() as rows:
        return rows.fires.now()

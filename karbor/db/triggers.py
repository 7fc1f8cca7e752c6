# SPDX-License-Identifier: Apache-2.0
"""How are triggers kept?"""

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa

from karbor.db.events import Events
from karbor.db.fires import UNPLANNED, milliseconds
from karbor.db.fires import trigger as read
from karbor.db.jobs import server_ms
from karbor.db.query import Listing, capped, equal, json_substring, substring
from karbor.db.repository import Repository
from karbor.db.scheduletables import SCHEDULED_OPERATIONS, TRIGGERS
from karbor.model import errors
from karbor.model.page import Page, PageRequest
from karbor.model.trigger import Trigger

_C = TRIGGERS.c


class Triggers(Repository):
    """The triggers."""

    noun = "trigger"
    table = TRIGGERS
    LISTING = Listing(
        TRIGGERS,
        keys={"id": _C.id, "name": _C.name, "type": _C.type, "created_at": _C.created_at},
        filters={"name": substring(_C.name), "type": equal(_C.type), "properties": json_substring(_C.properties)},
    )

    def create(self, trigger: Trigger) -> Trigger:
        """Keep a new trigger; returns it with its time of creation. Raises Conflict where the id is taken."""
        trigger = replace(trigger, created_at=trigger.created_at or self._clock.now())
        self._insert(**_values(trigger), next_fire_ms=_next_ms(trigger))
        return trigger

    def get(self, id: str, *, project_id: str | None = None, lock: bool = False) -> Trigger:
        """The trigger, of any project where ``project_id`` is None. Raises NotFound.

        ``lock`` keeps it from being changed or deleted until the transaction ends.
        """
        found = self._row(id, *([_C.project_id == project_id] if project_id is not None else []), lock=lock)
        return read(found)

    def list(self, request: PageRequest) -> Page[Trigger]:
        """A page of triggers."""
        rows = self.LISTING.fetch(self._connection, request, {_C.project_id: request.project_id})
        return Page(tuple(map(read, rows)), len(rows) >= capped(request))

    def update(self, trigger: Trigger) -> Trigger:
        """Replace name, type and properties, and when it fires next; returns it with the time of the change.

        A time that has come and that no engine has taken yet stays: it was due before the change. Raises NotFound.
        """
        trigger = replace(trigger, updated_at=self._clock.now())
        fixed = ("id", "project_id", "created_at")
        changed = {name: value for name, value in _values(trigger).items() if name not in fixed}
        due = sa.and_(_C.next_fire_ms > 0, _C.next_fire_ms <= server_ms(self._connection, self._clock))
        following = sa.case((due, _C.next_fire_ms), else_=sa.literal(_next_ms(trigger), sa.BigInteger))
        if not self._update(trigger.id, **changed, next_fire_ms=following, revision=_C.revision + 1):
            raise errors.NotFound(f"The trigger {trigger.id} could not be found.")
        return trigger

    def delete(self, id: str) -> None:
        """Forget the trigger. Raises Conflict while a scheduled operation uses it, NotFound."""
        self._row(id, lock=True)
        users = sa.select(SCHEDULED_OPERATIONS.c.id).where(SCHEDULED_OPERATIONS.c.trigger_id == id).limit(1)
        if self._connection.execute(users).first():
            raise errors.Conflict(f"The trigger {id} is used by a scheduled operation.")
        self._delete(id)
        Events(self._connection, self._clock, self._changes).forget(id)

    def listening(self, project_id: str, types: Iterable[str]) -> Sequence[Trigger]:
        """Every trigger of these types in the project."""
        query = sa.select(TRIGGERS).where(_C.project_id == project_id, _C.type.in_(list(types))).order_by(_C.id)
        return [read(row) for row in self._connection.execute(query)]

    def set_token(self, id: str, token_hash: str) -> None:
        """Keep the hash of the secret of this trigger; the one before does not count any more. Raises NotFound."""
        if not self._update(id, token_hash=token_hash):
            raise errors.NotFound(f"The trigger {id} could not be found.")

    def with_token(self, id: str, token_hash: str) -> Trigger:
        """The trigger that has this secret. Raises NotFound, the same for a wrong id and a wrong secret."""
        try:
            row = self._row(id)
        except errors.NotFound:
            row = None
        if row is None or not hmac.compare_digest(str(row.token_hash or ""), token_hash):
            raise errors.NotFound("There is no webhook with this address.")
        return read(row)


def _values(trigger: Trigger) -> dict[str, Any]:
    return {name: value for name, value in asdict(trigger).items() if name != "next_fire"}


def _next_ms(trigger: Trigger) -> int:
    return milliseconds(trigger.next_fire) if trigger.next_fire else UNPLANNED  # an engine finds out

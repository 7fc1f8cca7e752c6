# SPDX-License-Identifier: Apache-2.0
"""How are triggers kept?"""

from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from karbor.db.query import Listing, capped, equal, json_substring, substring
from karbor.db.repository import Repository
from karbor.db.tables import SCHEDULED_OPERATIONS, TRIGGERS
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
        self._insert(**asdict(trigger))
        return trigger

    def get(self, id: str, *, project_id: str | None = None, lock: bool = False) -> Trigger:
        """The trigger, of any project where ``project_id`` is None. Raises NotFound.

        ``lock`` keeps it from being changed or deleted until the transaction ends.
        """
        return _trigger(self._row(id, *([_C.project_id == project_id] if project_id is not None else []), lock=lock))

    def list(self, request: PageRequest) -> Page[Trigger]:
        """A page of triggers."""
        rows = self.LISTING.fetch(self._connection, request, {_C.project_id: request.project_id})
        return Page(tuple(map(_trigger, rows)), len(rows) >= capped(request))

    def update(self, trigger: Trigger) -> Trigger:
        """Replace name, type and properties; returns it with the time of the change. Raises NotFound."""
        trigger = replace(trigger, updated_at=self._clock.now())
        changed = {name: value for name, value in asdict(trigger).items() if name not in ("id", "project_id")}
        del changed["created_at"]
        if not self._update(trigger.id, **changed):
            raise errors.NotFound(f"The trigger {trigger.id} could not be found.")
        return trigger

    def delete(self, id: str) -> None:
        """Forget the trigger. Raises Conflict while a scheduled operation uses it, NotFound."""
        self._row(id, lock=True)
        users = sa.select(SCHEDULED_OPERATIONS.c.id).where(SCHEDULED_OPERATIONS.c.trigger_id == id).limit(1)
        if self._connection.execute(users).first():
            raise errors.Conflict(f"The trigger {id} is used by a scheduled operation.")
        self._delete(id)


def _trigger(row: Row[Any]) -> Trigger:
    return Trigger(**row._mapping)

# SPDX-License-Identifier: Apache-2.0
"""How are restores kept?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from karbor.db.query import Listing, capped, equal
from karbor.db.repository import Repository
from karbor.db.tables import RESTORES
from karbor.model import errors, states
from karbor.model.page import Page, PageRequest
from karbor.model.progress import Progress
from karbor.model.restore import Restore

_C = RESTORES.c
_FIELDS = frozenset(Restore.__dataclass_fields__) - {"id", "status", "created_at", "updated_at"}


class Restores(Repository):
    """The restores."""

    noun = "restore"
    table = RESTORES
    LISTING = Listing(
        RESTORES,
        keys={"id": _C.id, "status": _C.status, "created_at": _C.created_at},
        filters={"status": equal(_C.status)},
    )

    def create(self, restore: Restore) -> Restore:
        """Keep a new restore; returns it with its time of creation. Raises Conflict where the id is taken."""
        restore = replace(restore, created_at=restore.created_at or self._clock.now())
        self._insert(**_values({name: getattr(restore, name) for name in Restore.__dataclass_fields__}))
        return restore

    def get(self, id: str, *, project_id: str | None = None) -> Restore:
        """The restore, of any project where ``project_id`` is None. Raises NotFound."""
        return _restore(self._row(id, *_scope(project_id)))

    def list(self, request: PageRequest) -> Page[Restore]:
        """A page of restores."""
        rows = self.LISTING.fetch(self._connection, request, _scope(request.project_id))
        return Page(tuple(map(_restore, rows)), len(rows) >= capped(request))

    def transition(self, id: str, new_status: str, **changes: Any) -> Restore:
        """Move to ``new_status``, and change other fields with it; returns what is kept now.

        Staying in a status is allowed. Raises Conflict where the state table has no such move, NotFound.
        """
        if strange := changes.keys() - _FIELDS:
            raise TypeError(f"not fields of a restore that may be changed so: {sorted(strange)}")
        row = self._row(id, lock=True)
        status = states.RESTORE.move(row.status, new_status)
        values = _values(changes) | {"status": status, "updated_at": self._clock.now()}
        if not self._update(id, _C.status == row.status, **values):
            raise errors.Conflict(f"The restore {id} was changed by somebody else.")
        return self.get(id)

    def set_progress(self, id: str, progress: Progress) -> None:
        """Show how far the work is. Nothing happens where the restore is gone: progress is news, not state."""
        self._update(id, progress=progress.to_dict())

    def set_resource(self, id: str, key: str, status: str, reason: str = "") -> None:
        """Note what became of one resource. An empty reason takes an earlier one away. Raises NotFound."""
        row = self._row(id, lock=True)
        reasons = {name: text for name, text in row.resources_reason.items() if name != key}
        self._update(
            id,
            resources_status=row.resources_status | {key: status},
            resources_reason=reasons | ({key: reason} if reason else {}),
            updated_at=self._clock.now(),
        )


def _scope(project_id: str | None) -> Sequence[sa.ColumnElement[bool]]:
    return [] if project_id is None else [_C.project_id == project_id]


def _values(fields: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(fields)
    if "progress" in values:
        values["progress"] = values["progress"].to_dict()
    for name in ("resources_status", "resources_reason"):
        if name in values:
            values[name] = dict(values[name])
    if "parameters" in values:
        values["parameters"] = {name: dict(options) for name, options in values["parameters"].items()}
    return values


def _restore(row: Row[Any]) -> Restore:
    values = dict(row._mapping)
    values["progress"] = Progress.from_dict(values["progress"])
    return Restore(**values)

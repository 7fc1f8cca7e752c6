# SPDX-License-Identifier: Apache-2.0
"""How is kept what is done with a checkpoint and ends at some time: a restore, a verification, an export?"""

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Row

from karbor.db.query import Listing, capped, equal
from karbor.db.repository import Repository
from karbor.model import errors
from karbor.model.export import Export
from karbor.model.page import Page, PageRequest
from karbor.model.progress import Progress
from karbor.model.restore import Restore
from karbor.model.states import StateTable
from karbor.model.verification import Verification

T = TypeVar("T", Restore, Verification, Export)
_FIXED = frozenset({"id", "status", "created_at", "updated_at"})


def listing(table: sa.Table) -> Listing:
    """What a list of runs may be sorted and filtered by."""
    column = table.c
    return Listing(
        table,
        keys={"id": column.id, "status": column.status, "created_at": column.created_at},
        filters={"status": equal(column.status), "checkpoint_id": equal(column.checkpoint_id)},
        narrow=frozenset({"checkpoint_id"}),
    )


class Runs(Repository, Generic[T]):
    """Rows of one ``kind`` of run, whose status moves along ``states``."""

    kind: type[T]
    states: StateTable
    LISTING: ClassVar[Listing]

    def create(self, run: T) -> T:
        """Keep a new one; returns it with its time of creation. Raises Conflict where the id is taken."""
        run = replace(run, created_at=run.created_at or self._clock.now())
        self._insert(**_values({field.name: getattr(run, field.name) for field in fields(run)}))
        self._tell(run, run.status)  # type: ignore[attr-defined]
        return run

    def get(self, id: str, *, project_id: str | None = None) -> T:
        """It, of any project where ``project_id`` is None. Raises NotFound."""
        return self._run(self._row(id, *([self.table.c.project_id == project_id] if project_id is not None else [])))

    def list(self, request: PageRequest) -> Page[T]:
        """A page of them."""
        rows = self.LISTING.fetch(self._connection, request, {self.table.c.project_id: request.project_id})
        return Page(tuple(map(self._run, rows)), len(rows) >= capped(request))

    def transition(self, id: str, new_status: str, **changes: Any) -> T:
        """Move to ``new_status``, and change other fields with it; returns what is kept now.

        Staying in a status is allowed. Raises Conflict where the state table has no such move, NotFound.
        """
        known = {field.name for field in fields(self.kind)} - _FIXED
        if strange := changes.keys() - known:
            raise TypeError(f"not fields of a {self.noun} that may be changed so: {sorted(strange)}")
        row = self._row(id, lock=True)
        status = self.states.move(row.status, new_status)
        values = _values(changes) | {"status": status, "updated_at": self._clock.now()}
        if not self._update(id, self.table.c.status == row.status, **values):
            raise errors.Conflict(f"The {self.noun} {id} was changed by somebody else.")
        found = self.get(id)
        self._tell(found, status, before=row.status)
        return found

    def set_progress(self, id: str, progress: Progress) -> None:
        """Show how far the work is. Nothing happens where the row is gone: progress is news, not state."""
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

    def purge(self, before: datetime, limit: int) -> int:
        """Remove at most ``limit`` that have ended and were begun before this moment; returns how many."""
        column = self.table.c
        ended = [state for state, after in self.states.moves.items() if not after]
        old = sa.select(column.id).where(column.status.in_(ended), column.created_at < before).limit(limit)
        return self._remove(self._connection.execute(old).scalars().all())

    def _run(self, row: Row[Any]) -> T:
        values = dict(row._mapping)
        if "progress" in values:
            values["progress"] = Progress.from_dict(values["progress"])
        return self.kind(**values)


def _values(given: Mapping[str, Any]) -> dict[str, Any]:
    """Columns from fields: plain JSON for everything that is a mapping or a value of ours."""
    values = dict(given)
    if "progress" in values:
        values["progress"] = values["progress"].to_dict()
    for name in ("resources_status", "resources_reason", "report"):
        if values.get(name) is not None:
            values[name] = dict(values[name])
    if "streams" in values:
        values["streams"] = [dict(stream) for stream in values["streams"]]
    if "parameters" in values:
        values["parameters"] = {name: dict(options) for name, options in values["parameters"].items()}
    return values

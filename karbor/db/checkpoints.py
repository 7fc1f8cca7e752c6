# SPDX-License-Identifier: Apache-2.0
"""How is the catalog of checkpoints kept?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from karbor.db import summaries, usage
from karbor.db.query import Listing, capped, day_from, day_until, equal
from karbor.db.repository import Repository
from karbor.db.tables import CHECKPOINT_RESOURCES, CHECKPOINTS
from karbor.model import errors, states
from karbor.model.checkpoint import Checkpoint, Reason, SavedResource, Sizes
from karbor.model.page import Page, PageRequest
from karbor.model.progress import Progress
from karbor.model.retention import Point

_C = CHECKPOINTS.c
_R = CHECKPOINT_RESOURCES.c
_NAMES = tuple(column.name for column in CHECKPOINTS.c)
_FIELDS = frozenset(Checkpoint.__dataclass_fields__) - {
    *("id", "status", "created_at", "updated_at"),
    *("project_id", "plan_id", "source_id"),  # the counters go by them
}


class Checkpoints(Repository):
    """The checkpoints and what was saved of each resource. A deleted checkpoint stays as a tombstone.

    Each counts for its project (see Quotas) until it is deleted, and for its plan (see Plans.summaries).
    """

    noun = "checkpoint"
    table = CHECKPOINTS
    LISTING = Listing(
        CHECKPOINTS,
        keys={"id": _C.id, "status": _C.status, "created_at": _C.created_at},
        filters={
            "plan_id": equal(_C.plan_id),
            "provider_id": equal(_C.provider_id),
            "status": equal(_C.status),
            "start_date": day_from(_C.created_at),
            "end_date": day_until(_C.created_at),
        },
        narrow=frozenset({"plan_id"}),
    )

    def create(self, checkpoint: Checkpoint) -> Checkpoint:
        """Keep a new checkpoint; returns it with its time of creation. Raises Conflict where the id is taken."""
        checkpoint = replace(checkpoint, created_at=checkpoint.created_at or self._clock.now())
        self._insert(**_values({name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__}))
        self._count(checkpoint.id, before=None)
        self._tell(checkpoint, checkpoint.status)
        return checkpoint

    def get(
        self, id: str, *, project_id: str | None = None, provider_id: str | None = None, lock: bool = False
    ) -> Checkpoint:
        """The checkpoint, also when it is a tombstone. Raises NotFound, also for another project or provider.

        ``lock`` keeps it from being changed until the transaction ends.
        """
        return _checkpoint(self._row(id, *_scope(project_id, provider_id), lock=lock))

    def list(self, request: PageRequest, *, provider_id: str | None = None) -> Page[Checkpoint]:
        """A page of checkpoints, of all providers where none is named; tombstones only where the status filter asks."""
        by_time = not request.sort or request.sort[0][0] == "created_at"
        # The indexes by time begin with the mark of tombstones; those of the other orders pass over a tombstone.
        live = _C.deleted == 0 if by_time else _C.status != "deleted"
        hidden = [] if "status" in request.filters else [live]
        scope = {_C.project_id: request.project_id, _C.provider_id: provider_id}
        rows = self.LISTING.fetch(self._connection, request, scope, hidden=hidden)
        return Page(tuple(map(_checkpoint, rows)), len(rows) >= capped(request))

    def transition(self, id: str, new_status: str, **changes: Any) -> Checkpoint:
        """Move to ``new_status``, and change other fields with it; returns what is kept now.

        Staying in a status is allowed. Raises Conflict where the state table has no such move, NotFound.
        """
        row = self._row(id, lock=True)
        status = states.CHECKPOINT.move(row.status, new_status)
        values = _values({**_known(changes), "status": status}) | {"updated_at": self._clock.now()}
        if not self._update(id, _C.status == row.status, **values):
            raise errors.Conflict(f"The checkpoint {id} was changed by somebody else.")
        self._count(id, before=row)
        found = self.get(id)
        self._tell(found, status, before=row.status)
        return found

    def update(self, id: str, **changes: Any) -> None:
        """Change fields other than the status. Raises NotFound."""
        values = _values(_known(changes))
        row = self._row(id, lock=True)
        self._update(id, **values, updated_at=self._clock.now())
        if "sizes" in changes:
            self._count(id, before=row)

    def _count(self, id: str, *, before: Row[Any] | None) -> None:
        """Bring the counters of the project and of the plan in step with a row that was made or changed just now."""
        row = self._row(id)
        new, old = _weight(row), (0, 0, 0) if before is None else _weight(before)
        checkpoints, logical, stored = (one - other for one, other in zip(new, old, strict=True))
        amounts = {"checkpoints": checkpoints, "logical_bytes": logical, "stored_bytes": stored}
        usage.add(self._connection, row.project_id, **amounts)
        if before is None or before.status != row.status:
            summaries.note(self._connection, row, before=None if before is None else before.status)

    def purge(self, before: datetime, limit: int) -> int:
        """Remove at most ``limit`` tombstones that were deleted before this moment; returns how many."""
        old = sa.select(_C.id).where(_C.deleted == 1, _C.updated_at < before).order_by(_C.updated_at).limit(limit)
        ids = self._connection.execute(old).scalars().all()
        return self._remove(ids)  # a tombstone stays one

    def set_progress(self, id: str, progress: Progress) -> None:
        """Show how far the work is. Nothing happens where the checkpoint is gone: progress is news, not state."""
        self._update(id, progress=progress.to_dict())

    def save_resources(self, id: str, saved: Sequence[SavedResource]) -> None:
        """Replace what is known to be saved in this checkpoint. Raises NotFound."""
        self._row(id, lock=True)
        self._connection.execute(sa.delete(CHECKPOINT_RESOURCES).where(_R.checkpoint_id == id))
        rows = [
            {"checkpoint_id": id, "position": place, "resource_key": entry.key, "saved": entry.to_dict()}
            for place, entry in enumerate(saved)
        ]
        if rows:
            self._connection.execute(sa.insert(CHECKPOINT_RESOURCES), rows)

    def resources(self, id: str) -> tuple[SavedResource, ...]:
        """What was saved in this checkpoint, in the order it was given."""
        query = sa.select(_R.saved).where(_R.checkpoint_id == id).order_by(_R.position)
        return tuple(SavedResource.from_dict(entry) for entry in self._connection.execute(query).scalars())

    def earlier(
        self, *, project_id: str, provider_id: str, key: str, limit: int = 5, copies: bool = False
    ) -> Sequence[tuple[str, SavedResource]]:
        """The newest available checkpoints that hold this resource, newest first: (checkpoint id, what was saved).

        With ``copies`` also those that were copied to this provider.
        """
        origin = [] if copies else [_C.source_id.is_(None)]
        query = (
            sa.select(_C.id, _R.saved)
            .join_from(CHECKPOINT_RESOURCES, CHECKPOINTS, _R.checkpoint_id == _C.id)
            .where(_R.resource_key == key, _C.status == "available", *_scope(project_id, provider_id), *origin)
            .order_by(_C.created_at.desc(), _C.id.desc())
            .limit(limit)
        )
        return [(id, SavedResource.from_dict(entry)) for id, entry in self._connection.execute(query)]

    def history(self, *, plan_id: str, provider_id: str, project_id: str) -> Sequence[tuple[Point, Mapping[str, Any]]]:
        """Every checkpoint of a plan at a provider, as a policy of retention looks at it, with its extra info. Nothing
        heavy is read. ``own`` says only that it is no copy."""
        columns = (_C.id, _C.created_at, _C.status, _C.held, _C.verified_level, _C.locked_until, _C.source_id)
        query = (
            sa.select(*columns, _C.extra_info)
            .where(_C.plan_id == plan_id, _C.deleted == 0, *_scope(project_id, provider_id))
            .order_by(_C.created_at, _C.id)
        )
        return [
            (Point(id, at, status, copy is None, bool(held), level, until, copy is not None), notes)
            for id, at, status, held, level, until, copy, notes in self._connection.execute(query)
        ]

    def uncopied(
        self, *, project_id: str, provider_id: str, plan_id: str, to: str, limit: int, only: str | None = None
    ) -> Sequence[Checkpoint]:
        """The available checkpoints of a plan at one provider that have no copy, done or under way, at the provider
        ``to``; oldest first. ``only`` asks for one of them."""
        there = sa.select(_C.source_id).where(
            _C.plan_id == plan_id,
            _C.provider_id == to,
            _C.source_id.is_not(None),
            _C.status.in_(["wait_copying", "copying", "available"]),
        )
        query = (
            sa.select(CHECKPOINTS)
            .where(_C.plan_id == plan_id, _C.status == "available", *_scope(project_id, provider_id))
            .where(_C.id.not_in(there), *([] if only is None else [_C.id == only]))
            .order_by(_C.created_at, _C.id)
            .limit(limit)
        )
        return [_checkpoint(row) for row in self._connection.execute(query)]


def _scope(project_id: str | None, provider_id: str | None) -> Sequence[sa.ColumnElement[bool]]:
    wanted = ((_C.project_id, project_id), (_C.provider_id, provider_id))
    return [column == value for column, value in wanted if value is not None]


def _known(changes: Mapping[str, Any]) -> Mapping[str, Any]:
    if strange := changes.keys() - _FIELDS:
        raise TypeError(f"not fields of a checkpoint that may be changed so: {sorted(strange)}")
    return changes


def _weight(row: Row[Any]) -> tuple[int, int, int]:
    """What the row counts for: one checkpoint, its logical and its stored bytes; nothing when it is a tombstone."""
    return (0, 0, 0) if row.deleted else (1, row.size_logical, row.size_stored)


def _values(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Columns from fields: the sizes are three columns, so that they can be summed."""
    values = dict(fields)
    if "status" in values:
        values["deleted"] = int(values["status"] == "deleted")
    if "held" in values:
        values["held"] = int(values["held"])
    if "sizes" in values:
        sizes = values.pop("sizes")
        values |= {"size_logical": sizes.logical, "size_read": sizes.read, "size_stored": sizes.stored}
    for name in ("progress", "reason"):
        if values.get(name) is not None:
            values[name] = values[name].to_dict()
    for name in ("plan", "graph", "extra_info", "chosen"):
        if values.get(name) is not None:
            values[name] = dict(values[name])
    if "cost" in values:
        values["cost"] = [dict(use) for use in values["cost"] or ()] or None
    return values


def _checkpoint(row: Row[Any]) -> Checkpoint:
    values = dict(zip(_NAMES, row, strict=True))  # a third of the time of row._mapping, and lists are long
    del values["deleted"]
    values["sizes"] = Sizes(*(values.pop(f"size_{name}") for name in ("logical", "read", "stored")))
    values["held"] = bool(values["held"])
    values["progress"] = Progress.from_dict(values["progress"])
    values["reason"] = Reason(**values["reason"]) if values["reason"] else None
    return Checkpoint(**values)

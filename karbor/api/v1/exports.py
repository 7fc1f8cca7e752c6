# SPDX-License-Identifier: Apache-2.0
"""Exports: how is a checkpoint offered as disks for a while, without a restore?"""

import logging
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from karbor.api import paging, repeats, work
from karbor.api.call import Call
from karbor.api.node import Item, Node
from karbor.api.operation import Answer, operation
from karbor.api.v1 import views
from karbor.db.database import Transaction
from karbor.model import errors
from karbor.model.checkpoint import Checkpoint
from karbor.model.export import OPEN
from karbor.model.export import Export as Value
from karbor.model.service import WORKER
from karbor.schema.nouns.export import EXPORT
from karbor.schema.query import ListQuery
from karbor.schema.types import UUID

LOG = logging.getLogger(__name__)
#: Who may offer a checkpoint: whoever reads it sees everything in it.
CREATE = "provider:checkpoint_export"
DEFAULT_SECONDS = 3600
QUERY = ListQuery(
    filters={
        "status": "Only exports in this status.",
        "checkpoint_id": "Only exports of this checkpoint.",
    },
    sort=("id", "status", "created_at"),
    offset=True,
    tenants=True,
)


class Export(Node):
    """``/exports/{id}``"""

    @operation("export:get", response=EXPORT.show, errors=(400, 404))
    def get(self, call: Call) -> Answer:
        """Show an export, with the addresses under which its disks can be read."""
        with call.services.database.read() as rows:
            found = rows.exports.get(call.path["export_id"], project_id=call.scope)
        call.allow(project_id=found.project_id)
        return _shown(call, found)

    @operation("export:close", role="member", response=EXPORT.show, status=202, errors=(400, 404))
    def delete(self, call: Call) -> Answer:
        """Close an export.

        It is `closing` until its worker has ended it: then nobody reads any more. May be asked for again.
        """

        def close(rows: Transaction) -> Value:
            found = rows.exports.get(call.path["export_id"], project_id=call.scope)
            call.allow(project_id=found.project_id)
            if found.status not in OPEN:
                return found
            if found.host is None:  # nobody has begun it
                return rows.exports.transition(found.id, "closed", finished_at=call.services.clock.now())
            return rows.exports.transition(found.id, "closing")

        found = call.services.database.retrying(close)
        work.wake(call, found.id)
        _log(call, "called off", found)
        return _shown(call, found)


class Exports(Node):
    """``/exports``"""

    item = Item("export_id", UUID, Export)

    @operation("export:get_all", response=EXPORT.list, query=QUERY, errors=(400,))
    def get(self, call: Call) -> Answer:
        """List exports, also those that have ended."""
        with call.services.database.read() as rows:
            page = rows.exports.list(call.page)
        return paging.listing(call, "exports", [views.export(found, call) for found in page.items], full=page.full)


def begin(call: Call, locked: Callable[[Transaction], Checkpoint]) -> Answer:
    """Offer a checkpoint, which ``locked`` finds, and keeps from being deleted until the transaction ends."""
    call.require(CREATE, project_id=call.project_id)
    call.services.work_rate.take(call.project_id)
    id = str(uuid.uuid4())
    made: list[Value] = []

    def make(rows: Transaction) -> repeats.Made:
        checkpoint = locked(rows)
        call.require(CREATE, project_id=checkpoint.project_id)
        made[:] = [_create(rows, call, checkpoint, id)]
        return _shown(call, made[0]), ()

    answer, _jobs = repeats.once(call, make)
    for export in made:
        work.wake(call, export.id)
        _log(call, "asked for", export)
    return answer


def require_unread(rows: Transaction, checkpoint: Checkpoint) -> None:
    """Raise Conflict while somebody may read the checkpoint."""
    found = rows.exports.open_of(checkpoint_id=checkpoint.id)
    if found:
        raise errors.Conflict(
            f"The checkpoint {checkpoint.id} is exported ({found[0].id}).", next_action="close its exports first"
        )


def _create(rows: Transaction, call: Call, checkpoint: Checkpoint, id: str) -> Value:
    conf, wish = call.services.conf.export, call.body["export"]
    if checkpoint.status != "available":
        raise errors.Conflict(f"The checkpoint is {checkpoint.status}; only an available one can be exported.")
    provider = rows.providers.get(checkpoint.provider_id)
    if not provider.available:
        raise errors.Unavailable(f"The provider {provider.name} is not available: {provider.reason}")
    seconds = int(wish.get("seconds", DEFAULT_SECONDS))  # 60.0 is whole, too
    if seconds > conf.max_seconds:
        raise errors.InvalidInput(f"An export may last {conf.max_seconds} seconds at most.")
    _check_streams(rows, checkpoint, wish.get("resource"), wish.get("stream"))
    _check_host(rows, call, wish.get("host"))
    if rows.exports.count_open(checkpoint.project_id) >= conf.per_project:
        raise errors.TooLarge(
            f"The project may have {conf.per_project} exports at a time, and has them.",
            next_action="close one that is not needed any more",
        )
    return rows.exports.create(
        Value(
            id=id,
            project_id=checkpoint.project_id,
            provider_id=checkpoint.provider_id,
            checkpoint_id=checkpoint.id,
            expires_at=call.services.clock.now() + timedelta(seconds=seconds),
            resource=wish.get("resource"),
            stream=wish.get("stream"),
            host=wish.get("host"),
        )
    )


def _check_streams(rows: Transaction, checkpoint: Checkpoint, resource: str | None, stream: str | None) -> None:
    there = [(saved.key, name) for saved in rows.checkpoints.resources(checkpoint.id) for name in saved.streams]
    if not there:
        raise errors.Conflict("The checkpoint has no streams, so nothing of it can be exported.")
    if not any(resource in (None, key) and stream in (None, name) for key, name in there):
        shown = ", ".join(f"{key} ({name})" for key, name in there[:20]) or "none"
        raise errors.InvalidInput(f"The checkpoint has no such stream; it has: {shown}.")


def _check_host(rows: Transaction, call: Call, host: str | None) -> None:
    """Raises InvalidInput for a host without a worker that lives: nobody would ever begin."""
    now, down_after = call.services.clock.now(), call.services.conf.service_down_time
    if host is not None and not any(
        entry.is_up(now, down_after=down_after) for entry in rows.services.list(host=host, binary=WORKER)
    ):
        raise errors.InvalidInput(f"No worker lives on the host {host}.")


def _shown(call: Call, export: Value) -> dict[str, Any]:
    return {"export": views.export(export, call)}


def _log(call: Call, what: str, export: Value) -> None:
    """Whoever reads a checkpoint sees everything in it: that is worth a line."""
    LOG.info(
        "export %s export=%s checkpoint=%s project=%s user=%s request=%s",
        what,
        export.id,
        export.checkpoint_id,
        export.project_id,
        call.context.user_id,
        call.context.request_id,
    )

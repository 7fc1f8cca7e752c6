# SPDX-License-Identifier: Apache-2.0
"""Restores: how is a checkpoint brought back?"""

import uuid
from collections.abc import Iterable

from karbor.api import cancel as cancelling
from karbor.api import paging, parameters, repeats, sealing, targets, work
from karbor.api.call import Call, canonical
from karbor.api.node import Item, Node
from karbor.api.operation import Answer, operation
from karbor.api.v1 import views
from karbor.clients.sealedlogins import DRY_RUN
from karbor.db.database import Transaction
from karbor.model import errors
from karbor.model.checkpoint import Checkpoint
from karbor.model.graph import ResourceGraph
from karbor.model.operation import Job
from karbor.model.restore import Restore as Value
from karbor.schema.nouns.action import CANCEL
from karbor.schema.nouns.restore import ANSWER, RESTORE
from karbor.schema.query import ListQuery
from karbor.schema.types import UUID

QUERY = ListQuery(
    filters={"status": "Only restores in this status."},
    sort=("id", "status", "created_at"),
    offset=True,
    tenants=True,
)


class RestoreAction(Node):
    """``/restores/{id}/action``"""

    @operation("restore:cancel", role="member", body=CANCEL, response=RESTORE.show, status=202, errors=(400, 404, 409))
    def post(self, call: Call) -> Answer:
        """Cancel a restore.

        What was begun is undone, then the restore is `fail` and says that it was cancelled. One that no worker has
        begun is so at once. Refused where nothing is running.
        """

        def cancel(rows: Transaction) -> Value:
            restore = rows.restores.get(call.path["restore_id"], project_id=call.scope)
            call.allow(project_id=restore.project_id)
            cancelling.cancel(rows, call, rows.jobs.live_for(restore_id=restore.id), what=f"restore {restore.id}")
            return rows.restores.get(restore.id)

        return {"restore": views.restore(call.services.database.retrying(cancel), call)}


class Restore(Node):
    """``/restores/{id}``"""

    below = {"action": RestoreAction}

    @operation("restore:get", response=RESTORE.show, errors=(400, 404))
    def get(self, call: Call) -> Answer:
        """Show a restore, with its progress."""
        with call.services.database.read() as rows:
            restore = rows.restores.get(call.path["restore_id"], project_id=call.scope)
        call.allow(project_id=restore.project_id)
        return {"restore": views.restore(restore, call)}


class Restores(Node):
    """``/restores``"""

    item = Item("restore_id", UUID, Restore)

    @operation("restore:get_all", response=RESTORE.list, query=QUERY, errors=(400,))
    def get(self, call: Call) -> Answer:
        """List restores."""
        with call.services.database.read() as rows:
            page = rows.restores.list(call.page)
        return paging.listing(
            call, "restores", [views.restore(restore, call) for restore in page.items], full=page.full
        )

    @operation(
        "restore:create",
        role="member",
        body=RESTORE.create,
        response=ANSWER,
        errors=(400, 404, 409, 413, 503),
        repeatable=True,
        begins_work=True,
    )
    def post(self, call: Call) -> Answer:
        """Bring a checkpoint back, or ask what that would do.

        Everything that can be known to be wrong is refused here; the restore that is answered has begun. With
        `dry_run` nothing is begun: the workers tell what would be created, replaced and kept, and what is in the way.
        """
        given = parameters.without_nulls(call.body.get("parameters"))
        if call.body.get("dry_run"):
            return _plan(call, given)
        ids = str(uuid.uuid4()), str(uuid.uuid4())

        def create(rows: Transaction) -> repeats.Made:
            checkpoint = _restorable(rows, call, given, lock=True)
            restore = rows.restores.create(
                Value(
                    id=ids[0],
                    project_id=checkpoint.project_id,
                    provider_id=checkpoint.provider_id,
                    checkpoint_id=checkpoint.id,
                    parameters=sealing.sealed(call, given, ids[0]),
                    restore_target=passage.target,
                )
            )
            passage.keep(rows, restore.id)
            job = Job(
                id=ids[1],
                operation="restore",
                project_id=restore.project_id,
                provider_id=restore.provider_id,
                checkpoint_id=checkpoint.id,
                restore_id=restore.id,
                request_id=call.context.request_id,
            )
            booked = work.book(
                rows, call, job, status=restore.status, plan_id=checkpoint.plan_id, permission=passage.permission
            )
            return {"restore": views.restore(restore, call)}, (booked,)

        if targets.is_elsewhere(call):
            with call.services.database.read() as rows:
                _restorable(rows, call, given)  # before anybody logs in anywhere
        with targets.for_restore(call) as passage:
            return work.send_made(call, repeats.once(call, create))


def _restorable(rows: Transaction, call: Call, given: parameters.Parameters, *, lock: bool = False) -> Checkpoint:
    """The checkpoint of the request, where everything about it and the options is right. Raises what is not.

    ``lock`` keeps it from being deleted until the transaction ends.
    """
    provider = rows.providers.get(canonical(call.body["provider_id"]))
    checkpoint = rows.checkpoints.get(
        canonical(call.body["checkpoint_id"]), project_id=call.project_id, provider_id=provider.id, lock=lock
    )
    call.allow(project_id=checkpoint.project_id)
    if checkpoint.status != "available":
        raise errors.Conflict(f"The checkpoint is {checkpoint.status}; only an available one can be restored.")
    parameters.check(given, provider.schemas.get("restore_schema") or {}, resources=resources_of(checkpoint))
    if not provider.available:
        raise errors.Unavailable(f"The provider {provider.name} is not available: {provider.reason}")
    return checkpoint


def _plan(call: Call, given: parameters.Parameters) -> Answer:
    with call.services.database.read() as rows:
        checkpoint = _restorable(rows, call, given)
    with targets.for_dry_run(call) as target:
        found = call.services.protection.plan_restore(
            project_id=checkpoint.project_id,
            provider_id=checkpoint.provider_id,
            checkpoint_id=checkpoint.id,
            parameters=sealing.sealed(call, given, DRY_RUN),
            target=target,
        )
    return {"restore_plan": {"checkpoint_id": checkpoint.id, "provider_id": checkpoint.provider_id, **found}}


def resources_of(checkpoint: Checkpoint) -> Iterable[tuple[str, str]]:
    """Type and id of everything in the checkpoint."""
    if checkpoint.graph is None:
        return [(entry["type"], entry["id"]) for entry in checkpoint.plan["resources"]]
    return [(node.key.type, node.key.id) for node in ResourceGraph.from_dict(checkpoint.graph)]

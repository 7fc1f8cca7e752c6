# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: how is one asked for, looked at and removed?"""

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from karbor.api import cancel as cancelling
from karbor.api import paging, repeats, trusts, work
from karbor.api.call import Call, canonical
from karbor.api.node import Item, Node
from karbor.api.operation import Answer, operation
from karbor.api.v1 import checkpoint_states as states
from karbor.api.v1 import exports, locks, views
from karbor.api.v1.copies import CheckpointsAction
from karbor.api.v1.files import Files
from karbor.conf import quota
from karbor.db.database import Transaction
from karbor.model import errors
from karbor.model.checkpoint import Checkpoint as Value
from karbor.model.lock import ACTIONS as ACTIONS_OF_LOCKS
from karbor.model.operation import Job
from karbor.model.page import Page, PageRequest
from karbor.model.plan import Plan
from karbor.model.provider import ProviderInfo
from karbor.schema.nouns.action import CHECKPOINT as ACTIONS
from karbor.schema.nouns.action import RESET
from karbor.schema.nouns.checkpoint import ANSWER, CHECKPOINT, CREATE
from karbor.schema.nouns.export import EXPORT
from karbor.schema.query import ListQuery
from karbor.schema.types import ANY_OBJECT, UUID

LOG = logging.getLogger(__name__)
QUERY = ListQuery(
    filters={
        "plan_id": "Only checkpoints of this plan.",
        "status": "Only checkpoints in this status.",
        "start_date": "Only checkpoints from this day on (YYYY-MM-DD).",
        "end_date": "Only checkpoints until this day (YYYY-MM-DD), the day included.",
    },
    sort=("id", "status", "created_at"),
    tenants=True,
    project_alone=True,
)
QUERY_ALL = replace(QUERY, filters={"provider_id": "Only checkpoints of this provider.", **QUERY.filters})
#: Keys of extra_info that the service sets itself.
OWN_KEYS = ("created_by", "trigger_id", "scheduled_operation_id", "scheduled_run_id", "scheduled_run_fence")
#: Operations that make a checkpoint; others only use it.
MAKING = ("protect", "copy")
#: Who may end the making of a checkpoint.
CANCEL = "provider:checkpoint_cancel"


class CheckpointAction(Node):
    """``/providers/{id}/checkpoints/{id}/action``"""

    @operation(
        "provider:checkpoint_action",
        role="member",
        body=ACTIONS,
        response={"anyOf": [CHECKPOINT.show, EXPORT.show]},
        status=202,
        errors=(400, 404, 409, 413, 503),
        repeatable=True,
        more_rules=(
            (CANCEL, "member", "Cancel the making of a checkpoint"),
            (exports.CREATE, "member", "Offer a checkpoint as disks"),
            *locks.RULES,
        ),
    )
    def post(self, call: Call) -> Answer:
        """Do something with a checkpoint: one of `cancel`, `export`, `lock`, `unlock`, `hold` and `release`.

        `cancel`: its making is ended. What was begun is undone, then the checkpoint is in `error` and says that it was
        cancelled. One that no worker has begun is so at once. Refused where nothing is running; a restore or a
        verification of the checkpoint is cancelled under its own address.

        `export`: its streams are offered read-only over NBD, by a process of their own on a worker's host, for a
        while. The answer is an `export`, which can be read once it is `active`.

        `lock`: it cannot be deleted before the moment `until`. A lock of mode `governance` can be made shorter, and be
        lifted by `unlock`, by those whom the policy allows to; one of mode `compliance` only longer, by nobody shorter.
        `hold`: it cannot be deleted until `release`. The answer comes before the bank knows of it: the fields of the
        checkpoint show what the bank knows. Until then, too, it cannot be deleted.
        """
        (wish,) = call.body
        return _ACTIONS[wish](call)


def _cancel(call: Call) -> Answer:
    call.require(CANCEL, project_id=call.project_id)

    def cancel(rows: Transaction) -> repeats.Made:
        checkpoint = _get(rows, call, lock=True)
        call.require(CANCEL, project_id=checkpoint.project_id)
        jobs = [job for job in rows.jobs.live_for(checkpoint_id=checkpoint.id) if job.operation in MAKING]
        cancelling.cancel(rows, call, jobs, what=f"checkpoint {checkpoint.id}")
        return _shown(call, rows.checkpoints.get(checkpoint.id)), ()

    answer, _jobs = repeats.once(call, cancel)
    return answer


def _export(call: Call) -> Answer:
    return exports.begin(call, lambda rows: _get(rows, call, lock=True))


#: What each action does.
_ACTIONS: Mapping[str, Callable[[Call], Answer]] = {
    "cancel": _cancel,
    "export": _export,
    **dict.fromkeys(ACTIONS_OF_LOCKS, lambda call: locks.begin(call, lambda rows: _get(rows, call, lock=True))),
}


class Checkpoint(Node):
    """``/providers/{id}/checkpoints/{id}``"""

    below = {"action": CheckpointAction, "files": Files}

    @operation("provider:checkpoint_get", response=CHECKPOINT.show, errors=(400, 404))
    def get(self, call: Call) -> Answer:
        """Show a checkpoint, with its progress while it is being made and what was saved of each resource after it."""
        with call.services.database.read() as rows:
            checkpoint = _get(rows, call)
            call.allow(project_id=checkpoint.project_id)
            provider = rows.providers.get(checkpoint.provider_id)
            resources = views.saved(checkpoint, provider, rows.checkpoints.resources(checkpoint.id))
        return _shown(call, checkpoint, resources)

    @operation(
        "provider:checkpoint_update",
        role="member",
        body=RESET,
        response=ANY_OBJECT,
        errors=(400, 404),
        more_rules=((states.RESET_AVAILABLE, "admin", "Say that a checkpoint is available"),),
    )
    def put(self, call: Call) -> Answer:
        """Set the state of a checkpoint that nothing works on.

        Its owner may say `error`, which makes it possible to delete it. Only an administrator may say `available`, and
        only of one that was complete once.
        """

        def reset(rows: Transaction) -> tuple[str, Value]:
            checkpoint = _get(rows, call, lock=True)
            call.allow(project_id=checkpoint.project_id)
            try:
                return checkpoint.status, states.reset(rows, call, checkpoint, call.body["state"])
            except errors.Conflict as fault:
                # The published clients take several ids, and go on with the next one after a 400 only.
                raise errors.InvalidInput(fault.message, next_action=fault.next_action) from fault

        before, after = call.services.database.retrying(reset)
        LOG.info(
            "checkpoint reset checkpoint=%s from=%s to=%s project=%s user=%s request=%s",
            after.id,
            before,
            after.status,
            after.project_id,
            call.context.user_id,
            call.context.request_id,
        )
        return {}

    @operation("provider:checkpoint_delete", role="member", response=ANY_OBJECT, errors=(400, 404, 409))
    def delete(self, call: Call) -> Answer:
        """Delete a checkpoint.

        The answer comes before the data is gone: the checkpoint is `deleting` first. Refused while an operation works
        on it, and while it is locked or held.
        """
        job_id = str(uuid.uuid4())

        def delete(rows: Transaction) -> Job:
            checkpoint = _get(rows, call, lock=True)
            call.allow(project_id=checkpoint.project_id)
            states.require_unlocked(call, checkpoint)
            states.require_idle(rows, checkpoint, wish="deleted")
            exports.require_unread(rows, checkpoint)
            rows.checkpoints.transition(checkpoint.id, "deleting", reason=None)
            job = Job(
                id=job_id,
                operation="delete",
                project_id=checkpoint.project_id,
                provider_id=checkpoint.provider_id,
                checkpoint_id=checkpoint.id,
                request_id=call.context.request_id,
                payload={"was": checkpoint.status},
            )
            return work.book(rows, call, job, status="deleting", plan_id=checkpoint.plan_id, permission=permission)

        with call.services.database.read() as rows:
            owner = _get(rows, call).project_id
        with trusts.for_work(call, call.path["provider_id"], project_id=owner) as permission:
            work.send(call, call.services.database.retrying(delete))
        return {}


def _get(rows: Transaction, call: Call, *, lock: bool = False) -> Value:
    provider = rows.providers.get(call.path["provider_id"])
    return rows.checkpoints.get(call.path["checkpoint_id"], project_id=call.scope, provider_id=provider.id, lock=lock)


def _shown(call: Call, checkpoint: Value, resources: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    return {"checkpoint": views.checkpoint(checkpoint, call, resources)}


class Checkpoints(Node):
    """``/providers/{id}/checkpoints``"""

    below = {"action": CheckpointsAction}
    item = Item("checkpoint_id", UUID, Checkpoint)

    @operation("provider:checkpoint_get_all", response=CHECKPOINT.list, query=QUERY, errors=(400, 404, 503))
    def get(self, call: Call) -> Answer:
        """List the checkpoints of a provider."""
        with call.services.database.read() as rows:
            provider = rows.providers.get(call.path["provider_id"])
            page = rows.checkpoints.list(call.page, provider_id=provider.id)
            if not page.items and not provider.available:
                known = rows.checkpoints.list(PageRequest(limit=1, project_id=call.scope), provider_id=provider.id)
                if not known.items:  # an empty list would say that there is nothing, and nobody knows that
                    raise _unavailable(provider)
        return _listed(call, page)

    @operation(
        "provider:checkpoint_create",
        role="member",
        body=CREATE,
        response=ANSWER,
        errors=(400, 404, 413, 503),
        repeatable=True,
        begins_work=True,
    )
    def post(self, call: Call) -> Answer:
        """Run a plan now: make a checkpoint, or ask what that would do.

        The answer comes before the work begins: the checkpoint is `protecting` first. With `dry_run` nothing is begun:
        the workers tell what the plan leads to now, and what that would use of the quotas of the project.
        """
        plan_id = canonical(call.body["plan_id"])
        if call.body.get("dry_run"):
            return _plan(call, plan_id)
        ids = str(uuid.uuid4()), str(uuid.uuid4())

        def create(rows: Transaction) -> repeats.Made:
            plan, provider = _runnable(rows, call, plan_id)
            _require_room(rows, call, plan.project_id)
            notes = _notes(rows, plan, call.body)
            checkpoint = rows.checkpoints.create(
                Value(
                    id=ids[0],
                    project_id=plan.project_id,
                    provider_id=provider.id,
                    plan_id=plan.id,
                    plan=plan.snapshot(),
                    extra_info=notes,
                )
            )
            job = Job(
                id=ids[1],
                operation="protect",
                project_id=plan.project_id,
                provider_id=provider.id,
                checkpoint_id=checkpoint.id,
                request_id=call.context.request_id,
            )
            asking = notes.get("scheduled_operation_id")
            _attach(rows, call.body, checkpoint, asking)
            booked = work.book(
                rows,
                call,
                job,
                status=checkpoint.status,
                plan_id=plan.id,
                scheduled_operation_id=asking,
                permission=permission,
            )
            return _shown(call, checkpoint), (booked,)

        with trusts.for_work(call, call.path["provider_id"]) as permission:
            return work.send_made(call, repeats.once(call, create))


def _runnable(rows: Transaction, call: Call, plan_id: str) -> tuple[Plan, ProviderInfo]:
    """The plan of the request and its provider, where it can be run. Raises what is against it."""
    provider = rows.providers.get(call.path["provider_id"])
    plan = rows.plans.get(plan_id, project_id=call.project_id)
    call.allow(project_id=plan.project_id)
    _check_runnable(plan, provider)
    return plan, provider


def _plan(call: Call, plan_id: str) -> Answer:
    with call.services.database.read() as rows:
        plan, provider = _runnable(rows, call, plan_id)
    found = call.services.protection.plan_protect(
        project_id=plan.project_id, provider_id=provider.id, plan=plan.snapshot()
    )
    return {"checkpoint_plan": {"plan_id": plan.id, "provider_id": provider.id, **found}}


def _attach(rows: Transaction, body: Mapping[str, Any], checkpoint: Value, operation_id: str | None) -> None:
    """Where an engine says for which run it asks, the run learns of the checkpoint in the same transaction.

    Raises Conflict where that engine lost the run, or has ended it: then nothing may begin.
    """
    given = {**(body.get("extra_info") or {}), **(body.get("extra-info") or {})}
    run_id, fence = given.get("scheduled_run_id"), given.get("scheduled_run_fence")
    if operation_id is not None and isinstance(run_id, str) and isinstance(fence, int):
        rows.scheduled_runs.attach(run_id, fence=fence, operation_id=operation_id, checkpoint_id=checkpoint.id)


def _listed(call: Call, page: Page[Value]) -> Answer:
    shown = [views.checkpoint(checkpoint, call) for checkpoint in page.items]
    return paging.listing(call, "checkpoints", shown, full=page.full)


class AllCheckpoints(Node):
    """``/checkpoints``"""

    @operation("checkpoint:get_all", response=CHECKPOINT.list, query=QUERY_ALL, errors=(400,))
    def get(self, call: Call) -> Answer:
        """List checkpoints across providers."""
        with call.services.database.read() as rows:
            page = rows.checkpoints.list(call.page, provider_id=None)
        return _listed(call, page)


def _check_runnable(plan: Plan, provider: ProviderInfo) -> None:
    if plan.provider_id != provider.id:
        raise errors.InvalidInput(f"The plan {plan.id} belongs to the provider {plan.provider_id}.")
    if not provider.available:
        raise _unavailable(provider)
    types = [*(resource.type for resource in plan.resources), *(choice.type for choice in plan.selection)]
    for type_ in types:
        if type_ not in provider.resource_types:
            raise errors.InvalidInput(f"The provider cannot protect resources of type {type_}.")


def _require_room(rows: Transaction, call: Call, project_id: str) -> None:
    """Raise TooLarge where the project has as many checkpoints, or as many bytes in them, as it may have.

    How many bytes a new one will have is not known yet: one that begins below the limit may end above it.
    """
    limits = quota.defaults(call.services.conf)
    for kind in ("checkpoints", "logical_bytes", "stored_bytes"):
        rows.quotas.require(project_id, limits, kind)


def _unavailable(provider: ProviderInfo) -> errors.Unavailable:
    reason = provider.reason or "nobody has said why"
    return errors.Unavailable(f"The provider {provider.name} is not available: {reason}")


def _notes(rows: Transaction, plan: Plan, body: Mapping[str, Any]) -> dict[str, Any]:
    """The user's notes in either spelling, and what the service says of itself: who asked.

    A scheduled operation is believed where it is one of this plan.
    """
    given = {**(body.get("extra_info") or {}), **(body.get("extra-info") or {})}
    notes = {name: value for name, value in given.items() if name not in OWN_KEYS}
    try:
        asking = rows.scheduled_operations.get(str(given.get("scheduled_operation_id", "")), project_id=plan.project_id)
    except errors.NotFound:
        return {**notes, "created_by": "manual"}
    if asking.plan_id != plan.id:
        return {**notes, "created_by": "manual"}
    return {
        **notes,
        "created_by": "operation-engine",
        "trigger_id": asking.trigger_id,
        "scheduled_operation_id": asking.id,
    }

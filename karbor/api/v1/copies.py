# SPDX-License-Identifier: Apache-2.0
"""Copies: how do checkpoints get to another provider, and so into another bank?"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from karbor.api import parameters, repeats, trusts, work
from karbor.api.call import Call, canonical
from karbor.api.node import Node
from karbor.api.operation import Answer, operation
from karbor.conf import quota
from karbor.db.database import Transaction
from karbor.model import errors
from karbor.model.checkpoint import Checkpoint
from karbor.model.graph import ResourceGraph
from karbor.model.operation import Job
from karbor.model.page import PageRequest
from karbor.model.provider import ProviderInfo
from karbor.schema.nouns.copy import COPIED, COPY

#: So many checkpoints are begun by one request; who wants more asks again.
AT_ONCE = 100


@dataclass(frozen=True)
class _Wish:
    """What a request asks for, in one form."""

    plan_id: str
    checkpoint_id: str | None
    target_id: str
    options: parameters.Parameters


class CheckpointsAction(Node):
    """``/providers/{id}/checkpoints/action``"""

    @operation(
        "copy:create",
        role="member",
        body=COPY,
        response=COPIED,
        errors=(400, 404, 409, 413, 501, 503),
        repeatable=True,
        begins_work=True,
    )
    def post(self, call: Call) -> Answer:
        """Copy checkpoints of a plan to another provider.

        Without `checkpoint_id` all available checkpoints of the plan that have no copy over there, oldest first, at
        most 100 for one request. The answer comes before the work begins: the copies are `wait_copying` first.
        """
        wish = _wish(call.body)

        def create(rows: Transaction) -> repeats.Made:
            source = rows.providers.get(call.path["provider_id"])
            target = _target(rows, source, wish.target_id)
            _check_plan(rows, call, wish, source)
            found = _uncopied(rows, call, wish, source)
            for checkpoint in found:
                _check_copyable(checkpoint, target, wish.options)
            _require_room(rows, call, found)
            jobs = [_book(rows, call, wish, checkpoint, permission) for checkpoint in found]
            return _shown(call, source, wish, found, jobs), jobs

        with trusts.for_work(call, call.path["provider_id"], wish.target_id) as permission:
            return work.send_made(call, repeats.once(call, create))


def _shown(
    call: Call, source: ProviderInfo, wish: _Wish, found: Sequence[Checkpoint], jobs: Sequence[Job]
) -> dict[str, Any]:
    pairs = [
        {"checkpoint_protect_id": checkpoint.id, "checkpoint_copy_id": job.checkpoint_id}
        for checkpoint, job in zip(found, jobs, strict=True)
    ]
    return {
        "copy": {
            "project_id": call.project_id,
            "provider_id": source.id,
            "target_provider_id": wish.target_id,
            "plan_id": wish.plan_id,
            "checkpoint_id": pairs,
            "parameters": dict(call.body.get("parameters") or {}),
        }
    }


def _wish(body: Mapping[str, Any]) -> _Wish:
    """Raises InvalidInput where no target is named, or two are."""
    given = dict(body.get("parameters") or {})
    named = {canonical(one) for one in (body.get("target_provider_id"), given.pop("target_provider_id", None)) if one}
    if len(named) != 1:
        raise errors.InvalidInput("Name the provider to copy to in target_provider_id, and only one.")
    checkpoint_id = body.get("checkpoint_id")
    return _Wish(
        plan_id=canonical(body["plan_id"]),
        checkpoint_id=canonical(checkpoint_id) if checkpoint_id else None,
        target_id=named.pop(),
        options=parameters.without_nulls(given),
    )


def _target(rows: Transaction, source: ProviderInfo, target_id: str) -> ProviderInfo:
    """Raises InvalidInput where a copy would lie in the same bank, Unavailable where a bank cannot be used."""
    try:
        target = rows.providers.get(target_id)
    except errors.NotFound:
        raise errors.InvalidInput(f"The provider {target_id} to copy to could not be found.") from None
    bank = rows.providers.bank_identity(source.id)
    if source.id == target.id or (bank is not None and bank == rows.providers.bank_identity(target.id)):
        raise errors.InvalidInput("Both providers use the same bank; a copy there would protect from nothing.")
    for provider in (source, target):
        if not provider.available:
            raise errors.Unavailable(f"The provider {provider.name} is not available: {provider.reason}")
    return target


def _check_plan(rows: Transaction, call: Call, wish: _Wish, source: ProviderInfo) -> None:
    """Raises NotFound for an unknown plan (a single checkpoint may outlive its plan), InvalidInput for another one."""
    if wish.checkpoint_id is None:
        plan = rows.plans.get(wish.plan_id, project_id=call.project_id)
        if plan.provider_id != source.id:
            raise errors.InvalidInput(f"The plan {plan.id} belongs to the provider {plan.provider_id}.")
        one = PageRequest(limit=1, project_id=call.project_id, filters={"plan_id": plan.id, "status": "available"})
        if not rows.checkpoints.list(one, provider_id=source.id).items:
            raise errors.InvalidInput(f"The plan {plan.id} has no available checkpoint at the provider {source.name}.")
        return
    checkpoint = rows.checkpoints.get(wish.checkpoint_id, project_id=call.project_id, provider_id=source.id)
    if checkpoint.plan_id != wish.plan_id:
        raise errors.InvalidInput(f"The checkpoint {checkpoint.id} is one of the plan {checkpoint.plan_id}.")
    if checkpoint.status != "available":
        raise errors.Conflict(f"The checkpoint is {checkpoint.status}; only an available one can be copied.")


def _uncopied(rows: Transaction, call: Call, wish: _Wish, source: ProviderInfo) -> Sequence[Checkpoint]:
    """What is to be copied. Raises Conflict where the one that is asked for has a copy already."""

    def look() -> Sequence[Checkpoint]:
        return rows.checkpoints.uncopied(
            project_id=call.project_id,
            provider_id=source.id,
            plan_id=wish.plan_id,
            to=wish.target_id,
            limit=AT_ONCE,
            only=wish.checkpoint_id,
        )

    for checkpoint in look():
        rows.checkpoints.get(checkpoint.id, lock=True)  # of two requests at the same time, one waits for the other
    found = look()
    if wish.checkpoint_id is not None and not found:
        raise errors.Conflict(f"The checkpoint {wish.checkpoint_id} has a copy at that provider, or one is being made.")
    return found


def _check_copyable(checkpoint: Checkpoint, target: ProviderInfo, options: parameters.Parameters) -> None:
    """Raises InvalidInput, NotSupported before anything is stored."""
    graph = ResourceGraph.from_dict(checkpoint.graph or {"nodes": []})
    schemas = target.schemas.get("copy_schema") or {}
    for node in graph:
        if node.key.type not in target.resource_types:
            raise errors.InvalidInput(f"The provider {target.name} cannot protect resources of type {node.key.type}.")
        if node.key.type not in schemas:
            raise errors.NotSupported(f"The provider {target.name} cannot copy resources of type {node.key.type}.")
    parameters.check(options, schemas, resources=[(node.key.type, node.key.id) for node in graph])


def _require_room(rows: Transaction, call: Call, found: Sequence[Checkpoint]) -> None:
    """Raises TooLarge. How much a copy will store is not known yet: one that begins below the limit may end above."""
    if not found:
        return
    limits = quota.defaults(call.services.conf)
    wanted = {
        "checkpoints": len(found),
        "logical_bytes": sum(checkpoint.sizes.logical for checkpoint in found) or 1,
        "stored_bytes": 1,
    }
    for kind, amount in wanted.items():
        rows.quotas.require(call.project_id, limits, kind, amount)


def _book(rows: Transaction, call: Call, wish: _Wish, source: Checkpoint, permission: trusts.Permission) -> Job:
    copy = rows.checkpoints.create(
        Checkpoint(
            id=str(uuid.uuid4()),
            project_id=source.project_id,
            provider_id=wish.target_id,
            plan_id=source.plan_id,
            plan=source.plan,
            status="wait_copying",
            graph=source.graph,
            extra_info={name: value for name, value in source.extra_info.items() if name != "copy_status"},
            source_id=source.id,
        )
    )
    job = Job(
        id=str(uuid.uuid4()),
        operation="copy",
        project_id=copy.project_id,
        provider_id=wish.target_id,
        checkpoint_id=copy.id,
        payload={
            "source_checkpoint_id": source.id,
            "source_provider_id": source.provider_id,
            "parameters": {key: dict(values) for key, values in wish.options.items()},
        },
        request_id=call.context.request_id,
    )
    return work.book(rows, call, job, status=copy.status, plan_id=copy.plan_id, permission=permission)

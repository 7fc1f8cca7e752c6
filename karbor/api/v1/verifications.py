# SPDX-License-Identifier: Apache-2.0
"""Verifications: how is it proven that a checkpoint can be restored?"""

import uuid

from karbor.api import cancel as cancelling
from karbor.api import paging, parameters, repeats, trusts, work
from karbor.api.call import Call, canonical
from karbor.api.node import Item, Node
from karbor.api.operation import Answer, operation
from karbor.api.v1 import views
from karbor.api.v1.restores import resources_of
from karbor.db.database import Transaction
from karbor.model import errors
from karbor.model.checkpoint import Checkpoint
from karbor.model.operation import Job
from karbor.model.verification import Verification as Value
from karbor.schema.nouns.action import CANCEL
from karbor.schema.nouns.verification import VERIFICATION
from karbor.schema.query import ListQuery
from karbor.schema.types import UUID

QUERY = ListQuery(
    filters={
        "status": "Only verifications in this status.",
        "checkpoint_id": "Only verifications of this checkpoint.",
    },
    sort=("id", "status", "created_at"),
    offset=True,
    tenants=True,
)


class VerificationAction(Node):
    """``/verifications/{id}/action``"""

    @operation(
        "verification:cancel",
        role="member",
        body=CANCEL,
        response=VERIFICATION.show,
        status=202,
        errors=(400, 404, 409),
    )
    def post(self, call: Call) -> Answer:
        """Cancel a verification.

        It is `fail` then; the checkpoint stays as it is. Refused where nothing is running.
        """

        def cancel(rows: Transaction) -> Value:
            found = rows.verifications.get(call.path["verification_id"], project_id=call.scope)
            call.allow(project_id=found.project_id)
            jobs = rows.jobs.live_for(verification_id=found.id)
            cancelling.cancel(rows, call, jobs, what=f"verification {found.id}")
            return rows.verifications.get(found.id)

        return {"verification": views.verification(call.services.database.retrying(cancel), call)}


class Verification(Node):
    """``/verifications/{id}``"""

    below = {"action": VerificationAction}

    @operation("verification:get", response=VERIFICATION.show, errors=(400, 404))
    def get(self, call: Call) -> Answer:
        """Show a verification, with its progress and what it found."""
        with call.services.database.read() as rows:
            found = rows.verifications.get(call.path["verification_id"], project_id=call.scope)
        call.allow(project_id=found.project_id)
        return {"verification": views.verification(found, call)}


class Verifications(Node):
    """``/verifications``"""

    item = Item("verification_id", UUID, Verification)

    @operation("verification:get_all", response=VERIFICATION.list, query=QUERY, errors=(400,))
    def get(self, call: Call) -> Answer:
        """List verifications."""
        with call.services.database.read() as rows:
            page = rows.verifications.list(call.page)
        return paging.listing(
            call, "verifications", [views.verification(found, call) for found in page.items], full=page.full
        )

    @operation(
        "verification:create",
        role="member",
        body=VERIFICATION.create,
        response=VERIFICATION.show,
        errors=(400, 403, 404, 409, 413, 503),
        repeatable=True,
        begins_work=True,
    )
    def post(self, call: Call) -> Answer:
        """Prove that a checkpoint can be restored.

        The resources that are damaged are told with the bytes that are lost; a checkpoint whose damage is proven
        becomes `error`. One that is whole says from then on when it was last verified, and how deep.
        """
        given = parameters.without_nulls(call.body.get("parameters"))
        ids = str(uuid.uuid4()), str(uuid.uuid4())

        def create(rows: Transaction) -> repeats.Made:
            checkpoint = _verifiable(rows, call, given)
            verification = rows.verifications.create(
                Value(
                    id=ids[0],
                    project_id=checkpoint.project_id,
                    provider_id=checkpoint.provider_id,
                    checkpoint_id=checkpoint.id,
                    parameters=given,
                )
            )
            job = Job(
                id=ids[1],
                operation="verify",
                project_id=verification.project_id,
                provider_id=verification.provider_id,
                checkpoint_id=checkpoint.id,
                verification_id=verification.id,
                request_id=call.context.request_id,
            )
            booked = work.book(
                rows, call, job, status=verification.status, plan_id=checkpoint.plan_id, permission=permission
            )
            return {"verification": views.verification(verification, call)}, (booked,)

        with trusts.for_work(call, canonical(call.body["provider_id"])) as permission:
            return work.send_made(call, repeats.once(call, create))


def _verifiable(rows: Transaction, call: Call, given: parameters.Parameters) -> Checkpoint:
    """The checkpoint of the request, where everything about it and the options is right. Raises what is not."""
    provider = rows.providers.get(canonical(call.body["provider_id"]))
    checkpoint = rows.checkpoints.get(
        canonical(call.body["checkpoint_id"]), project_id=call.project_id, provider_id=provider.id, lock=True
    )  # locked: one that is just being deleted is not verified
    call.allow(project_id=checkpoint.project_id)
    if checkpoint.status != "available":
        raise errors.Conflict(f"The checkpoint is {checkpoint.status}; only an available one can be verified.")
    parameters.check(given, provider.schemas.get("verify_schema") or {}, resources=resources_of(checkpoint))
    if not provider.available:
        raise errors.Unavailable(f"The provider {provider.name} is not available: {provider.reason}")
    return checkpoint

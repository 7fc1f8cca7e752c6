# SPDX-License-Identifier: Apache-2.0
"""How is work handed to the workers? Rows first, in the caller's transaction; after the commit a word about them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from karbor.api.call import Call
from karbor.api.trusts import Permission
from karbor.common import faultpoints
from karbor.db.database import Transaction
from karbor.model import errors
from karbor.model.operation import Job, OperationLog

LOG = logging.getLogger(__name__)
_NONE = Permission()


def book(
    rows: Transaction,
    call: Call,
    job: Job,
    *,
    status: str,
    plan_id: str | None,
    scheduled_operation_id: str | None = None,
    permission: Permission = _NONE,
) -> Job:
    """Write the job and its entry in the operation log, which has the job's id. The work is done by ``permission``.

    Both name the request, so that whoever has its id finds what came of it in the log and in the lines of the workers.
    """
    whole = {"global_request_id": call.context.global_request_id} if call.context.global_request_id else {}
    rows.operation_logs.create(
        OperationLog(
            id=job.id,
            project_id=job.project_id,
            operation_type=job.operation,
            checkpoint_id=job.checkpoint_id,
            plan_id=plan_id,
            provider_id=job.provider_id,
            restore_id=job.restore_id,
            verification_id=job.verification_id,
            scheduled_operation_id=scheduled_operation_id,
            status=status,
            extra_info={"request_id": call.context.request_id, **whole},
        )
    )
    permission.keep(rows)
    asked = replace(job, request_id=call.context.request_id, trust_id=permission.trust_id)
    return rows.jobs.create(replace(asked, payload={**job.payload, **whole}))


def send_made(call: Call, made: tuple[Mapping[str, Any], Sequence[Job]]) -> Mapping[str, Any]:
    """Tell the workers of what ``repeats.once`` made, and return the answer. Without jobs it was made before."""
    answer, jobs = made
    for job in jobs:
        send(call, job)
    return answer


def send(call: Call, job: Job) -> None:
    """Tell the workers of a committed job. Where nobody hears it, they find the row when they look next."""
    faultpoints.reach("api:booked:after")
    LOG.info(
        "work asked for job=%s operation=%s checkpoint=%s restore=%s verification=%s project=%s user=%s request=%s",
        job.id,
        job.operation,
        job.checkpoint_id,
        job.restore_id,
        job.verification_id,
        job.project_id,
        call.context.user_id,
        job.request_id,
    )
    wake(call, job.id)
    faultpoints.reach("api:sent:after")


def wake(call: Call, id: str) -> None:
    """Tell the workers of a committed row, by its id."""
    try:
        call.services.protection.run(job_id=id)
    except errors.KarborError as fault:
        LOG.warning("workers not told id=%s request=%s %s", id, call.context.request_id, fault.operator_text())

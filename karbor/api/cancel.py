# SPDX-License-Identifier: Apache-2.0
"""How is work called off?

A job that nobody has begun ends here, in the caller's transaction, with everything that shows it. A job that was begun
has things to put back: it is marked, and its worker ends it.
"""

import logging
from collections.abc import Sequence

from karbor.api.call import Call
from karbor.db.database import Transaction
from karbor.db.outcomes import end_badly
from karbor.model import errors
from karbor.model.operation import Job

LOG = logging.getLogger(__name__)
#: Operations that cannot be called off: half a checkpoint is no use to anybody.
FINAL = ("delete",)


def cancel(rows: Transaction, call: Call, jobs: Sequence[Job], *, what: str) -> None:
    """Call off those of ``jobs``, the live ones of ``what``, that can be. May be asked for again.

    Raises Conflict where there are none.
    """
    found = [job for job in jobs if job.operation not in FINAL]
    if not found:
        raise errors.Conflict(f"Nothing that can be cancelled works on the {what}.")
    for job in found:
        never_begun = rows.jobs.request_cancel(job.id)
        if never_begun:
            end_badly(rows, job, cause=errors.Cancelled().message, now=call.services.clock.now())
        LOG.info(
            "work called off job=%s operation=%s begun=%s project=%s user=%s request=%s",
            job.id,
            job.operation,
            not never_begun,
            job.project_id,
            call.context.user_id,
            call.context.request_id,
        )

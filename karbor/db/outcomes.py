# SPDX-License-Identifier: Apache-2.0
"""How is it shown that a job, which no worker has any more, ended badly?"""

from datetime import datetime

from karbor.db.database import Transaction
from karbor.model.checkpoint import Reason
from karbor.model.operation import Job

_NEXT = "begin it again where it is still wanted"
#: How what an operation made, or worked on, is shown when nobody ends the operation any more.
ENDED = {"protect": "error", "copy": "error", "restore": "fail", "verify": "fail", "lock": "fail"} | {
    "delete": "error-deleting"
}


def end_badly(rows: Transaction, job: Job, *, cause: str, now: datetime) -> None:
    """Write the end into everything that shows the job; the job's own row is the caller's business.

    Raises NotFound where what the job was for is gone, Conflict where that has another end already.
    """
    status = ENDED[job.operation]
    if job.operation in ("protect", "copy", "delete"):
        reason = Reason(resource="", step="queue", cause=cause, next_action=_NEXT)
        rows.checkpoints.transition(job.checkpoint_id or "", status, reason=reason, finished_at=now)
    elif job.operation != "lock":  # what holds is in the bank, and shown since it was written down last
        kept, id_ = (
            (rows.restores, job.restore_id) if job.operation == "restore" else (rows.verifications, job.verification_id)
        )
        kept.set_resource(id_ or "", f"Checkpoint#{job.checkpoint_id}", "error", cause)
        kept.transition(id_ or "", status, finished_at=now)
    rows.operation_logs.finish(job.id, status=status, ended_at=now, error_info=cause)

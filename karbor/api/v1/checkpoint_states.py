# SPDX-License-Identifier: Apache-2.0
"""When may a checkpoint be removed, called off, or said to be in another state?"""

from karbor.api.call import Call
from karbor.db.database import Transaction
from karbor.db.outcomes import end_badly
from karbor.model import errors
from karbor.model.checkpoint import Checkpoint, Reason

#: Who may say that a checkpoint is available, where a failure was seen before.
RESET_AVAILABLE = "provider:checkpoint_reset_available"


def require_idle(rows: Transaction, checkpoint: Checkpoint, *, wish: str) -> None:
    """Raise Conflict while an operation works on the checkpoint; ``protecting`` may also mean that a run was lost."""
    live = rows.jobs.live_for(checkpoint_id=checkpoint.id)
    if live:
        raise errors.Conflict(
            f"The checkpoint {checkpoint.id} is {checkpoint.status} and an operation ({live[0].operation}) works on it;"
            f" it can be {wish} when that has ended, or has been cancelled."
        )


def require_unlocked(call: Call, checkpoint: Checkpoint) -> None:
    """Raise CheckpointLocked where a lock or a hold keeps it. The bank has the last word: its worker asks it again."""
    if checkpoint.lock.counts(call.services.clock.now()):
        raise checkpoint.lock.refusal(f"The checkpoint {checkpoint.id}")


def reset(rows: Transaction, call: Call, checkpoint: Checkpoint, state: str) -> Checkpoint:
    """Move an idle checkpoint to ``state``; staying where it is changes nothing. Raises Conflict, Forbidden."""
    if state == "available":
        call.require(RESET_AVAILABLE, project_id=checkpoint.project_id)
    if checkpoint.status == state:
        return checkpoint
    if checkpoint.status == "available":
        require_unlocked(call, checkpoint)
    if state == "available":
        require_idle(rows, checkpoint, wish="reset")
        if checkpoint.status != "error" or not rows.checkpoints.resources(checkpoint.id):
            raise errors.Conflict(
                f"The checkpoint {checkpoint.id} is {checkpoint.status} and was never complete, or something of it was"
                " deleted; it cannot become available."
            )
        return rows.checkpoints.transition(checkpoint.id, "available", reason=None)
    checkpoint = _without_lost_work(rows, call, checkpoint)
    if checkpoint.status in ("deleting", "error-deleting"):
        rows.checkpoints.save_resources(checkpoint.id, ())  # nobody knows how much of it is left
    if checkpoint.status == "deleting":
        rows.checkpoints.transition(checkpoint.id, "error-deleting")
    reason = Reason(
        resource="",
        step="reset",
        cause=f"Its state was set to error; it was {checkpoint.status} before.",
        next_action="delete it, or let an administrator set it to available where it is whole",
    )
    finished_at = checkpoint.finished_at or call.services.clock.now()
    return rows.checkpoints.transition(checkpoint.id, "error", reason=reason, finished_at=finished_at)


def _without_lost_work(rows: Transaction, call: Call, checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint after every job of it whose worker is lost has been given up. Raises Conflict for any other."""
    for job in rows.jobs.live_for(checkpoint_id=checkpoint.id):
        if not rows.jobs.give_up(job.id):
            break
        cause = "Its worker was not heard of any more, and somebody reset the checkpoint."
        end_badly(rows, job, cause=cause, now=call.services.clock.now())
    require_idle(rows, checkpoint, wish="reset")
    return rows.checkpoints.get(checkpoint.id)

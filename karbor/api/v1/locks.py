# SPDX-License-Identifier: Apache-2.0
"""Locks and holds: how is it asked for that a checkpoint must stay, and who may end that?"""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from karbor.api import repeats, work
from karbor.api.call import Call
from karbor.api.operation import Answer
from karbor.api.v1 import views
from karbor.db.database import Transaction
from karbor.model import errors
from karbor.model.checkpoint import Checkpoint
from karbor.model.lock import HOLD, LOCK, MAX_DAYS, RELEASE, UNLOCK, moment, shown
from karbor.model.operation import Job
from karbor.schema.operation import Role

_RULES = {name: f"provider:checkpoint_{name}" for name in (LOCK, UNLOCK, HOLD, RELEASE)}
RULES: tuple[tuple[str, Role, str], ...] = (
    (_RULES[LOCK], "member", "Lock a checkpoint"),
    (_RULES[UNLOCK], "admin", "Lift or shorten a governance lock"),
    (_RULES[HOLD], "member", "Hold a checkpoint"),
    (_RULES[RELEASE], "admin", "Release a checkpoint that is held"),
)


def begin(call: Call, locked: Callable[[Transaction], Checkpoint]) -> Answer:
    """Ask for one change; ``locked`` finds the checkpoint, and keeps its row until the transaction ends."""
    ((action, given),) = call.body.items()
    call.require(_RULES[action], project_id=call.project_id)
    until = _until(call, given) if action == LOCK else None
    payload = {"action": action, **given} | ({"until": shown(until)} if until else {})
    job_id = str(uuid.uuid4())

    def book(rows: Transaction) -> repeats.Made:
        checkpoint = locked(rows)
        call.require(_RULES[action], project_id=checkpoint.project_id)
        _check(rows, call, checkpoint, action, given.get("mode"), until)
        job = Job(
            id=job_id,
            operation="lock",
            project_id=checkpoint.project_id,
            provider_id=checkpoint.provider_id,
            checkpoint_id=checkpoint.id,
            request_id=call.context.request_id,
            payload=payload,
        )
        booked = work.book(rows, call, job, status="in_progress", plan_id=checkpoint.plan_id)
        return {"checkpoint": views.checkpoint(checkpoint, call)}, (booked,)

    return work.send_made(call, repeats.once(call, book))


def _until(call: Call, given: dict[str, Any]) -> datetime:
    """Raises InvalidInput."""
    try:
        found = moment(given["until"])
    except (ValueError, OverflowError) as fault:
        raise errors.InvalidInput("lock.until must be a moment such as 2027-01-02T03:04:05.") from fault
    now = call.services.clock.now()
    if not now < found <= now + timedelta(days=MAX_DAYS):
        raise errors.InvalidInput(f"A lock must end in the future, and within {MAX_DAYS} days.")
    return found


def _check(
    rows: Transaction, call: Call, checkpoint: Checkpoint, action: str, mode: str | None, until: datetime | None
) -> None:
    """What can be refused at once, by what the catalog knows; the worker asks the bank."""
    now = call.services.clock.now()
    if checkpoint.status != "available":
        raise errors.Conflict(f"The checkpoint is {checkpoint.status}; only an available one can be locked or held.")
    if any(job.operation == "lock" for job in rows.jobs.live_for(checkpoint_id=checkpoint.id)):
        raise errors.Conflict("Another change of its locks is under way.", next_action="try again in a moment")
    checkpoint.lock.check(action, mode, until, now=now)
    if until is not None and mode is not None and checkpoint.lock.shortens(mode, until, now=now):
        call.require(_RULES[UNLOCK], project_id=checkpoint.project_id)

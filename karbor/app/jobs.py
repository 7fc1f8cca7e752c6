# SPDX-License-Identifier: Apache-2.0
"""What can an operator do with a job that does not end: look at it, give it back, end it?

Hardly ever needed: a job whose worker died is taken over by another one as soon as its lease is over.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from karbor.common.clock import Clock, iso
from karbor.db.database import Database, Transaction
from karbor.db.outcomes import end_badly
from karbor.model import errors
from karbor.model.operation import Job
from karbor.model.service import WORKER


class Jobs:
    """The commands. ``down_after``: seconds without a sign of life until a worker counts as dead."""

    def __init__(self, database: Database, clock: Clock, *, down_after: float) -> None:
        self._database = database
        self._clock = clock
        self._down_after = timedelta(seconds=down_after)

    def list(self) -> Sequence[dict[str, Any]]:
        """Every job that waits or runs, oldest first, with what it needs to go on."""
        with self._database.read() as rows:
            workers = self._workers(rows)
            return [self._shown(rows, job, workers) for job in rows.jobs.live()]

    def release(self, job_id: str, *, force: bool = False) -> dict[str, Any]:
        """Take a job from a worker that is dead, so that another one goes on with it at once.

        Raises NotFound, Conflict where no worker has it, or its worker gives signs of life and ``force`` does not say
        to do it all the same. A worker that was alive after all can write nothing for the job from then on.
        """

        def release(rows: Transaction) -> str:
            job = rows.jobs.get(job_id)
            if job.state != "running":
                raise errors.Conflict(f"No worker has the job: it is {job.state}.")
            left = rows.jobs.lease_left(job_id)
            if left > 0 and not force:
                raise errors.Conflict(
                    f"The worker {job.owner} of this job is alive: its lease holds for {left / 1000:.0f} more seconds.",
                    next_action="wait until the lease is over, stop that worker, or insist with --force",
                )
            rows.jobs.take_back(job_id)
            return str(job.owner)

        owner = self._database.retrying(release)
        return {
            "job": job_id,
            "outcome": "released",
            "text": f"Taken from {owner}; the next free worker goes on with it.",
        }

    def abort(self, job_id: str, *, force: bool = False) -> dict[str, Any]:
        """Cancel a job; where no live worker will see to that, end it here and now.

        Raises NotFound, Conflict where it has ended already. Deletes cannot be cancelled half-way: they are ended only
        where there is no worker. ``force`` ends the job also beside live workers (a job that no worker can take);
        never one whose worker is alive.
        """
        outcome, text = self._database.retrying(lambda rows: self._abort(rows, job_id, force=force))
        return {"job": job_id, "outcome": outcome, "text": text}

    def _abort(self, rows: Transaction, job_id: str, *, force: bool) -> tuple[str, str]:
        job = rows.jobs.get(job_id)
        if job.state not in ("queued", "running"):
            raise errors.Conflict(f"The job has ended already: it is {job.state}.")
        owned = job.state == "running" and rows.jobs.lease_left(job_id) > 0
        if job.operation == "delete" and (owned or (self._workers(rows) and not force)):
            raise errors.Conflict(
                "A delete is not cancelled half-way, and a worker will end it.",
                next_action="wait; or stop the workers, or insist with --force where none of them can take it",
            )
        if rows.jobs.request_cancel(job_id):
            return self._end(rows, job, "It had not been begun.")
        if owned:
            return "asked", f"Its worker {job.owner} was asked to undo and end it."
        alive = self._workers(rows)
        if alive and not force:
            return "asked", f"No worker has it just now; {alive[0]} or another one will take it, undo and end it."
        rows.jobs.withdraw(job_id)
        return self._end(rows, job, "No worker was there to undo what it had begun; they do so when they start.")

    def _end(self, rows: Transaction, job: Job, text: str) -> tuple[str, str]:
        end_badly(rows, job, cause="The operation was ended by an operator.", now=self._clock.now())
        return "ended", text

    def _workers(self, rows: Transaction) -> Sequence[str]:
        """The hosts whose workers gave a sign of life lately."""
        since = self._clock.now() - self._down_after
        return [entry.host for entry in rows.services.list(binary=WORKER) if entry.updated_at > since]

    def _shown(self, rows: Transaction, job: Job, workers: Sequence[str]) -> dict[str, Any]:
        left = rows.jobs.lease_left(job.id) if job.state == "running" else 0
        return {
            "job": job.id,
            "operation": job.operation,
            "state": job.state,
            "worker": job.owner,
            "lease_seconds": round(left / 1000),
            "attempts": job.attempts,
            "cancelled": job.cancel_requested,
            "project": job.project_id,
            "provider": job.provider_id,
            "checkpoint": job.checkpoint_id,
            "asked_for": iso(job.created_at) if job.created_at else None,
            "text": _text(job, left, workers),
        }


def _text(job: Job, left: int, workers: Sequence[str]) -> str:
    if job.state == "running" and left > 0:
        return "Its worker is at it."
    if not workers:
        return "No worker is alive; start karbor-protection."
    waits = "Its worker is silent" if job.state == "running" else "It waits"
    return f"{waits}; a worker with its provider will take it."

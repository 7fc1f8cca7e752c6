# SPDX-License-Identifier: Apache-2.0
"""How is one claimed job carried to its end: planned, run, tried again, ended, or given back?

No threads here: ``run`` is called once, by whoever has the job; ``beat`` and ``give_back`` may be called beside it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from karbor.common import context, faultpoints
from karbor.db.database import Transaction
from karbor.model import errors
from karbor.model.checkpoint import Reason
from karbor.model.operation import Job
from karbor.protection.control import Control
from karbor.protection.copy import CopyOperation
from karbor.protection.delete import DeleteOperation
from karbor.protection.flows import Step
from karbor.protection.lock import LockOperation
from karbor.protection.operation import Operation, Parts, reason_of
from karbor.protection.protect import ProtectOperation
from karbor.protection.restore import RestoreOperation
from karbor.protection.runner import Runner
from karbor.protection.verify import VerifyOperation

LOG = logging.getLogger(__name__)

OPERATIONS: Mapping[str, type[Operation]] = {
    "protect": ProtectOperation,
    "restore": RestoreOperation,
    "verify": VerifyOperation,
    "copy": CopyOperation,
    "delete": DeleteOperation,
    "lock": LockOperation,
}
#: What the operation log shows when an operation of that kind ended: (well, badly).
LOGGED = {
    "protect": ("available", "error"),
    "restore": ("success", "fail"),
    "verify": ("success", "fail"),
    "copy": ("available", "error"),
    "delete": ("deleted", "error-deleting"),
    "lock": ("success", "fail"),
}


@dataclass(frozen=True)
class JobSettings:
    """Seconds, except ``attempts``, ``concurrent`` (jobs at the same time) and ``claims`` (how often a job is taken
    before it is given up: it may be what ends its workers) and ``operations``."""

    lease: float = 20
    poll: float = 2
    attempts: int = 3
    retry_delay: float = 5
    concurrent: int = 2
    claims: int = 50
    operations: Sequence[str] | None = None  # what is done here; None: everything


class Attempt:
    """One claim on one job. ``operations`` says which class does which kind of job."""

    def __init__(
        self,
        parts: Parts,
        runner: Runner,
        settings: JobSettings,
        job: Job,
        *,
        operations: Mapping[str, type[Operation]] = OPERATIONS,
    ) -> None:
        self._parts = parts
        self._runner = runner
        self._settings = settings
        self._operations = operations
        self.control = Control(job, clock=parts.clock)
        if job.cancel_requested:
            self.control.cancel()

    def run(self) -> None:
        """Carry the job as far as it goes. Raises LeaseLost where another worker has it now; after any other fault its
        lease runs out, and another attempt goes on."""
        context.begin_job(self.control.job)
        kind = self.control.job.operation
        faultpoints.reach(f"job:{kind}.taken:after")
        operation = self._operations[kind](self._parts, self.control)
        try:
            self._perform(operation)
        finally:
            operation.close()

    def beat(self) -> None:
        """Show the progress, keep the job, and hear whether somebody asked for its end. Raises LeaseLost."""
        self._flush()
        with self._parts.database.write() as rows:
            job = rows.jobs.heartbeat(self.control.job, lease_ms=int(self._settings.lease * 1000))
        if job.cancel_requested:
            self.control.cancel()

    def give_back(self) -> None:
        """Let another worker go on with the job."""
        try:
            with self._parts.database.write() as rows:
                rows.jobs.release(self.control.job)
        except (errors.LeaseLost, SQLAlchemyError) as fault:
            LOG.warning("job not given back job=%s cause=%s", self.control.job.id, fault)

    def _perform(self, operation: Operation) -> None:
        control = self.control
        kind = control.job.operation
        try:
            if not self._runner.resumable(control.job):
                control.check()  # cancelled before anything was begun: then nothing needs to be undone
            steps = operation.plan()
        except errors.LeaseLost:
            raise
        except errors.KarborError as fault:
            operation.note_failure(reason_of(fault, resource="", step="plan"), fault)
            self._failed(operation)
            return
        faultpoints.reach(f"job:{kind}.planned:after")
        try:
            well = self._run_flow(operation, steps)
        except errors.Unavailable:
            self.give_back()
            return
        faultpoints.reach(f"job:{kind}.flow:after")
        if well:
            self._end(operation, None)
        else:
            self._failed(operation)

    def _run_flow(self, operation: Operation, steps: Sequence[Step]) -> bool:
        control = self.control
        if control.job.fence <= self._settings.claims:
            return self._runner.run(control, steps, operation)
        self._runner.give_up(control, steps, operation)
        refusal = errors.KarborError(f"{control.job.fence - 1} workers began this job, and none ended it.")
        operation.note_failure(reason_of(refusal, resource="", step="run"), refusal)
        return False

    def _failed(self, operation: Operation) -> None:
        """Try again where the fault may pass; otherwise let it be known."""
        control = self.control
        if operation.done_after_all():
            LOG.info("job had done its work before the fault job=%s", control.job.id)
            self._end(operation, None)
            return
        failure = control.job.payload.get("failure") or {}
        if failure.get("again") and self._is_cancelled():
            failure = reason_of(errors.Cancelled(), resource="", step=failure.get("step", "")).to_dict()
        if failure.get("again") and control.job.attempts < self._settings.attempts:
            LOG.info("job will be tried again job=%s cause=%s", control.job.id, failure.get("cause"))
            self._parts.database.retrying(self._begin_anew)
            return
        self._end(
            operation, Reason(**{name: failure.get(name, "") for name in ("resource", "step", "cause", "next_action")})
        )

    def _begin_anew(self, rows: Transaction) -> None:
        """Back to the queue, without anything of this attempt."""
        self._runner.forget(self.control.job, rows)
        failed = Reason(**{name: text for name, text in self.control.job.payload["failure"].items() if name != "again"})
        rows.operation_logs.note(
            self.control.job.id, attempts=self.control.job.attempts, last_failure=failed.in_words()
        )
        job = rows.jobs.set_payload(self.control.job, failure=None, logbook=None)
        rows.jobs.release(job, delay_ms=int(self._settings.retry_delay * 1000), fresh=True)

    def _is_cancelled(self) -> bool:
        """Whether somebody asked for the end of the job, perhaps since its last sign of life."""
        if self.control.cancelled:
            return True
        with self._parts.database.read() as rows:
            return rows.jobs.get(self.control.job.id).cancel_requested

    def _end(self, operation: Operation, reason: Reason | None) -> None:
        """The job has ended, badly where there is a reason."""
        job = self.control.job
        self._flush()
        faultpoints.reach(f"job:{job.operation}.end:before")
        database = self._parts.database
        try:
            database.retrying(lambda rows: self._write_end(rows, operation, reason))
        except (errors.Conflict, errors.NotFound) as fault:
            # What it worked on has another end already, or is gone: that stays as it is, and the job ends all the same.
            LOG.error("end of the job does not fit job=%s %s", job.id, fault.operator_text())
            reason = reason_of(fault, resource="", step="end")
            database.retrying(lambda rows: self._write_end(rows, None, reason))
        faultpoints.reach(f"job:{job.operation}.end:after")
        operation.let_go(well=reason is None)
        LOG.info("job ended job=%s operation=%s well=%s", job.id, job.operation, reason is None)

    def _write_end(self, rows: Transaction, operation: Operation | None, reason: Reason | None) -> None:
        """All that shows the end, in one transaction: there is never one without the other, and only of our job."""
        job = self.control.job
        rows.jobs.check(job)
        error = None
        if reason is not None:
            error = reason.in_words()
            if operation is not None:
                operation.ended_badly(rows, reason)
        elif operation is not None:
            operation.ended_well(rows)
        self._runner.forget(job, rows)
        rows.jobs.finish(job, "done" if reason is None else "failed")
        status = LOGGED[job.operation][0 if reason is None else 1]
        rows.operation_logs.note(job.id, attempts=job.attempts)
        rows.operation_logs.finish(job.id, status=status, ended_at=self._parts.clock.now(), error_info=error)

    def _flush(self) -> None:
        """Write the progress where it changed."""
        progress = self.control.news()
        if progress is None:
            return
        job = self.control.job
        with self._parts.database.write() as rows:
            rows.jobs.check(job)
            if job.operation == "restore":
                rows.restores.set_progress(job.restore_id or "", progress)
            elif job.operation == "verify":
                rows.verifications.set_progress(job.verification_id or "", progress)
            elif job.operation in ("protect", "copy"):
                rows.checkpoints.set_progress(job.checkpoint_id or "", progress)

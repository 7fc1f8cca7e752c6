# SPDX-License-Identifier: Apache-2.0
"""Which jobs does this worker take, how does it keep them, and how does it let go of them?

Three threads beside the job threads: the *claimer* takes jobs (when a message says so, and by looking every ``poll``
seconds), the *ticker* keeps leases alive and writes progress, and the *watcher* of karbor.protection.watcher looks
after banks and hypervisors.
"""

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from karbor.common import context, faultpoints
from karbor.model import errors
from karbor.model.checkpoint import Reason
from karbor.model.operation import Job
from karbor.protection.control import Control
from karbor.protection.copy import CopyOperation
from karbor.protection.delete import DeleteOperation
from karbor.protection.flows import Step
from karbor.protection.operation import Operation, Parts, reason_of
from karbor.protection.protect import ProtectOperation
from karbor.protection.restore import RestoreOperation
from karbor.protection.runner import Runner
from karbor.protection.verify import VerifyOperation

LOG = logging.getLogger(__name__)

OPERATIONS: dict[str, type[Operation]] = {
    "protect": ProtectOperation,
    "restore": RestoreOperation,
    "verify": VerifyOperation,
    "copy": CopyOperation,
    "delete": DeleteOperation,
}
#: What the operation log shows when an operation of that kind ended: (well, badly).
LOGGED = {
    "protect": ("available", "error"),
    "restore": ("success", "fail"),
    "verify": ("success", "fail"),
    "copy": ("available", "error"),
    "delete": ("deleted", "error-deleting"),
}


@dataclass(frozen=True)
class JobSettings:
    """Seconds, except ``attempts``, ``concurrent`` (jobs at the same time) and ``claims`` (how often a job is taken
    before it is given up: it may be what ends its workers)."""

    lease: float = 20
    poll: float = 2
    attempts: int = 3
    retry_delay: float = 5
    concurrent: int = 2
    claims: int = 50


class Worker:
    """Runs the jobs of its providers. ``_lock`` guards ``_running``."""

    def __init__(self, parts: Parts, executor: Executor, settings: JobSettings, *, owner: str, host: str) -> None:
        self._parts = parts
        self._runner = Runner(parts.database, executor)
        self._settings = settings
        self._owner, self._host = owner, host
        self._lock = threading.Lock()
        self._running: dict[str, tuple[Control, threading.Thread]] = {}
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to take jobs."""
        for name, loop in (("claimer", self._claim_loop), ("ticker", self._tick_loop)):
            thread = threading.Thread(target=loop, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def wake(self) -> None:
        """There may be a job."""
        self._wake.set()

    def stop(self, grace: float) -> None:
        """Take no more jobs; let running steps end for ``grace`` seconds; give the rest back to be gone on with."""
        self._stopping.set()
        self._wake.set()
        for control, _thread in self._jobs():
            control.suspend()
        deadline = self._parts.clock.monotonic() + grace
        for _control, thread in self._jobs():
            thread.join(max(0.0, deadline - self._parts.clock.monotonic()))
        for control, thread in self._jobs():
            self._give_back(control)
            control.lose()
            thread.join(10)
        self._stopped.set()
        for thread in self._threads:
            thread.join(10)

    def _jobs(self) -> Sequence[tuple[Control, threading.Thread]]:
        with self._lock:
            return list(self._running.values())

    def _claim_loop(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                while len(self._jobs()) < self._settings.concurrent and not self._stopping.is_set() and self._take():
                    pass
            except SQLAlchemyError as fault:
                LOG.error("cannot look for jobs cause=%s", fault)
            self._wake.wait(self._settings.poll)

    def _take(self) -> bool:
        with self._parts.database.write() as rows:
            job = rows.jobs.claim(
                owner=self._owner,
                provider_ids=self._parts.providers.ids,
                host=self._host,
                lease_ms=int(self._settings.lease * 1000),
            )
        if job is None:
            return False
        LOG.info(
            "job taken job=%s operation=%s attempt=%s fence=%s request=%s",
            job.id,
            job.operation,
            job.attempts,
            job.fence,
            job.request_id,
        )
        control = Control(job, clock=self._parts.clock)
        if job.cancel_requested:
            control.cancel()
        thread = threading.Thread(target=self._run, args=(control,), name=f"job-{job.id[:8]}", daemon=True)
        with self._lock:
            self._running[job.id] = (control, thread)
        thread.start()
        return True

    def _run(self, control: Control) -> None:
        job_id = control.job.id
        context.begin_job(control.job)
        try:
            self._attempt(control)
        except errors.LeaseLost:
            LOG.warning("job lost to another worker job=%s", job_id)
        except Exception:  # the edge of a job: its lease runs out and another attempt goes on
            LOG.exception("job interrupted job=%s", job_id)
        finally:
            with self._lock:
                self._running.pop(job_id, None)
            self._wake.set()

    def _attempt(self, control: Control) -> None:
        kind = control.job.operation
        faultpoints.reach(f"job:{kind}.taken:after")
        operation = OPERATIONS[kind](self._parts, control)
        try:
            self._perform(control, operation)
        finally:
            operation.close()

    def _perform(self, control: Control, operation: Operation) -> None:
        kind = control.job.operation
        try:
            if not self._runner.resumable(control.job):
                control.check()  # cancelled before anything was begun: then nothing needs to be undone
            steps = operation.plan()
        except errors.LeaseLost:
            raise
        except errors.KarborError as fault:
            operation.note_failure(reason_of(fault, resource="", step="plan"), fault)
            self._failed(control, operation)
            return
        faultpoints.reach(f"job:{kind}.planned:after")
        try:
            well = self._run_flow(control, operation, steps)
        except errors.Unavailable:
            self._give_back(control)
            return
        faultpoints.reach(f"job:{kind}.flow:after")
        if well:
            operation.ended_well()
            self._finish(control, well=True)
        else:
            self._failed(control, operation)

    def _run_flow(self, control: Control, operation: Operation, steps: Sequence[Step]) -> bool:
        if control.job.fence <= self._settings.claims:
            return self._runner.run(control, steps, operation)
        self._runner.give_up(control, steps, operation)
        refusal = errors.KarborError(f"{control.job.fence - 1} workers began this job, and none ended it.")
        operation.note_failure(reason_of(refusal, resource="", step="run"), refusal)
        return False

    def _failed(self, control: Control, operation: Operation) -> None:
        """Try again where the fault may pass; otherwise let it be known."""
        failure = control.job.payload.get("failure") or {}
        if failure.get("again") and self._is_cancelled(control):
            failure = reason_of(errors.Cancelled(), resource="", step=failure.get("step", "")).to_dict()
        if failure.get("again") and control.job.attempts < self._settings.attempts:
            LOG.info("job will be tried again job=%s cause=%s", control.job.id, failure.get("cause"))
            self._runner.forget(control.job)
            with self._parts.database.write() as rows:
                control.job = rows.jobs.set_payload(control.job, failure=None, logbook=None)
                rows.jobs.release(control.job, delay_ms=int(self._settings.retry_delay * 1000), fresh=True)
            return
        reason = Reason(**{name: failure.get(name, "") for name in ("resource", "step", "cause", "next_action")})
        operation.ended_badly(reason)
        self._finish(control, well=False, error=f"{reason.resource} {reason.step}: {reason.cause}".strip())

    def _is_cancelled(self, control: Control) -> bool:
        """Whether somebody asked for the end of the job, perhaps since its last sign of life."""
        if control.cancelled:
            return True
        with self._parts.database.read() as rows:
            return rows.jobs.get(control.job.id).cancel_requested

    def _finish(self, control: Control, *, well: bool, error: str | None = None) -> None:
        job = control.job
        self._flush(control)
        faultpoints.reach(f"job:{job.operation}.end:before")
        status = LOGGED[job.operation][0 if well else 1]
        with self._parts.database.write() as rows:
            rows.jobs.finish(job, "done" if well else "failed")
            rows.operation_logs.finish(job.id, status=status, ended_at=self._parts.clock.now(), error_info=error)
        faultpoints.reach(f"job:{job.operation}.end:after")
        self._runner.forget(job)
        LOG.info("job ended job=%s operation=%s status=%s", job.id, job.operation, status)

    def _give_back(self, control: Control) -> None:
        try:
            with self._parts.database.write() as rows:
                rows.jobs.release(control.job)
        except (errors.LeaseLost, SQLAlchemyError) as fault:
            LOG.warning("job not given back job=%s cause=%s", control.job.id, fault)

    def _tick_loop(self) -> None:
        clock = self._parts.clock
        heard: dict[str, float] = {}
        while not self._stopped.wait(min(1.0, self._settings.lease / 4)):
            for control, _thread in self._jobs():
                job_id = control.job.id
                heard.setdefault(job_id, clock.monotonic())
                try:
                    self._flush(control)
                    self._beat(control)
                    heard[job_id] = clock.monotonic()
                except errors.LeaseLost:
                    control.lose()
                except SQLAlchemyError as fault:
                    LOG.warning("no sign of life could be given job=%s cause=%s", job_id, fault)
                    if clock.monotonic() - heard[job_id] > self._settings.lease:
                        control.lose()
            heard = {job_id: moment for job_id, moment in heard.items() if job_id in self._running}

    def _beat(self, control: Control) -> None:
        with self._parts.database.write() as rows:
            job: Job = rows.jobs.heartbeat(control.job, lease_ms=int(self._settings.lease * 1000))
        if job.cancel_requested:
            control.cancel()

    def _flush(self, control: Control) -> None:
        progress = control.news()
        if progress is None:
            return
        job = control.job
        with self._parts.database.write() as rows:
            if job.operation == "restore":
                rows.restores.set_progress(job.restore_id or "", progress)
            elif job.operation == "verify":
                rows.verifications.set_progress(job.verification_id or "", progress)
            elif job.operation in ("protect", "copy"):
                rows.checkpoints.set_progress(job.checkpoint_id or "", progress)

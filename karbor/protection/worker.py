# SPDX-License-Identifier: Apache-2.0
"""Which jobs does this worker take, how does it keep them, and how does it let go of them?

Three threads beside the job threads: the *claimer* takes jobs (when a message says so, and by looking every ``poll``
seconds), the *ticker* keeps leases alive and writes progress, and the *watcher* of karbor.protection.watcher looks
after banks and hypervisors. What is done with a job is in karbor.protection.attempt.
"""

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Executor

from sqlalchemy.exc import SQLAlchemyError

from karbor.model import errors
from karbor.protection.attempt import Attempt, JobSettings
from karbor.protection.operation import Parts
from karbor.protection.runner import Runner

LOG = logging.getLogger(__name__)


class Worker:
    """Runs the jobs of its providers. ``_lock`` guards ``_running``."""

    def __init__(self, parts: Parts, executor: Executor, settings: JobSettings, *, owner: str, host: str) -> None:
        self._parts = parts
        self._runner = Runner(parts.database, executor)
        self._settings = settings
        self._owner, self._host = owner, host
        self._lock = threading.Lock()
        self._running: dict[str, tuple[Attempt, threading.Thread]] = {}
        self._taking = threading.Lock()  # held while a job is claimed and noted
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
        if self._taking.acquire(timeout=grace + 10):  # what is being taken just now is then among the running
            self._taking.release()
        for attempt, _thread in self._jobs():
            attempt.control.suspend()
        deadline = self._parts.clock.monotonic() + grace
        for _attempt, thread in self._jobs():
            thread.join(max(0.0, deadline - self._parts.clock.monotonic()))
        for attempt, thread in self._jobs():
            attempt.give_back()
            attempt.control.lose()
            thread.join(10)
        self._stopped.set()
        for thread in self._threads:
            thread.join(10)

    def _jobs(self) -> Sequence[tuple[Attempt, threading.Thread]]:
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
        with self._taking:
            return not self._stopping.is_set() and self._take_one()

    def _take_one(self) -> bool:
        with self._parts.database.write() as rows:
            job = rows.jobs.claim(
                owner=self._owner,
                provider_ids=self._parts.providers.ids,
                host=self._host,
                lease_ms=int(self._settings.lease * 1000),
                operations=self._settings.operations,
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
        attempt = Attempt(self._parts, self._runner, self._settings, job)
        thread = threading.Thread(target=self._run, args=(attempt,), name=f"job-{job.id[:8]}", daemon=True)
        with self._lock:
            self._running[job.id] = (attempt, thread)
        thread.start()
        return True

    def _run(self, attempt: Attempt) -> None:
        job_id = attempt.control.job.id
        try:
            attempt.run()
        except errors.LeaseLost:
            LOG.warning("job lost to another worker job=%s", job_id)
        except Exception:  # the edge of a job: its lease runs out and another attempt goes on
            LOG.exception("job interrupted job=%s", job_id)
        finally:
            with self._lock:
                self._running.pop(job_id, None)
            self._wake.set()

    def _tick_loop(self) -> None:
        clock = self._parts.clock
        heard: dict[str, float] = {}
        while not self._stopped.wait(min(1.0, self._settings.lease / 4)):
            for attempt, _thread in self._jobs():
                job_id = attempt.control.job.id
                heard.setdefault(job_id, clock.monotonic())
                try:
                    attempt.beat()
                    heard[job_id] = clock.monotonic()
                except errors.LeaseLost:
                    attempt.control.lose()
                except SQLAlchemyError as fault:
                    LOG.warning("no sign of life could be given job=%s cause=%s", job_id, fault)
                    if clock.monotonic() - heard[job_id] > self._settings.lease:
                        attempt.control.lose()
            heard = {job_id: moment for job_id, moment in heard.items() if job_id in self._running}

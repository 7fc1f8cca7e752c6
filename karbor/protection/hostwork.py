# SPDX-License-Identifier: Apache-2.0
"""How does a worker do single steps of jobs that workers of other hosts have?

One thread takes what is asked of this host and keeps the leases; steps run on threads of their own, never on those of
this worker's own jobs: these may all be waiting for other hosts, which wait for us.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from karbor.common import context, faultpoints, jsontext
from karbor.model import errors
from karbor.model.host_step import ABANDON, HostStep
from karbor.model.operation import Job
from karbor.model.resource import ResourceKey
from karbor.protection.attempt import OPERATIONS
from karbor.protection.control import Control
from karbor.protection.flows import Step, step_name
from karbor.protection.operation import Operation, Parts

LOG = logging.getLogger(__name__)
#: Steps that are taken at a time; what is above that waits in the database.
_AT_ONCE = 32
#: Jobs of which it is remembered what their steps have in common.
_KEPT = 16
#: Seconds that a step waits for the end of an earlier try of the same.
_EARLIER = 120.0


class _Taken:
    """A step that is being done. ``phase`` is what an executor tells its urgency by."""

    def __init__(self, step: HostStep, job: Job, control: Control) -> None:
        self.step, self.job, self.control = step, job, control
        self.phase = step.phase
        self.what = (step.job_id, step.resource)
        self.ended = threading.Event()
        self.after: _Taken | None = None  # an earlier try on the same resource, which has not ended yet
        self._progress: dict[str, int] = {}

    def progress(self) -> Mapping[str, int]:
        """How far it is."""
        news = self.control.news()
        if news is not None:
            self._progress = {"done": news.bytes_done, "expected": news.bytes_total}
        return self._progress


class HostWork:
    """Does what is asked of ``host``. ``_lock`` guards ``_running`` and ``_bases``."""

    def __init__(
        self,
        parts: Parts,
        executor: Executor,
        *,
        host: str,
        owner: str,
        lease: float,
        poll: float,
        operations: Mapping[str, type[Operation]] = OPERATIONS,
    ) -> None:
        self._parts = parts
        self._database = parts.database
        self._executor = executor
        self._host, self._owner = host, owner
        self._lease_ms = int(lease * 1000)
        self._interval = min(poll, lease / 4, 1.0)
        self._operations = operations
        self._lock = threading.Lock()
        self._running: dict[str, _Taken] = {}
        self._bases: OrderedDict[tuple[str, int], Operation] = OrderedDict()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="host-steps", daemon=True)

    def start(self) -> None:
        """Begin to look for steps."""
        self._thread.start()

    def wake(self) -> None:
        """There may be a step."""
        self._wake.set()

    def stop(self, grace: float) -> None:
        """Take no more; let what runs end for ``grace`` seconds; give the rest back."""
        self._stopping.set()
        self._wake.set()
        deadline = self._parts.clock.monotonic() + grace
        for taken in self._all():
            taken.ended.wait(max(0.0, deadline - self._parts.clock.monotonic()))
        for taken in self._all():
            try:
                with self._database.write() as rows:
                    rows.host_steps.release(taken.step)
            except (errors.LeaseLost, SQLAlchemyError) as fault:
                LOG.warning("step not given back job=%s cause=%s", taken.step.job_id, fault)
            taken.control.lose()
        self._stopped.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def _all(self) -> Sequence[_Taken]:
        with self._lock:
            return list(self._running.values())

    def _loop(self) -> None:
        while not self._stopped.is_set():
            self._wake.clear()
            for taken in self._all():
                self._beat(taken)
            try:
                if not self._stopping.is_set():
                    self._take()
            except SQLAlchemyError as fault:
                LOG.error("cannot look for steps cause=%s", fault)
            self._wake.wait(self._interval)

    def _take(self) -> None:
        own = [taken.step.id for taken in self._all()]
        with self._database.read() as rows:
            asked = rows.host_steps.waiting(host=self._host, spare=own)
        if not asked or len(own) >= _AT_ONCE:
            return
        with self._database.write() as rows:
            steps = rows.host_steps.take(
                host=self._host, owner=self._owner, lease_ms=self._lease_ms, limit=_AT_ONCE - len(own), spare=own
            )
        for step in steps:
            self._begin(step)

    def _begin(self, step: HostStep) -> None:
        with self._database.write() as rows:
            job = rows.jobs.get(step.job_id)
            if job.fence != step.fence or job.state != "running":  # whoever asked has lost the job
                rows.host_steps.withdraw(step.id)
                return
        taken = _Taken(step, job, Control(job, clock=self._parts.clock))
        with self._lock:
            taken.after = next((one for one in self._running.values() if one.what == taken.what), None)
            self._running[step.id] = taken
        LOG.info("step taken job=%s phase=%s resource=%s fence=%s", job.id, step.phase, step.resource, step.fence)
        self._executor.submit(self._run, taken)

    def _beat(self, taken: _Taken) -> None:
        """Keep the step, show how far it is, and hear whether it is still needed."""
        try:
            with self._database.write() as rows:
                rows.jobs.check(taken.job)
                row = rows.host_steps.beat(taken.step, lease_ms=self._lease_ms, progress=taken.progress())
        except errors.LeaseLost:
            taken.control.lose()
        except SQLAlchemyError as fault:
            LOG.warning("no sign of life could be given job=%s cause=%s", taken.step.job_id, fault)
        else:
            if row.stopping:
                taken.control.abort()

    def _run(self, taken: _Taken) -> None:
        step = taken.step
        context.begin_job(taken.job)
        try:
            self._answer(taken)
        except errors.LeaseLost:
            LOG.warning("step not needed any more job=%s phase=%s resource=%s", step.job_id, step.phase, step.resource)
        except SQLAlchemyError as fault:  # its lease runs out, and whoever asked finds out
            LOG.error("step not answered job=%s phase=%s cause=%s", step.job_id, step.phase, fault)
        finally:
            with self._lock:
                self._running.pop(step.id, None)
            taken.ended.set()
            self._wake.set()

    def _answer(self, taken: _Taken) -> None:
        step = taken.step
        try:
            if taken.after is not None and not taken.after.ended.wait(_EARLIER):
                raise errors.Unavailable("An earlier try of this step has not ended.", detail=f"on {self._host}")
            value = jsontext.plain(self._do(taken))
        except (errors.LeaseLost, SQLAlchemyError):
            raise
        except Exception as fault:  # the edge of a step: whoever asked gets the reason
            if not isinstance(fault, errors.KarborError):
                LOG.exception("step failed job=%s phase=%s resource=%s", step.job_id, step.phase, step.resource)
            told = errors.to_dict(fault)
            self._database.retrying(lambda rows: rows.host_steps.fail(step, told))
        else:
            progress = taken.progress()
            self._database.retrying(lambda rows: rows.host_steps.answer(step, value, progress=progress))

    def _do(self, taken: _Taken) -> Any:
        step, key = taken.step, ResourceKey.parse(taken.step.resource)
        taken.control.check()
        operation = self._joined(taken)
        point = f"hoststep:{taken.job.operation}.{step.phase}@{key.type}"
        faultpoints.reach(f"{point}:before")
        if step.phase == ABANDON:
            operation.abandon_here(key, step.results)
            value = None
        else:
            value = operation.perform_here(Step(step_name(key, step.phase), step.phase, key), step.results)
        faultpoints.reach(f"{point}:after")
        return value

    def _joined(self, taken: _Taken) -> Operation:
        """The operation of the job, with what its other steps here have found out already."""
        name = (taken.job.id, taken.job.fence)
        operation = self._operations[taken.job.operation](self._parts, taken.control)
        with self._lock:
            base = self._bases.get(name)
        operation.join(base, storing=taken.step.phase != ABANDON)
        with self._lock:
            self._bases[name] = operation
            self._bases.move_to_end(name)
            while len(self._bases) > _KEPT:
                self._bases.popitem(last=False)
        return operation

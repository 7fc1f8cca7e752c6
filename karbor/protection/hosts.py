# SPDX-License-Identifier: Apache-2.0
"""How does a job have a step done by the worker of another host, where that resource can be frozen and read?

The step is a row of the database; a message only makes the worker of that host look sooner. What comes back is the JSON
that the plug-in returned there. A host that is gone, or does not begin, is not waited for: the step is done here, and
the plug-in says what it cannot do from here.
"""

import logging
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from karbor.common.clock import Clock
from karbor.db.database import Database
from karbor.model import errors
from karbor.model.host_step import HostStep
from karbor.model.resource import ResourceKey
from karbor.model.service import WORKER
from karbor.protection.control import Control

LOG = logging.getLogger(__name__)
#: Seconds until a step that no worker of the host has begun is done here.
_BEGIN = 30.0
#: Seconds that a step gets to end when it is not needed any more.
_END = 60.0
_PAUSE = 0.05  # the first between two looks; a guest may be frozen meanwhile
_LONGEST = 1.0


class Hosts:
    """The other hosts. Thread-safe. ``down`` is for how many seconds a worker may be silent until its host counts as
    gone; ``lease`` for how many it may be silent in a step; ``wake`` tells the worker of a host to look."""

    def __init__(
        self,
        database: Database,
        own: str,
        clock: Clock,
        *,
        down: float,
        lease: float,
        begin: float = _BEGIN,
        wake: Callable[[str, str], None] = lambda _host, _job_id: None,
    ) -> None:
        self.own = own
        self._database = database
        self._clock = clock
        self._down, self._lease, self._begin = down, lease, begin
        self._wake = wake

    def others(self) -> Sequence[str]:
        """Hosts beside our own whose workers are alive and not disabled."""
        now = self._clock.now()
        with self._database.read() as rows:
            known = rows.services.list(binary=WORKER)
        alive = (one for one in known if not one.disabled and one.is_up(now, down_after=self._down))
        return [one.host for one in alive if one.host != self.own]

    def ask(
        self,
        control: Control,
        key: ResourceKey,
        phase: str,
        results: Mapping[str, Any],
        *,
        host: str,
        check: Callable[[], None],
    ) -> Mapping[str, Any] | None:
        """Have it done there: ``{"value": what the phase returned}``; None where that host does not begin it.

        ``check`` is called at least once a second; when it raises, the step is told to end and a while is waited for
        that. Raises what the phase raised there, and Unavailable where the worker fell silent in the middle of it.
        """
        if host not in self.others():
            LOG.warning("host is gone, its step is done here host=%s job=%s phase=%s", host, control.job.id, phase)
            return None
        job = control.job
        step = HostStep(str(uuid.uuid4()), job.id, job.fence, host, phase, key.text, dict(results))
        with self._database.write() as rows:
            rows.host_steps.ask(job, step)
        try:
            self._wake(host, job.id)
            return _Wait(self._database, self._clock, control, step, self._lease, self._begin).run(check)
        finally:
            with self._database.write() as rows:
                rows.host_steps.withdraw(step.id)


class _Wait:
    """Waiting for one step."""

    def __init__(
        self, database: Database, clock: Clock, control: Control, step: HostStep, lease: float, begin: float
    ) -> None:
        self._database, self._clock, self._control = database, clock, control
        self._lease, self._begin = lease, begin
        self._step = step
        self._told = {"done": 0, "expected": 0}
        self._pause = threading.Event()

    def run(self, check: Callable[[], None]) -> Mapping[str, Any] | None:
        pause, since = _PAUSE, self._clock.monotonic()
        while True:
            step, silent = self._look()
            if step.state == "done":
                self._tell(step.progress or {})
                return step.answer
            if step.state == "failed":
                raise errors.from_dict(step.fault or {})
            waited = self._clock.monotonic() - since
            if step.state == "asked" and waited > self._begin:
                if self._withdraw():
                    return None
            elif silent and waited > self._lease:
                raise errors.Unavailable(
                    "The worker on the host of the resource fell silent.",
                    detail=f"host {step.host}, step {step.phase} of {step.resource}",
                    next_action=f"look after {WORKER} on that host",
                )
            elif step.state == "running" and not silent:
                since = self._clock.monotonic()
            try:
                check()
                self._tell(step.progress or {})
            except errors.LeaseLost:
                raise
            except errors.KarborError:
                self._end()
                raise
            self._pause.wait(pause)
            pause = min(pause * 1.3, _LONGEST)

    def _look(self) -> tuple[HostStep, bool]:
        with self._database.read() as rows:
            return rows.host_steps.get(self._step.id), rows.host_steps.silent(self._step.id)

    def _withdraw(self) -> bool:
        """Whether nobody began it, and nobody will."""
        with self._database.write() as rows:
            LOG.warning("step not done by its host host=%s phase=%s", self._step.host, self._step.phase)
            return rows.host_steps.withdraw(self._step.id, "asked")

    def _end(self) -> None:
        """Let it end there before anything is undone."""
        with self._database.write() as rows:
            rows.host_steps.stop(self._step.id)
        deadline = self._clock.monotonic() + _END
        while self._clock.monotonic() < deadline:
            step, silent = self._look()
            if step.state != "running" or silent:
                return
            self._pause.wait(0.2)

    def _tell(self, progress: Mapping[str, int]) -> None:
        """Pass on how far it is."""
        expected, done = int(progress.get("expected", 0)), int(progress.get("done", 0))
        if expected != self._told["expected"]:
            self._control.expect(self._step.resource, expected)
        more = done - self._told["done"]
        self._told = {"done": max(done, self._told["done"]), "expected": expected}
        if more > 0:
            self._control.advance(more)

# SPDX-License-Identifier: Apache-2.0
"""How does an engine go on: look what is due, take it, do the next step of what was begun?

Any number of engines do so beside each other, and none is special. What one has taken and does not finish, because it
died or slept, another one takes when the lease is over.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

from karbor.common import context
from karbor.common.clock import Clock
from karbor.db.database import Database
from karbor.db.fires import Settled
from karbor.model.scheduled_run import ScheduledRun
from karbor.operationengine.planning import settle
from karbor.operationengine.steps import Steps
from karbor.sdk.trigger import TriggerType

LOG = logging.getLogger(__name__)
BINARY = "karbor-operationengine"
DUE_AT_ONCE = 500
_TAKEN_PER_THREAD = 8  # each has its lease while it waits for a thread
_PURGE_EVERY, _PURGE_AT_ONCE = 600.0, 1000  # seconds; rows


@dataclass(frozen=True)
class EngineSettings:
    """``lease_ms`` for one step, ``poll`` seconds between two looks; bounds as in the settings (0: none)."""

    lease_ms: int = 120_000
    poll: float = 1.0
    threads: int = 8
    project_runs: int = 10
    provider_runs: int = 100
    report_interval: float = 10.0
    keep_days: int = 0


class Engine:
    """One engine. ``owner`` is told apart from all others, ``host`` is the name in the list of services."""

    def __init__(
        self,
        database: Database,
        steps: Steps,
        kinds: Mapping[str, TriggerType],
        settings: EngineSettings,
        *,
        clock: Clock,
        owner: str,
        host: str,
    ) -> None:
        self._database = database
        self._steps = steps
        self._kinds = kinds
        self._settings = settings
        self._clock = clock
        self._owner = owner
        self._host = host
        self._pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="engine-step")
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._running = 0  # steps; guarded by _lock, as is _idle
        self._idle = threading.Event()
        self._idle.set()
        self._reported: float | None = None
        self._purged: float | None = None
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)

    def start(self) -> None:
        """Begin to look. Triggers that nobody understood are tried again."""
        self._database.retrying(lambda rows: rows.fires.revive())
        self._thread.start()

    def stop(self, grace: float) -> None:
        """Take nothing new; steps that run end within ``grace`` seconds, or are taken over when their lease is over."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(grace)
        self._idle.wait(grace)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def look(self) -> None:
        """One look: fire what is due, begin what may begin, go on with what was begun."""
        self._report()
        enabled = self._enabled()
        if enabled:
            self.fire()
        free = self._free()
        with self._database.read() as rows:
            waiting, running = rows.scheduled_runs.wanted()
        if running and free:
            self._give(self._resume(free))
        if waiting and enabled and self._free():
            self._give(self._begin(self._free()))

    def fire(self) -> int:
        """Turn every due time into runs; returns the number of rows that were made."""
        made = 0
        while not self._stopping.is_set():
            with self._database.read() as rows:
                due = rows.fires.due(DUE_AT_ONCE)
                now_ms = rows.fires.now_ms()
            if due:
                made += self._claim([settle(one, self._kinds, now_ms) for one in due])
            if len(due) < DUE_AT_ONCE:
                break
        return made

    def _claim(self, settled: Sequence[Settled]) -> int:
        return self._database.retrying(lambda rows: rows.fires.claim(settled))

    def _begin(self, limit: int) -> list[ScheduledRun]:
        settings = self._settings
        return list(
            self._database.retrying(
                lambda rows: rows.scheduled_runs.begin(
                    owner=self._owner,
                    lease_ms=settings.lease_ms,
                    limit=limit,
                    per_project=settings.project_runs,
                    per_provider=settings.provider_runs,
                )
            )
        )

    def _resume(self, limit: int) -> list[ScheduledRun]:
        lease_ms = self._settings.lease_ms
        return list(
            self._database.retrying(
                lambda rows: rows.scheduled_runs.resume(owner=self._owner, lease_ms=lease_ms, limit=limit)
            )
        )

    def _give(self, runs: list[ScheduledRun]) -> None:
        with self._lock:
            self._running += len(runs)
            if runs:
                self._idle.clear()
        for run in runs:
            LOG.debug("step run=%s attempt=%d fence=%d", run.id, run.attempts, run.fence)
            self._pool.submit(self._step, run).add_done_callback(self._done)

    def _step(self, run: ScheduledRun) -> None:
        context.begin(request_id=None)
        if self._stopping.is_set():
            self._steps.give_back(run)
        else:
            self._steps.step(run)

    def _done(self, future: "Future[None]") -> None:
        with self._lock:
            self._running -= 1
            few = self._running <= self._settings.threads
            if not self._running:
                self._idle.set()
        if not future.cancelled() and (fault := future.exception()) is not None:
            LOG.error("step broken off; the run is taken again when its lease is over", exc_info=fault)
        if few:
            self._wake.set()

    def _free(self) -> int:
        """How many more runs are taken: more than there are threads, which then need not wait for the next look."""
        with self._lock:
            return self._settings.threads * _TAKEN_PER_THREAD - self._running

    def _enabled(self) -> bool:
        """Whether an administrator lets this engine begin something."""
        with self._database.read() as rows:
            return not any(service.disabled for service in rows.services.list(host=self._host, binary=BINARY))

    def _report(self) -> None:
        """A sign of life, and old rows removed, from time to time."""
        now = self._clock.monotonic()
        if self._reported is None or now - self._reported >= self._settings.report_interval:
            self._database.retrying(lambda rows: rows.services.heartbeat(binary=BINARY, host=self._host))
            self._reported = now
        if self._settings.keep_days and (self._purged is None or now - self._purged >= _PURGE_EVERY):
            kept = timedelta(days=self._settings.keep_days)
            self._database.retrying(lambda rows: rows.scheduled_runs.purge(rows.fires.now() - kept, _PURGE_AT_ONCE))
            self._database.retrying(lambda rows: rows.events.purge(rows.fires.now() - kept, _PURGE_AT_ONCE))
            self._purged = now

    def _loop(self) -> None:
        while not self._stopping.is_set():
            wait = self._settings.poll
            try:
                self.look()
                with self._database.read() as rows:
                    wait = rows.fires.wait_ms(int(wait * 1000)) / 1000
            except Exception:  # the edge of the thread: the next look may be better
                LOG.exception("look interrupted")
            self._wake.wait(max(wait, 0.01))
            self._wake.clear()

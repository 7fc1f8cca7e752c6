# SPDX-License-Identifier: Apache-2.0
"""How is one running job steered and watched: cancel, loss of the lease, progress?"""

import threading
from collections.abc import Callable
from dataclasses import replace

from karbor.common.clock import Clock
from karbor.model import errors
from karbor.model.operation import Job
from karbor.model.progress import Progress, eta


class Control:
    """The live side of one job in this process. Steps call ``check`` and ``advance``; the ticker calls the rest.

    ``_lock`` guards everything but ``_stop`` and ``_cancelled``, which are only ever set.
    """

    def __init__(self, job: Job, *, clock: Clock) -> None:
        self.job = job
        self.on_suspend: Callable[[], None] = lambda: None
        self.clock = clock
        self._lock = threading.Lock()
        self._stop: errors.KarborError | None = None
        self._cancelled = False
        self._expected: dict[str, int] = {}
        self._progress = Progress()
        self._since: float | None = None
        self._changed = False

    def check(self) -> None:
        """Raise Cancelled or LeaseLost where this work must end."""
        if self._stop is not None:
            raise self._stop

    def check_ours(self) -> None:
        """Raise LeaseLost where the job is somebody else's. For what must be done although the work is to end."""
        if self._stop is not None and self.lost:
            raise self._stop

    def cancel(self) -> None:
        """Somebody asked for the end of this work."""
        self._cancelled = True
        if self._stop is None:
            self._stop = errors.Cancelled()

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked for the end of this work, also where it was ending already for another reason."""
        return self._cancelled

    def abort(self) -> None:
        """Another step of this job failed: the steps that still run shall end soon."""
        if self._stop is None:
            self._stop = errors.Cancelled("Another step of this operation failed.")

    def suspend(self) -> None:
        """Start no further step; those that run may end."""
        self.on_suspend()

    def lose(self) -> None:
        """The lease is gone: nothing we do from now on counts."""
        self._stop = errors.LeaseLost()
        self.on_suspend()

    @property
    def lost(self) -> bool:
        return isinstance(self._stop, errors.LeaseLost)

    def expect(self, key: str, total_bytes: int) -> None:
        """``key`` will deal with that many bytes; a later call for the same key replaces the number."""
        with self._lock:
            self._expected[key] = total_bytes
            self._progress = replace(self._progress, bytes_total=sum(self._expected.values()))
            self._changed = True

    def advance(self, nbytes: int) -> None:
        """Count bytes, and ``check``."""
        self.check()
        with self._lock:
            if self._since is None:
                self._since = self.clock.monotonic()
            done = self._progress.bytes_done + nbytes
            total = max(self._progress.bytes_total, done)
            self._progress = replace(self._progress, bytes_done=done, bytes_total=total)
            self._changed = True

    def enter(self, resource: str, phase: str) -> None:
        """Say what is being done now."""
        with self._lock:
            self._progress = replace(self._progress, resource=resource, phase=phase)
            self._changed = True

    def news(self) -> Progress | None:
        """The progress where it changed since the last call, with an estimate of the time left."""
        with self._lock:
            if not self._changed:
                return None
            self._changed = False
            seconds = self.clock.monotonic() - self._since if self._since is not None else 0.0
            left = eta(done=self._progress.bytes_done, total=self._progress.bytes_total, seconds=seconds)
            self._progress = replace(self._progress, eta_seconds=left)
            return self._progress

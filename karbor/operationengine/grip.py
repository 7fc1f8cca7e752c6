# SPDX-License-Identifier: Apache-2.0
"""How does an engine write what became of a run that it holds?

Every method raises LeaseLost where another engine has taken the run over; nothing is written then.
"""

import logging
from dataclasses import dataclass
from typing import Any

from karbor.db.database import Database, Transaction
from karbor.db.fires import milliseconds
from karbor.db.together import Together
from karbor.model import errors
from karbor.model.scheduled_run import ScheduledRun
from karbor.operationengine.happenings import Happenings

LOG = logging.getLogger(__name__)
DOUBLINGS = 6
#: Milliseconds for which a request is sent again whose outcome is not known; its key is kept longer.
_GIVE_UP_MS = 20 * 3600 * 1000
_MADE = ("checkpoint_id", "verification_id", "copies")


@dataclass(frozen=True)
class StepSettings:
    """In milliseconds. ``lease``: for one step. ``watch``: between two looks. ``retry``: before it is tried again.

    ``breaker_failures``: so many failures of an operation in a row (0: no number) let it rest for ``breaker_pause``,
    which is doubled with each further one.
    """

    lease: int = 120_000
    watch: int = 5_000
    retry: int = 10_000
    breaker_failures: int = 5
    breaker_pause: int = 3_600_000


class Grip:
    """What the steps write. Used by many threads."""

    def __init__(self, database: Database, settings: StepSettings, happenings: Happenings) -> None:
        self._together = Together(database)
        self._settings = settings
        self._happenings = happenings

    def hold(self, run: ScheduledRun) -> None:
        """Right before a request that changes something: still ours, and for long enough."""
        self._together.do(lambda rows: rows.scheduled_runs.check(run, lease_ms=self._settings.lease))

    def note(self, run: ScheduledRun, **result: Any) -> ScheduledRun:
        """Add to its result; returns it as it is then."""
        return self._together.do(lambda rows: rows.scheduled_runs.note(run, **result))

    def pause(
        self, run: ScheduledRun, *, delay_ms: int | None = None, reason: str | None = None, **result: Any
    ) -> None:
        """Give it back, to be looked at again after a while."""
        delay = self._settings.watch if delay_ms is None else delay_ms
        self._together.do(lambda rows: rows.scheduled_runs.pause(run, delay_ms=delay, reason=reason, **result))

    def again(self, run: ScheduledRun, reason: str) -> None:
        """Let it be begun anew, after a pause that grows with each attempt."""
        delay = self._settings.retry * 2 ** min(run.attempts - 1, DOUBLINGS)
        self._together.do(lambda rows: rows.scheduled_runs.again(run, delay_ms=delay, reason=reason))

    def end(self, run: ScheduledRun, status: str, *, reason: str | None = None, **result: Any) -> None:
        """It ended so; whatever waits for its end begins in the same transaction."""

        def end(rows: Transaction) -> None:
            self._end(rows, run, status, reason, tries=None, **result)

        self._together.do(end)
        _tell(run, status, reason)

    def later(self, run: ScheduledRun, fault: errors.KarborError) -> None:
        """A request was not answered well, and may be next time: try again, unless it is too late for that."""

        def later(rows: Transaction) -> str:
            now, kept = rows.fires.now_ms(), rows.scheduled_runs.get(run.id, lock=True)
            begun = any(kept.result.get(name) for name in _MADE)
            until = kept.begin_until_ms if kept.attempts == 1 else None
            since = milliseconds(kept.started_at) if kept.started_at else now
            if not begun and until is not None and until < now:
                self._end(rows, run, "missed", f"It could not begin within its window: {fault.message}")
                return "missed"
            forbidden = isinstance(fault, errors.Forbidden)  # nobody may look, and the user may never come back
            if (forbidden or not begun) and now - since > _GIVE_UP_MS:
                self._end(rows, run, "failed", fault.message)
                return "failed"
            tries = int(kept.result.get("tries", 0))
            rows.scheduled_runs.note(run, tries=tries + 1)
            delay = self._settings.retry * 2 ** min(tries, DOUBLINGS)
            if not begun and until is not None:
                delay = min(delay, max(100, until - now))  # one last time before the window ends
            rows.scheduled_runs.pause(run, delay_ms=delay, reason=fault.message)
            return ""

        if ended := self._together.do(later):
            _tell(run, ended, fault.message)

    def _end(self, rows: Transaction, run: ScheduledRun, status: str, reason: str | None, **result: Any) -> None:
        rows.scheduled_runs.end(run, status, reason=reason, **result)
        if status == "missed":
            return
        rows.breakers.note(
            run.scheduled_operation_id,
            good=status == "success",
            after=self._settings.breaker_failures,
            pause_ms=self._settings.breaker_pause,
        )
        self._happenings.run_ended(rows, run, status)


def _tell(run: ScheduledRun, status: str, reason: str | None) -> None:
    LOG.info(
        "run ended run=%s scheduled_operation=%s scheduled_for=%s status=%s project=%s reason=%s",
        run.id, run.scheduled_operation_id, run.scheduled_for.isoformat(), status, run.project_id, reason,
    )  # fmt: skip

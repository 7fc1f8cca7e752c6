# SPDX-License-Identifier: Apache-2.0
"""Which rows of the database are old enough to go?

What has ended is kept for a while, for those who ask what became of it, and then removed: little at a time, so that
nobody waits for it. Any number of workers may do so at the same time.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from oslo_config import cfg
from sqlalchemy.exc import SQLAlchemyError

from karbor.common.clock import Clock
from karbor.db.database import Database, Transaction

LOG = logging.getLogger(__name__)
_FIRST = 300.0  # seconds after the start, when there is more urgent work
_AT_ONCE = 200  # rows of one transaction: SQLite has one writer
_ROUNDS = 50  # transactions for one noun in one look
_REPEAT_DAYS = 1  # as long as the API keeps what it answered

Purge = Callable[[Transaction, datetime, int], int]
_PURGES: Mapping[str, Purge] = {
    "jobs": lambda rows, before, limit: rows.jobs.purge(before, limit),
    "checkpoints": lambda rows, before, limit: rows.checkpoints.purge(before, limit),
    "restores": lambda rows, before, limit: rows.restores.purge(before, limit),
    "verifications": lambda rows, before, limit: rows.verifications.purge(before, limit),
    "exports": lambda rows, before, limit: rows.exports.purge(before, limit),
    "operation_logs": lambda rows, before, limit: rows.operation_logs.purge(before, limit),
    "repeats": lambda rows, before, _limit: rows.repeats.forget(before=before),
}


@dataclass(frozen=True)
class Keep:
    """Days for which rows are kept after their end; 0 for ever."""

    jobs: int = 7
    checkpoints: int = 30
    restores: int = 180
    verifications: int = 180
    exports: int = 180
    operation_logs: int = 400
    repeats: int = _REPEAT_DAYS


def keep_from(conf: cfg.ConfigOpts) -> Keep:
    """What the section ``purge`` says."""
    own = conf.purge
    return Keep(
        jobs=own.job_days,
        checkpoints=own.tombstone_days,
        restores=own.run_days,
        verifications=own.run_days,
        exports=own.run_days,
        operation_logs=own.log_days,
    )


class Purger:
    """Removes what is old from time to time, in a thread of its own."""

    def __init__(self, database: Database, clock: Clock, keep: Keep, *, interval: float) -> None:
        self._database = database
        self._clock = clock
        self._keep = keep
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="purger", daemon=True)

    def start(self) -> None:
        """Begin, unless ``interval`` is 0."""
        if self._interval:
            self._thread.start()

    def stop(self) -> None:
        """The transaction that runs is ended; the next look goes on."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(30)

    def look(self) -> Mapping[str, int]:
        """Remove what is old enough, up to the bound of one look; returns how many rows of each noun."""
        found = {name: self._purge(name, purge) for name, purge in _PURGES.items()}
        told = " ".join(f"{name}={number}" for name, number in found.items() if number)
        if told:
            LOG.info("old rows removed %s", told)
        return found

    def _purge(self, name: str, purge: Purge) -> int:
        days: int = getattr(self._keep, name)
        if not days:
            return 0
        before = self._clock.now() - timedelta(days=days)
        removed: Sequence[int] = []
        for _round in range(_ROUNDS):
            if self._stop.is_set():
                break
            number = self._database.retrying(lambda rows: purge(rows, before, _AT_ONCE))
            removed = [*removed, number]
            if not number:
                break
        return sum(removed)

    def _loop(self) -> None:
        wait = min(_FIRST, self._interval)
        while not self._stop.wait(wait):
            wait = self._interval
            try:
                self.look()
            except SQLAlchemyError as fault:
                LOG.warning("old rows not removed cause=%s", fault)

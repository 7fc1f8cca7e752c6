# SPDX-License-Identifier: Apache-2.0
"""How do many threads that each change a little share one commit?

A commit waits for the disk; a thousand of them, one after the other, take seconds. So whoever comes while another
thread commits waits for it, and then all who wait are done in one transaction: one of them does the work of all.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from karbor.db.database import Database, Transaction
from karbor.model import errors

T = TypeVar("T")
Work = Callable[[Transaction], Any]
MOST = 64


class Together:
    """Like ``Database.retrying``, for many threads at once. ``_lock`` guards what waits, and whether somebody leads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._waiting: list[tuple[Work, Future[Any]]] = []
        self._led = False

    def do(self, work: Callable[[Transaction], T]) -> T:
        """What ``work`` returns or raises; it is committed when this returns.

        ``work`` may be called several times. Where it raises one of our errors, only its own changes are undone.
        """
        mine: Future[T] = Future()
        with self._lock:
            self._waiting.append((work, mine))
            leads, self._led = not self._led, True
        if leads:
            self._lead()
        return mine.result()

    def _lead(self) -> None:
        while batch := self._next():
            try:
                done = self._database.retrying(lambda rows, batch=batch: [_try(rows, work) for work, _mine in batch])  # type: ignore[misc]
                for (_work, future), (result, fault) in zip(batch, done, strict=True):
                    if fault is None:
                        future.set_result(result)
                    else:
                        future.set_exception(fault)
            finally:  # whatever went wrong for all of them: nobody waits for ever
                left = [future for _work, future in batch if not future.done()]
                for future in left:
                    future.set_exception(errors.Unavailable("The database did not take the change."))
                if left:
                    self._give_up()

    def _next(self) -> list[tuple[Work, Future[Any]]]:
        with self._lock:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            self._led = bool(batch)
            return batch

    def _give_up(self) -> None:
        """The next one leads; who waits by now is told that nothing was done."""
        with self._lock:
            left, self._waiting = self._waiting, []
            self._led = False
        for _work, future in left:
            future.set_exception(errors.Unavailable("The database did not take the change."))


def _try(rows: Transaction, work: Work) -> tuple[Any, errors.KarborError | None]:
    try:
        with rows.connection.begin_nested():
            return work(rows), None
    except errors.KarborError as fault:
        return None, fault

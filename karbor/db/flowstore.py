# SPDX-License-Identifier: Apache-2.0
"""How is the state of a running flow kept, so that only the owner of its job can write it?

taskflow keeps flows in three tables of our database. Each of its writes is a transaction of its own; we begin those
transactions ourselves, and look at the job's fence first. That makes a worker that was stopped past its lease harmless
here: its next write raises LeaseLost.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from taskflow import exceptions as flow_errors
from taskflow.persistence.backends import impl_sqlalchemy
from taskflow.persistence.backends.sqlalchemy import tables as flow_tables

from karbor.db.database import Database
from karbor.db.flowtables import LOGBOOKS
from karbor.db.jobs import check_fence
from karbor.model import errors
from karbor.model.operation import Job

# One set of taskflow's Table objects for the life of the process: with new ones for each connection, as taskflow makes
# them, SQLAlchemy compiles every statement anew (three times the CPU of a flow).
_TABLES = flow_tables.fetch(sa.MetaData())


class _FencedEngine:
    """What taskflow's Connection uses of an engine; ``begin`` refuses whoever does not own the job."""

    def __init__(
        self, database: Database, job: Job, lost: Callable[[], bool], check: Callable[[Connection], None]
    ) -> None:
        self._database = database
        self._job = job
        self._lost = lost
        self._check = check
        self.url = database.engine.url

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        if self._lost():
            raise errors.LeaseLost(detail=f"job {self._job.id} was given up by this worker")
        with self._database.engine.begin() as connection:
            self._check(connection)
            yield connection

    def connect(self) -> Connection:
        return self._database.reader.connect()


class _Connection(impl_sqlalchemy.Connection):  # type: ignore[misc]
    """taskflow's connection: a transaction for each call, from any thread."""

    def __init__(self, backend: "FencedBackend", engine: _FencedEngine) -> None:
        super().__init__(backend, upgrade_lock=None)
        self._engine = engine
        self._tables = _TABLES
        self._converter = impl_sqlalchemy._Alchemist(_TABLES)

    def __enter__(self) -> "_Connection":
        return self

    def __exit__(self, *_fault: object) -> None:
        self.close()

    def upgrade(self) -> None:
        """Our own migrations make the tables."""


class FencedBackend(impl_sqlalchemy.SQLAlchemyBackend):  # type: ignore[misc]
    """A taskflow persistence backend for the flow of one job. The job's id and fence are those at construction.

    ``lost`` tells whether this worker has given the job up; then nothing is written any more, whatever the fence says:
    a flow must not be marked as undone by somebody who did not undo it.
    """

    def __init__(self, database: Database, job: Job, *, lost: Callable[[], bool] = lambda: False) -> None:
        super().__init__({}, engine=database.engine)
        self._job = job
        self._database = database
        self._shared = _Connection(self, _FencedEngine(database, job, lost, self.require_ours))

    def require_ours(self, connection: Connection) -> None:
        """Raises LeaseLost unless the job is ours until the transaction ends."""
        check_fence(connection, self._job)

    def get_connection(self) -> _Connection:
        """The one connection of this backend; it may be used by many threads and need not be closed."""
        return self._shared


def drop_flow(connection: Connection, job: Job) -> None:
    """Forget every flow that was kept for this job of ours, in the caller's transaction. May be called again.

    Raises LeaseLost where the job is not ours any more: then somebody else goes on with its flow.
    """
    check_fence(connection, job)
    connection.execute(sa.delete(LOGBOOKS).where(LOGBOOKS.c.name == job.id))  # flows and steps go with their logbook


def lease_was_lost(fault: BaseException | None) -> bool:
    """Whether LeaseLost is what ended ``engine.run()``, however deep taskflow wrapped it."""
    todo, seen = [fault], set()
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, errors.LeaseLost):
            return True
        if isinstance(one, flow_errors.WrappedFailure):
            if one.check(errors.LeaseLost):
                return True
            todo += [failure.exception for failure in one]
        todo += [one.__cause__, one.__context__]
    return False

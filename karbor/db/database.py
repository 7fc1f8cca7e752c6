# SPDX-License-Identifier: Apache-2.0
"""How is the database reached, in transactions, and brought to the newest schema?

Plain SQLAlchemy, without oslo.db: its enginefacade keeps the engine in a global of the process and begins SQLite
transactions late (a read that turns into a write is then refused whatever the time-out), and its settings come from
oslo.config, which this package does not know.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from karbor.common.clock import Clock
from karbor.db import schema
from karbor.db.alarms import Alarms
from karbor.db.breakers import Breakers
from karbor.db.checkpoints import Checkpoints
from karbor.db.events import Events
from karbor.db.exports import Exports
from karbor.db.fires import Fires
from karbor.db.host_steps import HostSteps
from karbor.db.jobs import Jobs
from karbor.db.operation_logs import OperationLogs
from karbor.db.plans import Plans
from karbor.db.policies import Policies
from karbor.db.providers import Providers
from karbor.db.quotas import Quotas
from karbor.db.repeats import Repeats
from karbor.db.restores import Restores
from karbor.db.scheduled_operations import ScheduledOperations
from karbor.db.scheduled_runs import ScheduledRuns
from karbor.db.services import Services
from karbor.db.triggers import Triggers
from karbor.db.trusts import Trusts
from karbor.db.verifications import Verifications
from karbor.model import errors
from karbor.model.change import Change

T = TypeVar("T")
#: Seconds an SQLite statement waits for another process that writes.
BUSY_SECONDS = 30
RETRIES = 5
_DEADLOCKS = {1205, 1213, "40001", "40P01"}  # MariaDB by number, PostgreSQL by SQLSTATE


class Transaction:
    """The repositories, bound to one open transaction."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self.connection = connection
        self.changes: list[Change] = []
        self.plans = Plans(connection, clock, self.changes)
        self.checkpoints = Checkpoints(connection, clock, self.changes)
        self.restores = Restores(connection, clock, self.changes)
        self.verifications = Verifications(connection, clock, self.changes)
        self.exports = Exports(connection, clock, self.changes)
        self.providers = Providers(connection, clock, self.changes)
        self.jobs = Jobs(connection, clock, self.changes)
        self.host_steps = HostSteps(connection, clock, self.changes)
        self.operation_logs = OperationLogs(connection, clock, self.changes)
        self.services = Services(connection, clock, self.changes)
        self.triggers = Triggers(connection, clock, self.changes)
        self.scheduled_operations = ScheduledOperations(connection, clock, self.changes)
        self.scheduled_runs = ScheduledRuns(connection, clock, self.changes)
        self.fires = Fires(connection, clock, self.changes)
        self.events = Events(connection, clock, self.changes)
        self.policies = Policies(connection, clock, self.changes)
        self.alarms = Alarms(connection, clock, self.changes)
        self.breakers = Breakers(connection, clock, self.changes)
        self.repeats = Repeats(connection, clock, self.changes)
        self.trusts = Trusts(connection, clock, self.changes)
        self.quotas = Quotas(connection, clock, self.changes)


class Database:
    """One database, used by many threads. Nothing is opened before it is used."""

    def __init__(self, url: str, *, clock: Clock) -> None:
        """``url``: sqlite:///path, mysql+pymysql://... or postgresql+psycopg2://...

        Raises ConfigurationError for any other.
        """
        self.engine = _make_engine(url)  # its transactions are for writing
        self.reader = self.engine.execution_options(karbor_begin="DEFERRED")
        self._clock = clock
        self._listeners: list[Callable[[Change], None]] = []

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Call ``listener`` with every change that is committed through this object, in the thread that made it.

        It must neither wait nor raise: the work goes on when it returns.
        """
        self._listeners.append(listener)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A transaction that only reads (nothing stops it from writing but the author)."""
        with self.reader.begin() as connection:
            yield Transaction(connection, self._clock)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction that is committed at the end of the block, and rolled back where the block raises."""
        with self.engine.begin() as connection:
            rows = Transaction(connection, self._clock)
            yield rows
        for change in rows.changes:
            for listener in self._listeners:
                listener(change)

    def retrying(self, work: Callable[[Transaction], T]) -> T:
        """``work`` in a transaction of its own, again from the start where the server broke a deadlock with it."""
        for _attempt in range(RETRIES - 1):
            try:
                with self.write() as rows:
                    return work(rows)
            except DBAPIError as fault:
                if not _is_deadlock(fault):
                    raise
        with self.write() as rows:
            return work(rows)

    def upgrade(self) -> None:
        """Bring the schema to the newest version. May be called at any time, also by several processes at once."""
        schema.upgrade(self.engine)

    def is_current(self) -> bool:
        """Whether the schema is the one that this release knows."""
        return schema.is_current(self.reader)

    def dispose(self) -> None:
        """Close all connections. The database can be used again afterwards."""
        self.engine.dispose()


def _is_deadlock(fault: DBAPIError) -> bool:
    cause: Any = fault.orig
    return bool(_DEADLOCKS & {getattr(cause, "pgcode", None), cause.args[0] if cause and cause.args else None})


def _make_engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        kind = parsed.get_backend_name()
        if kind == "sqlite":
            if parsed.database in (None, "", ":memory:"):
                raise errors.ConfigurationError("An SQLite database must be a file.")
            engine = sa.create_engine(parsed, connect_args={"timeout": BUSY_SECONDS}, pool_size=10, max_overflow=50)
            event.listen(engine, "connect", _sqlite_connected)
            event.listen(engine, "begin", _sqlite_begin)
            return engine
        if kind not in ("mysql", "mariadb", "postgresql"):
            raise errors.ConfigurationError(f"A database of kind {kind!r} is not supported.")
        # READ COMMITTED: a claim must see what the winner of a race has just committed, and gap locks of MariaDB's
        # default level would make unrelated inserts wait for each other.
        engine = sa.create_engine(
            parsed,
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
            pool_recycle=3600,
            pool_size=10,
            max_overflow=50,
        )
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as fault:
        raise errors.ConfigurationError("The database URL cannot be used.", detail=str(fault)) from fault
    if kind != "postgresql":
        event.listen(engine, "connect", _mariadb_connected)
    return engine


def _sqlite_connected(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we send BEGIN ourselves
    cursor = connection.cursor()
    # WAL: readers and the writer do not wait for each other. FULL: a job that was accepted survives a power cut.
    for setting in (f"busy_timeout={BUSY_SECONDS * 1000}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


def _sqlite_begin(connection: Connection) -> None:
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('karbor_begin', 'IMMEDIATE')}")


def _mariadb_connected(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("SET time_zone = '+00:00'")  # or leases would jump with the server's daylight saving time
    cursor.execute("SET sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'")  # too long a text is an error, not cut
    cursor.close()

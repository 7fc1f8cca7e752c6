# SPDX-License-Identifier: Apache-2.0
"""Do MariaDB and PostgreSQL behave as SQLite does? The same test classes as in tests/unit/db, on real servers."""

from itertools import count

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from karbor.db.database import Database
from karbor.db.tables import METADATA
from tests.crash.test_engines import go_through
from tests.support import servers
from tests.support.clock import TwinClock
from tests.unit.db.test_alarms import TestAlarms, planned  # noqa: F401
from tests.unit.db.test_checkpoints import TestCheckpoints, TestSavedResources  # noqa: F401
from tests.unit.db.test_columns import TestValues  # noqa: F401
from tests.unit.db.test_database import TestTransactions  # noqa: F401
from tests.unit.db.test_events import TestOnce  # noqa: F401
from tests.unit.db.test_figures import TestFigures  # noqa: F401
from tests.unit.db.test_fires import TestBroken, TestClaim, TestDue, TestNextOfPlans  # noqa: F401
from tests.unit.db.test_flowstore import TestDrop, TestFence, TestResume, executor, job  # noqa: F401
from tests.unit.db.test_host_steps import TestHostSteps, claimed  # noqa: F401
from tests.unit.db.test_jobs import (  # noqa: F401
    TestCancel,
    TestClaims,
    TestContention,
    TestOperators,
    TestOwners,
    TestPurge,
)
from tests.unit.db.test_operation_logs import TestOperationLogs  # noqa: F401
from tests.unit.db.test_plans import TestPlans  # noqa: F401
from tests.unit.db.test_providers import TestProviders  # noqa: F401
from tests.unit.db.test_query import TestFilters, TestLongLists, TestPages  # noqa: F401
from tests.unit.db.test_quotas import TestLimits, TestReconcile, TestRequire  # noqa: F401
from tests.unit.db.test_repeats import TestRepeats  # noqa: F401
from tests.unit.db.test_repository import TestChanges, TestRepository  # noqa: F401
from tests.unit.db.test_restores import TestRestores  # noqa: F401
from tests.unit.db.test_scheduled_operations import TestScheduledOperations, prepared  # noqa: F401
from tests.unit.db.test_scheduled_runs import (  # noqa: F401
    TestAttach,
    TestBegin,
    TestEnd,
    TestLease,
    TestOverlap,
    run,
)
from tests.unit.db.test_schema import TestUpgrade, bare  # noqa: F401
from tests.unit.db.test_services import TestServices  # noqa: F401
from tests.unit.db.test_summaries import TestSummaries  # noqa: F401
from tests.unit.db.test_tables import TestIndexes  # noqa: F401
from tests.unit.db.test_triggers import TestTriggers  # noqa: F401
from tests.unit.db.test_trusts import TestPermission, TestTrusts  # noqa: F401
from tests.unit.db.test_usage import TestUsage  # noqa: F401
from tests.unit.db.test_verifications import TestVerifications  # noqa: F401

pytestmark = pytest.mark.system
_NUMBERS = count(1)


@pytest.fixture(scope="module", params=["mariadb", "postgresql"])
def server(request):
    """A server of this kind: a function that makes an empty database there and gives its URL."""
    with getattr(servers, request.param)() as url:
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")

        def make() -> str:
            name = f"karbor_{next(_NUMBERS)}"
            with engine.connect() as connection:
                connection.exec_driver_sql(f"CREATE DATABASE {name}")
            return make_url(url).set(database=name).render_as_string(hide_password=False)

        yield make
        engine.dispose()


@pytest.fixture(scope="module")
def kept(server):
    """One database with the newest schema, shared by the tests that need no empty one."""
    url = server()
    clock = TwinClock()
    database = Database(url, clock=clock)
    database.upgrade()
    yield url, clock, database
    database.dispose()


@pytest.fixture
def clock(kept):
    return kept[1]


@pytest.fixture
def database(kept):
    """The shared database, emptied."""
    database = kept[2]
    with database.engine.begin() as connection:
        for table in reversed(METADATA.sorted_tables):
            connection.execute(sa.delete(table))
    return database


@pytest.fixture
def many():
    """How many rows a long list has here."""
    return 2000


@pytest.fixture
def empty_url(request, server, kept):
    """The URL of a database without tables, or of the one that the test uses already."""
    return kept[0] if "database" in request.fixturenames else server()


def test_engines_with_wrong_clocks_lose_nothing_and_do_nothing_twice(server):
    go_through(server(), 3, skews=(0, 3600, -3600))

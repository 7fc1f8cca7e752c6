# SPDX-License-Identifier: Apache-2.0
"""Does every database come to the schema that the code expects, also when several processes start at once?"""

import json
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from karbor.db.database import Database
from karbor.db.schema import settings
from karbor.db.tables import METADATA
from karbor.model.checkpoint import Sizes
from karbor.model.page import PageRequest
from karbor.model.plan import PlanSummary
from karbor.model.quota import KINDS
from tests.support import rows as make
from tests.unit.db.test_jobs import contender

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
def bare(empty_url, clock):
    """A database without tables."""
    found = Database(empty_url, clock=clock)
    yield found
    found.dispose()


def _at(second):
    return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=second)


class _Old:
    """The tables as the first release knew them, and how it spelled values."""

    def __init__(self, connection):
        self._connection = connection
        self._tables = sa.MetaData()
        self._tables.reflect(connection)

    def insert(self, table, **values):
        spelled = {name: self._spelled(value) for name, value in values.items()}
        self._connection.execute(sa.insert(self._tables.tables[table]).values(**spelled))

    @staticmethod
    def _spelled(value):
        if isinstance(value, datetime):
            return (value - _EPOCH) // timedelta(microseconds=1)
        return json.dumps(value) if isinstance(value, dict | list) else value


def _first_rows(connection):
    """Rows as the first release wrote them."""
    old = _Old(connection)
    common = {"project_id": make.PROJECT, "provider_id": make.PROVIDER}
    for id, project in (("p1", make.PROJECT), ("p2", make.PROJECT), ("p3", "another")):
        plan = make.plan(id, project_id=project, created_at=_at(0))
        resources = [{**one.to_dict(), "per_parent": one.per_parent} for one in plan.resources]
        kept = ("id", "project_id", "name", "description", "provider_id", "status", "parameters", "created_at")
        old.insert("plans", **{name: getattr(plan, name) for name in kept}, resources=resources)
    statuses = {1: "error", 2: "available", 3: "deleting", 4: "deleted", 9: "error"}
    sizes = {"size_logical": 10, "size_read": 2, "size_stored": 3}
    for number, status in statuses.items():
        given = {"plan_id": "gone" if number == 9 else "p1", "status": status, "created_at": _at(number), **sizes}
        texts = {"plan": make.plan().snapshot(), "extra_info": {}, "progress": {}}
        old.insert("checkpoints", id=f"c{number}", **common, **given, **texts)
    numbers = {"fence": 1, "lease_until_ms": 0, "not_before_ms": 0, "attempts": 1, "cancel_requested": False}
    work = {"operation": "protect", "state": "done", "payload": {}, "created_at": _at(1)}
    old.insert("jobs", id="j1", **common, **work, **numbers)
    for id, status in (("l1", None), ("l2", "available")):
        log = {"operation_type": "protect", "status": status, "started_at": _at(1), "extra_info": {}}
        old.insert("operation_logs", id=id, project_id=make.PROJECT, **log)
    for binary in ("karbor-protection", "karbor-api"):
        old.insert("services", binary=binary, host="a", created_at=_at(0), updated_at=_at(1))


class TestUpgrade:
    def test_an_empty_database_is_not_current_until_it_is_upgraded(self, bare):
        assert not bare.is_current()
        for _time in range(2):
            bare.upgrade()
            assert bare.is_current()

    def test_the_migrations_lead_to_the_tables_that_the_code_uses(self, bare):
        bare.upgrade()
        with bare.reader.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, METADATA) == []

    def test_a_changed_table_would_be_noticed(self, bare):
        bare.upgrade()
        with bare.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE plans ADD COLUMN colour VARCHAR(10)")
            connection.exec_driver_sql("DROP TABLE services")
        with bare.reader.connect() as connection:
            found = compare_metadata(MigrationContext.configure(connection), METADATA)
        assert {change[0] for change in found} == {"remove_column", "add_table", "add_index"}

    def test_processes_that_start_at_once_wait_for_each_other(self, bare, empty_url):
        others = [contender("upgrade", empty_url) for _ in range(3)]
        bare.upgrade()
        for other in others:
            other.communicate()
        assert [other.returncode for other in others] == [0, 0, 0]
        assert bare.is_current()

    def test_an_upgrade_killed_half_way_can_be_run_again(self, bare):
        bare.upgrade()
        with bare.engine.begin() as connection:  # what MariaDB is left with: tables, but no version yet
            connection.exec_driver_sql("DELETE FROM alembic_version")
            connection.exec_driver_sql("DROP TABLE atomdetails")
            if bare.engine.name == "postgresql":
                connection.exec_driver_sql("DROP TYPE atom_types, intentions")
            connection.exec_driver_sql(
                "DROP INDEX plans_created" + (" ON plans" if bare.engine.name == "mysql" else "")
            )
        bare.upgrade()
        assert bare.is_current()
        with bare.reader.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), METADATA) == []

    def test_rows_of_the_first_release_are_kept_and_counted(self, bare, clock):
        with bare.engine.begin() as connection:
            command.upgrade(settings(connection), "0001")
            _first_rows(connection)
        bare.upgrade()
        for _time in range(2):
            with bare.write() as rows:
                assert rows.plans.get("p1") == make.plan("p1", created_at=_at(0))
                checkpoint = rows.checkpoints.get("c2")
                assert checkpoint == make.checkpoint(
                    "c2", plan_id="p1", status="available", sizes=Sizes(10, 2, 3), created_at=_at(2)
                )
                listed = rows.checkpoints.list(PageRequest(filters={"plan_id": "p1"}))
                assert [item.id for item in listed.items] == ["c3", "c2", "c1"]
                usage = rows.quotas.usage(make.PROJECT)
                assert [usage[kind]["in_use"] for kind in KINDS] == [2, 4, 40, 12]
                assert rows.quotas.usage("another")["plans"]["in_use"] == 1
                found = rows.plans.summaries(["p1", "p2", "gone"])
                assert found["p1"] == PlanSummary(3, _at(4), "available", "c4", _at(2), "c2")
                assert found["p2"] == PlanSummary()
                assert found["gone"] == PlanSummary(1, _at(9), "error", "c9", None, None)
                assert rows.operation_logs.get("l1").status is None
                assert rows.operation_logs.get("l2") == make.log("l2", status="available", started_at=_at(1))
                assert [(one.binary, one.host, one.disabled) for one in rows.services.list()] == [
                    ("karbor-api", "a", False),
                    ("karbor-protection", "a", False),
                ]
                assert len({one.id for one in rows.services.list()}) == 2
                assert rows.quotas.reconcile() == []
                job = rows.jobs.get("j1")
                assert (job.state, job.verification_id) == ("done", None)
                rows.services.heartbeat(binary="karbor-api", host="a")
            with bare.engine.begin() as connection:  # as on MariaDB, when the process dies just before the end
                connection.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
                connection.exec_driver_sql("DROP TABLE quota_usages")
                connection.exec_driver_sql(
                    "DROP INDEX plans_status" + (" ON plans" if bare.engine.name == "mysql" else "")
                )
            bare.upgrade()
        with bare.reader.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, METADATA) == []

    def test_a_schema_of_a_later_release_is_not_current(self, bare):
        bare.upgrade()
        with bare.engine.begin() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        assert not bare.is_current()

# SPDX-License-Identifier: Apache-2.0
"""Do our tables suit those who use them: MariaDB, and every list?"""

from dataclasses import replace

import pytest

from karbor.db.tables import METADATA
from karbor.model.page import PageRequest
from tests.support import rows as make
from tests.support.explain import asked, dear, steps

#: Every list: its exact filters, the keys it is sorted by, and how one row of it is made.
LISTS = {
    "plans": (("status",), ("id", "name", "status"), make.plan),
    "checkpoints": (("plan_id", "status", "provider_id"), ("id", "status"), make.checkpoint),
    "restores": (("status", "checkpoint_id"), ("id", "status"), make.restore),
    "verifications": (("status", "checkpoint_id"), ("id", "status"), make.verification),
    "triggers": (("type",), ("id", "name"), make.trigger),
    "scheduled_operations": (
        ("operation_type", "trigger_id", "plan_id", "provider_id", "enabled"),
        ("id", "name"),
        make.scheduled_operation,
    ),
    "operation_logs": (
        (
            *("checkpoint_id", "plan_id", "restore_id", "verification_id", "scheduled_operation_id"),
            *("provider_id", "status", "operation_type"),
        ),
        ("id", "status"),
        make.log,
    ),
}
DAYS = {"start_date": "2026-01-01", "end_date": "2026-12-31"}


def _requests(noun):
    """What is asked of this list: by time with every exact filter, and by every other key without one."""
    filters, keys, _make = LISTS[noun]
    wanted = [{}, *({name: "1"} for name in filters)]
    if noun in ("checkpoints", "operation_logs"):
        wanted += [{**one, **DAYS} for one in wanted]
    for project in (make.PROJECT, None):
        for direction in ("desc", "asc"):
            for one in wanted:
                yield PageRequest(limit=10, sort=(("created_at", direction),), filters=one, project_id=project)
            for key in keys:
                yield PageRequest(limit=10, sort=((key, direction),), project_id=project)


def _prepare(rows, noun):
    """One row, so that there is a marker."""
    if noun == "scheduled_operations":
        rows.plans.create(make.plan())
        rows.triggers.create(make.trigger())
    return getattr(rows, noun).create(LISTS[noun][2]()).id


def test_no_index_is_longer_than_mariadb_allows():
    for table in METADATA.tables.values():
        for index in [*table.indexes, table.primary_key]:
            assert sum(4 * getattr(column.type, "length", 2) + 2 for column in index.columns) <= 3072, index.name


class TestIndexes:
    @pytest.mark.parametrize("noun", LISTS)
    def test_no_list_looks_at_its_whole_table_or_sorts_it(self, database, noun):
        providers = [{}, {"provider_id": make.PROVIDER}] if noun == "checkpoints" else [{}]
        with database.write() as rows:
            marker = _prepare(rows, noun)
            if database.engine.dialect.name == "mysql":  # it chooses by numbers that are counted at any time, or now
                rows.connection.exec_driver_sql(f"ANALYZE TABLE {noun}")
            for number, request in enumerate(_requests(noun)):
                for given in providers:
                    pages = [request, replace(request, marker=marker)]
                    # The servers need longer to think, and to them all this is one question: every second one will do.
                    for page in pages if database.engine.dialect.name == "sqlite" else pages[number % 2 :][:1]:
                        with asked(rows.connection) as queries:
                            getattr(rows, noun).list(page, **given)
                        for statement, values in queries:
                            found = steps(rows.connection, statement, values)
                            assert not any(dear(rows.connection, step) for step in found), (page, given, found)


class TestSearches:
    """On SQLite alone: the servers choose by what they know of the rows."""

    @pytest.mark.parametrize("noun", LISTS)
    def test_every_exact_filter_is_sought_in_an_index(self, database, noun):
        with database.write() as rows:
            for request in _requests(noun):
                with asked(rows.connection) as queries:
                    getattr(rows, noun).list(request)
                ((statement, values),) = queries
                (step,) = steps(rows.connection, statement, values)
                for name in request.filters.keys() - DAYS.keys():
                    assert f"{name}=?" in step, (request, step)
                if request.filters.keys() & DAYS.keys():
                    time = "started_at" if noun == "operation_logs" else "created_at"
                    assert f"{time}>?" in step and f"{time}<?" in step, (request, step)

    def test_claims_and_purges_do_not_look_at_ended_jobs_and_tombstones_that_stay(self, database, clock):
        with database.write() as rows:
            for work in (
                lambda: _claim(rows),
                lambda: rows.jobs.purge(clock.now(), 10),
                lambda: rows.checkpoints.purge(clock.now(), 10),
                lambda: rows.verifications.purge(clock.now(), 10),
                lambda: rows.operation_logs.purge(clock.now(), 10),
                lambda: rows.plans.summaries(["1", "2"]),
                lambda: rows.jobs.live_for(verification_id="1"),
            ):
                with asked(rows.connection) as queries:
                    work()
                assert queries
                for statement, values in queries:
                    found = steps(rows.connection, statement, values)
                    assert not any(step.startswith("SCAN") for step in found), found


def _claim(rows):
    return rows.jobs.claim(owner="somebody", provider_ids=[make.PROVIDER], host="host-1", lease_ms=1000)

# SPDX-License-Identifier: Apache-2.0
"""Is a flow gone on with after kill -9, and only by the owner of its job?"""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from taskflow import exceptions as flow_errors
from taskflow import states
from taskflow.persistence import models
from taskflow.types import failure

from karbor.db.flowstore import FencedBackend, drop_flow, lease_was_lost
from karbor.db.flowtables import ATOMDETAILS, FLOWDETAILS, LOGBOOKS
from karbor.model import errors
from tests.support import rows as make
from tests.support.contenders import LONG, OVER, engine_for, take
from tests.unit.db.test_jobs import contender


@pytest.fixture
def job(database):
    """A job of ours, whose lease has run out: anybody may take it over."""
    with database.write() as rows:
        rows.jobs.create(make.job())
    return take(database, lease_ms=OVER)


@pytest.fixture
def executor():
    with ThreadPoolExecutor(4) as pool:
        yield pool


def _count(database):
    with database.reader.connect() as connection:
        return [
            connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()
            for table in (LOGBOOKS, FLOWDETAILS, ATOMDETAILS)
        ]


def _drop(database, job):
    with database.write() as rows:
        drop_flow(rows.connection, job)


class TestResume:
    @pytest.mark.parametrize("deadly", ["a", "c", "d"])
    def test_after_kill_9_ended_tasks_do_not_run_again_and_the_interrupted_one_does(
        self, database, empty_url, tmp_path, deadly
    ):
        with database.write() as rows:
            rows.jobs.create(make.job())
        journal = tmp_path / "journal"
        with contender("flow", empty_url, str(journal), deadly) as killed:
            assert killed.wait() == -signal.SIGKILL
        with contender("flow", empty_url, str(journal)) as second:
            assert second.wait() == 0
        assert journal.read_text().split() == sorted("abcd" + deadly)
        with database.read() as rows:
            row = rows.jobs.get("job-1")
        assert (row.state, row.attempts, row.fence) == ("done", 1, 2)


class TestFence:
    @pytest.mark.parametrize("engine", ["serial", "parallel"])
    def test_the_first_write_after_a_takeover_is_refused_and_ends_the_run(self, database, job, executor, engine):
        ran = []

        def act(name):
            ran.append(name)
            if name == "b":
                assert take(database, owner="another").fence == 2

        options = {"engine": engine} | ({"executor": executor} if engine == "parallel" else {})
        flow = engine_for(database, job, act, **options)
        with pytest.raises(errors.LeaseLost) as caught:
            flow.run()
        assert lease_was_lost(caught.value)
        assert ran == ["a", "b"]
        with database.reader.connect() as connection:
            found = dict(connection.execute(sa.select(ATOMDETAILS.c.name, ATOMDETAILS.c.state)).all())
        assert (found["a"], found["b"]) == (states.SUCCESS, states.RUNNING)

    def test_a_stale_owner_changes_nothing_by_any_call(self, database, job):
        flow = engine_for(database, job, lambda _name: None)
        flow.compile()
        flow.prepare()
        owner = take(database)
        connection = FencedBackend(database, job).get_connection()
        book = FencedBackend(database, owner).get_connection().get_logbook(flow.storage._flowdetail.uuid)
        detail = next(iter(book))
        before = _count(database)
        for attempt in (
            lambda: connection.save_logbook(book),
            lambda: connection.save_logbook(models.LogBook("new")),
            lambda: connection.update_flow_details(detail),
            lambda: connection.update_atom_details(next(iter(detail))),
            lambda: connection.destroy_logbook(book.uuid),
            connection.clear_all,
            lambda: _drop(database, job),
        ):
            with pytest.raises(errors.LeaseLost):
                attempt()
        assert _count(database) == before

    def test_nobody_takes_the_job_between_the_look_at_the_fence_and_the_write(self, database, job):
        if database.engine.dialect.name == "sqlite":
            pytest.skip("a writing transaction of SQLite is alone anyway")
        with database.write() as rows:
            rows.jobs.check(job)
            assert take(database) is None
        assert take(database).fence == 2

    def test_a_lost_lease_is_known_however_it_was_wrapped(self, database, job):
        lost = errors.LeaseLost()
        for wrapped in (lost, flow_errors.WrappedFailure([_failure(ValueError()), _failure(lost)]), _caused_by(lost)):
            assert lease_was_lost(wrapped)
        for other in (None, ValueError(), flow_errors.WrappedFailure([_failure(ValueError())]), _caused_by(KeyError())):
            assert not lease_was_lost(other)

    def test_a_lost_lease_is_not_tried_again_as_a_storage_failure(self):
        assert not issubclass(errors.LeaseLost, flow_errors.StorageFailure)

    def test_a_fault_of_a_task_is_not_taken_for_a_lost_lease(self, database, job, executor):
        def act(_name):
            raise ValueError("broken")

        with pytest.raises(ValueError, match="broken") as caught:
            engine_for(database, job, act, executor=executor).run()
        assert not lease_was_lost(caught.value)


class TestDrop:
    def test_nothing_of_an_ended_flow_remains(self, database, job, executor):
        engine_for(database, job, lambda _name: None, executor=executor).run()
        for _time in range(2):
            _drop(database, job)
            assert _count(database) == [0, 0, 0]

    def test_the_flow_goes_with_the_end_of_the_job_or_not_at_all(self, database, job, executor):
        engine_for(database, job, lambda _name: None, executor=executor).run()
        before = _count(database)
        with pytest.raises(KeyError), database.write() as rows:
            drop_flow(rows.connection, job)
            rows.jobs.finish(job, "done")
            raise KeyError
        assert _count(database) == before
        with database.read() as rows:
            assert rows.jobs.get(job.id).state == "running"

    def test_a_logbook_made_just_before_a_crash_is_dropped_with_the_next_one_of_the_job(self, database, job):
        for _time in range(2):
            engine_for(database, job, lambda _name: None)
        assert _count(database)[0] == 2
        _drop(database, job)
        assert _count(database) == [0, 0, 0]

    def test_flows_of_other_jobs_stay(self, database, job):
        with database.write() as rows:
            rows.jobs.heartbeat(job, lease_ms=LONG)
            rows.jobs.create(make.job("job-2"))
        engine_for(database, job, lambda _name: None)
        engine_for(database, take(database), lambda _name: None)
        _drop(database, job)
        assert _count(database)[:2] == [1, 1]


class TestCost:
    def test_connections_share_their_statements(self, database, job):
        first, second = (FencedBackend(database, job).get_connection() for _ in range(2))
        assert first._tables is second._tables


def _failure(fault):
    try:
        raise fault
    except type(fault):
        return failure.Failure()


def _caused_by(fault):
    try:
        raise RuntimeError from fault
    except RuntimeError as caught:
        return caught

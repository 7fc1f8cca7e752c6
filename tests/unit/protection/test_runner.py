# SPDX-License-Identifier: Apache-2.0
"""Are the steps of a job run in order, undone where one fails, and gone on with by the next owner?"""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from oslo_context import context
from sqlalchemy.exc import OperationalError

from karbor.common.clock import Clock
from karbor.db.database import Database
from karbor.model import errors
from karbor.model.operation import Job
from karbor.model.resource import ResourceKey
from karbor.protection.control import Control
from karbor.protection.flows import Step
from karbor.protection.runner import Runner

A, B = ResourceKey("T", "a"), ResourceKey("T", "b")
STEPS = [
    Step("T#a:one", "one", A),
    Step("T#b:one", "one", B),
    Step("T#a:two", "two", A, ("T#a:one", "T#b:one")),
    Step("end", "end", None, ("T#a:two",)),
]
PROVIDER = "p"


class MovableClock(Clock):
    """A clock that a test can put forward."""

    ahead = 0

    def milliseconds(self):
        return super().milliseconds() + self.ahead


class Recorder:
    """A performer that notes what it is asked to do; ``faults`` maps a step to what it raises."""

    def __init__(self, faults=None):
        self.done, self.undone, self.failures, self.results, self.seen = [], [], [], {}, {}
        self.requests = set()
        self.faults = faults or {}

    def perform(self, step, results):
        self.results[step.name] = dict(results)
        self._note_request()
        if step.name in self.faults:
            raise self.faults[step.name]
        self.done.append(step.name)
        return {"from": step.name}

    def undo(self, step, results):
        self.undone.append(step.name)
        self._note_request()
        self.seen[step.name] = dict(results)

    def _note_request(self):
        current = context.get_current()  # the threads of steps have one; who undoes without a flow need not
        if current is not None:
            self.requests.add(current.request_id)

    def failed(self, step, fault):
        self.failures.append((step.name, fault))


@pytest.fixture
def clock():
    return MovableClock()


@pytest.fixture
def database(tmp_path, clock):
    database = Database(f"sqlite:///{tmp_path}/db.sqlite", clock=clock)
    database.upgrade()
    yield database
    database.dispose()


@pytest.fixture
def executor():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def _claim(database, owner="me"):
    with database.write() as rows:
        return rows.jobs.claim(owner=owner, provider_ids=[PROVIDER], host="h", lease_ms=1000)


@pytest.fixture
def job(database):
    with database.write() as rows:
        rows.jobs.create(Job(id=str(uuid.uuid4()), operation="protect", project_id="x", provider_id=PROVIDER))
    return _claim(database)


def test_steps_run_in_order_and_see_the_results_they_need(database, clock, executor, job):
    recorder = Recorder()
    assert Runner(database, executor).run(Control(job, clock=clock), STEPS, recorder)
    assert recorder.done[-2:] == ["T#a:two", "end"] and len(recorder.done) == 4
    assert recorder.results["T#a:two"] == {"T#a:one": {"from": "T#a:one"}, "T#b:one": {"from": "T#b:one"}}


def test_a_failing_step_is_noted_and_what_was_done_is_undone(database, clock, executor, job):
    fault = errors.StepFailed("no room")
    recorder = Recorder({"T#a:two": fault})
    assert not Runner(database, executor).run(Control(job, clock=clock), STEPS, recorder)
    assert recorder.failures == [("T#a:two", fault)]
    assert set(recorder.undone) == {"T#a:one", "T#b:one", "T#a:two"}
    assert "end" not in recorder.done


def test_undoing_sees_the_results_that_the_step_needed_and_its_own(database, clock, executor, job):
    recorder = Recorder({"end": errors.StepFailed("late")})
    assert not Runner(database, executor).run(Control(job, clock=clock), STEPS, recorder)
    assert recorder.seen["T#a:one"] == {"T#a:one": {"from": "T#a:one"}}
    assert set(recorder.seen["T#a:two"]) == {"T#a:one", "T#b:one", "T#a:two"}
    assert set(recorder.seen["end"]) == {"T#a:two"}


def test_every_step_is_logged_under_the_request_that_asked_for_the_job(database, clock, executor):
    with database.write() as rows:
        wish = {"operation": "protect", "project_id": "x", "provider_id": PROVIDER, "request_id": "req-4711"}
        rows.jobs.create(Job(id=str(uuid.uuid4()), **wish))
    recorder = Recorder({"end": errors.StepFailed("late")})
    Runner(database, executor).run(Control(_claim(database), clock=clock), STEPS, recorder)
    assert recorder.undone
    assert recorder.requests == {"req-4711"}


def test_a_result_that_json_cannot_carry_fails_the_step(database, clock, executor, job):
    class Tuples(Recorder):
        def perform(self, step, results):
            return (1, 2)

    recorder = Tuples()
    assert not Runner(database, executor).run(Control(job, clock=clock), STEPS, recorder)
    assert isinstance(recorder.failures[0][1], TypeError)


def test_a_job_that_ended_is_not_run_again(database, clock, executor, job):
    control = Control(job, clock=clock)
    runner = Runner(database, executor)
    assert runner.run(control, STEPS, Recorder())
    again = Recorder()
    assert runner.run(control, STEPS, again)
    assert again.done == []


def test_the_next_owner_goes_on_and_the_old_one_can_write_no_more(database, clock, executor, job):
    runner = Runner(database, executor)
    control = Control(job, clock=clock)
    stopped, go_on = threading.Event(), threading.Event()

    class Slow(Recorder):
        def perform(self, step, results):
            if step.name == "T#a:two":
                stopped.set()
                assert go_on.wait(30)
            return super().perform(step, results)

    old = Slow()
    caught = []

    def run_old():
        try:
            runner.run(control, STEPS, old)
        except errors.LeaseLost as fault:
            caught.append(fault)

    thread = threading.Thread(target=run_old)
    thread.start()
    assert stopped.wait(30)
    clock.ahead = 60_000
    taken = _claim(database, "other")
    assert taken.id == job.id and taken.fence == job.fence + 1
    new = Recorder()
    assert Runner(database, executor).run(Control(taken, clock=clock), STEPS, new)
    assert new.done == ["T#a:two", "end"]
    go_on.set()
    thread.join(30)
    assert caught and old.undone == []


def test_a_cancelled_job_is_undone(database, clock, executor, job):
    control = Control(job, clock=clock)

    class Cancelling(Recorder):
        def perform(self, step, results):
            if step.name == "T#a:two":
                control.cancel()
                control.check()
            return super().perform(step, results)

    recorder = Cancelling()
    assert not Runner(database, executor).run(control, STEPS, recorder)
    assert isinstance(recorder.failures[0][1], errors.Cancelled)
    assert "T#a:one" in recorder.undone


def test_a_suspended_job_goes_on_later(database, clock, executor, job):
    control = Control(job, clock=clock)
    runner = Runner(database, executor)

    class Suspending(Recorder):
        def perform(self, step, results):
            if step.phase == "one":
                control.suspend()
            return super().perform(step, results)

    first = Suspending()
    with pytest.raises(errors.Unavailable):
        runner.run(control, STEPS, first)
    assert "T#a:two" not in first.done and first.undone == []
    later = Recorder()
    assert runner.run(Control(control.job, clock=clock), STEPS, later)
    assert sorted([*first.done, *later.done]) == sorted(step.name for step in STEPS)


def test_forgetting_leaves_no_rows_of_the_flow(database, clock, executor, job):
    control = Control(job, clock=clock)
    runner = Runner(database, executor)
    runner.run(control, STEPS, Recorder())
    with database.write() as rows:
        runner.forget(control.job, rows)
    with database.engine.connect() as connection:
        for table in ("logbooks", "flowdetails", "atomdetails"):
            assert connection.exec_driver_sql(f"select count(*) from {table}").scalar() == 0


def test_a_database_that_fails_in_a_step_leaves_the_flow_for_the_next_owner(database, clock, executor, job):
    control = Control(job, clock=clock)
    runner = Runner(database, executor)
    first = Recorder({"T#a:two": OperationalError("select 1", {}, Exception("gone"))})
    with pytest.raises(errors.LeaseLost):
        runner.run(control, STEPS, first)
    assert first.undone == [] and first.failures == []
    clock.ahead = 60_000
    later = Recorder()
    assert runner.run(Control(_claim(database, "other"), clock=clock), STEPS, later)
    assert later.done == ["T#a:two", "end"]


def test_undoing_that_failed_half_way_is_done_again(database, clock, executor, job):
    class Stubborn(Recorder):
        def undo(self, step, results):
            super().undo(step, results)
            if len(self.undone) == 1:
                raise RuntimeError("cannot undo")

    recorder = Stubborn({"end": errors.StepFailed("late")})
    assert not Runner(database, executor).run(Control(job, clock=clock), STEPS, recorder)
    assert {step.name for step in STEPS} <= set(recorder.undone)


def test_a_job_that_is_given_up_is_undone(database, clock, executor, job):
    control = Control(job, clock=clock)
    runner = Runner(database, executor)

    class Suspending(Recorder):
        def perform(self, step, results):
            control.suspend()
            return super().perform(step, results)

    with pytest.raises(errors.Unavailable):
        runner.run(control, STEPS, Suspending())
    last = Recorder()
    runner.give_up(control, STEPS, last)
    assert last.done == [] and {step.name for step in STEPS} == set(last.undone)

# SPDX-License-Identifier: Apache-2.0
"""Is each run begun once, by one engine, in a fair order, and does nobody write who has lost it?"""

from datetime import timedelta

import pytest

from karbor.model import errors
from karbor.model.page import PageRequest
from tests.support import rows as make
from tests.support.explain import asked, dear, steps
from tests.support.schedules import BEGIN, LEASE, fire, run_of, scheduled


def _begin(rows, **given):
    return [run.scheduled_operation_id for run in rows.scheduled_runs.begin(**{**BEGIN, **given})]


def _resume(rows, lease_ms=LEASE):
    return rows.scheduled_runs.resume(owner="engine-2", lease_ms=lease_ms, limit=10)


class TestBegin:
    def test_a_waiting_run_is_begun_once(self, database):
        with database.write() as rows:
            scheduled(rows, "a")
            fire(rows)
            assert rows.scheduled_runs.wanted() == (True, False)
            (run,) = rows.scheduled_runs.begin(**BEGIN)
            assert (run.status, run.owner, run.fence, run.attempts) == ("running", "engine-1", 1, 1)
            assert run.started_at is not None
            assert _begin(rows) == [] and rows.scheduled_runs.wanted() == (False, False)

    def test_bounds_hold_and_projects_take_turns(self, database):
        with database.write() as rows:
            for number in range(4):
                scheduled(rows, f"big-{number}")
            scheduled(rows, "small-0", "small-1", project_id="another")
            fire(rows)
            first = _begin(rows, limit=2)
            assert sorted(name[:3] for name in first) == ["big", "sma"]
            rest = _begin(rows, per_project=2)
            assert sorted(name[:3] for name in rest) == ["big", "sma"]
            assert _begin(rows, per_project=2) == [] and _begin(rows, per_provider=4) == []
            assert len(_begin(rows, per_provider=5)) == 1

    def test_a_project_at_its_bound_does_not_hide_the_others(self, database):
        with database.write() as rows:
            for number in range(12):
                scheduled(rows, f"big-{number}")
            fire(rows)
            _begin(rows, limit=2, per_project=2)
            scheduled(rows, "small", trigger="t2", project_id="another")
            fire(rows)
            assert _begin(rows, limit=1, per_project=2) == ["small"]

    def test_one_that_may_not_begin_any_more_was_missed(self, database):
        with database.write() as rows:
            scheduled(rows, "a")
            fire(rows, window=-1)
            assert rows.scheduled_runs.wanted() == (True, False)
            assert _begin(rows) == []
            run = run_of(rows)
            assert run.status == "missed" and run.ended_at and "within its window" in run.reason

    def test_a_suspended_plan_is_not_run(self, database):
        with database.write() as rows:
            scheduled(rows, "a")
            rows.fires.note_status("plan-a", before="started", after="suspended")
            fire(rows)
            assert _begin(rows) == []
            assert (run_of(rows).status, run_of(rows).reason) == ("skipped", "The plan is suspended.")


class TestOverlap:
    def _second(self, rows, overlap):
        scheduled(rows, "a", definition={"overlap": overlap})
        fire(rows)
        assert _begin(rows) == ["a"]
        return rows.scheduled_runs.ask(rows.scheduled_operations.get("a"))

    def test_skip(self, database):
        with database.write() as rows:
            second = self._second(rows, None)
            assert _begin(rows) == []
            found = rows.scheduled_runs.get(second.id)
            assert found.status == "skipped" and "had not ended" in found.reason

    def test_queue_keeps_one_and_no_more(self, database):
        with database.write() as rows:
            second = self._second(rows, "queue")
            third = rows.scheduled_runs.ask(rows.scheduled_operations.get("a"))
            assert _begin(rows) == []
            statuses = {rows.scheduled_runs.get(run.id).status for run in (second, third)}
            assert statuses == {"waiting", "skipped"}

    def test_replace_begins_beside_it_and_ends_what_had_begun_nothing(self, database):
        with database.write() as rows:
            second = self._second(rows, "replace")
            first = next(run for run in rows.scheduled_runs.list(PageRequest()).items if run.id != second.id)
            assert _begin(rows) == ["a"]
            ours = rows.scheduled_runs.get(second.id)
            assert rows.scheduled_runs.replace_earlier(ours) == []
            assert rows.scheduled_runs.get(first.id).status == "failed"

    def test_replace_tells_which_checkpoint_is_to_be_called_off(self, database):
        with database.write() as rows:
            second = self._second(rows, "replace")
            first = next(run for run in rows.scheduled_runs.list(PageRequest()).items if run.id != second.id)
            rows.scheduled_runs.note(rows.scheduled_runs.get(first.id), checkpoint_id="c1")
            _begin(rows)
            (found,) = rows.scheduled_runs.replace_earlier(rows.scheduled_runs.get(second.id))
            assert found.result["checkpoint_id"] == "c1"
            assert rows.scheduled_runs.get(first.id).result["replaced"] == second.id


@pytest.fixture
def run(database):
    """A run that was just begun."""
    with database.write() as rows:
        scheduled(rows, "a")
        fire(rows)
        return rows.scheduled_runs.begin(**{**BEGIN, "lease_ms": -1000})[0]


class TestLease:
    def test_who_lost_it_writes_nothing(self, database, run):
        with database.write() as rows:
            (theirs,) = _resume(rows)
            assert (theirs.id, theirs.fence, theirs.owner) == (run.id, run.fence + 1, "engine-2")
            assert _resume(rows) == []
        for write in (
            lambda rows: rows.scheduled_runs.check(run),
            lambda rows: rows.scheduled_runs.check(run, lease_ms=5),
            lambda rows: rows.scheduled_runs.note(run, x=1),
            lambda rows: rows.scheduled_runs.pause(run, delay_ms=0),
            lambda rows: rows.scheduled_runs.again(run, delay_ms=0, reason=""),
            lambda rows: rows.scheduled_runs.end(run, "success"),
        ):
            with pytest.raises(errors.LeaseLost), database.write() as rows:
                write(rows)

    def test_a_lease_that_was_made_longer_is_not_taken(self, database, run):
        with database.write() as rows:
            rows.scheduled_runs.check(run, lease_ms=LEASE)
            assert _resume(rows) == []

    def test_one_that_was_given_back_is_taken_when_its_time_has_come(self, database, run):
        with database.write() as rows:
            rows.scheduled_runs.pause(run, delay_ms=60_000, reason="it waits")
            assert _resume(rows) == [] and rows.scheduled_runs.get(run.id).reason == "it waits"
            (again,) = _resume_after(rows, run)
            assert again.fence == run.fence + 1

    def test_notes_add_up_and_none_takes_away(self, database, run):
        with database.write() as rows:
            rows.scheduled_runs.note(run, a=1, b=2)
            rows.scheduled_runs.end(run, "success", b=None, c=3)
            found = rows.scheduled_runs.get(run.id)
            assert (found.status, dict(found.result)) == ("success", {"a": 1, "c": 3})
            with pytest.raises(errors.LeaseLost):
                rows.scheduled_runs.end(run, "success")

    def test_another_attempt_has_other_keys_and_remembers_the_last(self, database, run):
        with database.write() as rows:
            run = rows.scheduled_runs.note(run, checkpoint_id="c1")
            rows.scheduled_runs.again(run, delay_ms=0, reason="no space")
            found = rows.scheduled_runs.get(run.id)
            assert dict(found.result) == {"failed": ["c1"]} and found.attempts == 2
            assert found.key("protect") != run.key("protect")


def _resume_after(rows, run):
    """As when the pause is over."""
    theirs = rows.scheduled_runs.get(run.id)
    rows.scheduled_runs.pause(theirs, delay_ms=-1000)
    return _resume(rows)


class TestAttach:
    def test_a_checkpoint_is_begun_for_a_run_once_and_only_by_its_owner(self, database, run):
        good = {"fence": run.fence, "operation_id": "a", "checkpoint_id": "c1"}
        with database.write() as rows:
            with pytest.raises(errors.NotFound):
                rows.scheduled_runs.attach(run.id, **{**good, "operation_id": "b"})
            with pytest.raises(errors.Conflict):
                rows.scheduled_runs.attach(run.id, **{**good, "fence": run.fence - 1})
            rows.scheduled_runs.attach(run.id, **good)
            assert rows.scheduled_runs.get(run.id).result["checkpoint_id"] == "c1"
            with pytest.raises(errors.Conflict):
                rows.scheduled_runs.attach(run.id, **{**good, "checkpoint_id": "c2"})

    def test_nothing_is_begun_for_one_that_ended(self, database, run):
        with database.write() as rows:
            rows.scheduled_runs.end(run, "missed", reason="late")
            with pytest.raises(errors.Conflict):
                rows.scheduled_runs.attach(run.id, fence=run.fence, operation_id="a", checkpoint_id="c1")


class TestEnd:
    def test_with_its_operation_go_its_runs_but_for_one_under_way(self, database, run):
        with database.write() as rows:
            other = rows.scheduled_runs.ask(rows.scheduled_operations.get("a"))
            rows.scheduled_operations.delete("a")
            assert rows.scheduled_runs.get(run.id).status == "running"
            with pytest.raises(errors.NotFound):
                rows.scheduled_runs.get(other.id)

    def test_old_ones_are_purged(self, database, run):
        with database.write() as rows:
            assert rows.scheduled_runs.purge(rows.fires.now() + timedelta(days=1), 10) == 0
            rows.scheduled_runs.end(run, "success")
            assert rows.scheduled_runs.purge(rows.fires.now() - timedelta(days=1), 10) == 0
            assert rows.scheduled_runs.purge(rows.fires.now() + timedelta(days=1), 10) == 1

    def test_a_list_is_of_one_operation_and_may_be_of_one_status(self, database, run):
        with database.write() as rows:
            for status, found in (("running", 1), ("missed", 0)):
                filters = {"scheduled_operation_id": "a", "status": status}
                request = PageRequest(filters=filters, project_id=make.PROJECT)
                assert len(rows.scheduled_runs.list(request).items) == found


class TestCosts:
    """On SQLite alone: the servers choose by what they know of the rows."""

    def test_nothing_that_is_asked_again_and_again_looks_at_the_whole_table(self, database):
        mine = {"scheduled_operation_id": "a"}
        lists = [
            PageRequest(limit=10, sort=((key, direction),), filters={**mine, **more}, project_id=make.PROJECT)
            for key, direction, more in (
                ("scheduled_for", "desc", {}),
                ("scheduled_for", "asc", {"status": "missed"}),
                ("id", "desc", {}),
            )
        ]
        with database.write() as rows, asked(rows.connection) as queries:
            rows.scheduled_runs.wanted()
            rows.scheduled_runs.resume(owner="e", lease_ms=1, limit=1)
            rows.fires.due(10)
            rows.fires.wait_ms(1000)
            for request in lists:
                rows.scheduled_runs.list(request)
        with database.read() as rows:
            for statement, values in queries:
                found = steps(rows.connection, statement, values)
                assert not any(dear(rows.connection, step) for step in found), (statement, found)

# SPDX-License-Identifier: Apache-2.0
"""Does the list of plans show what became of each, without looking at their checkpoints?"""

import pytest

from karbor.model import errors
from karbor.model.plan import PlanSummary
from tests.support import rows as make


def _summary(rows, id="plan-1"):
    return rows.plans.summaries([id])[id]


def _run(rows, clock, id, *statuses, **given):
    """A checkpoint a second later than the one before, that goes through these statuses."""
    clock.pass_time(1)
    checkpoint = rows.checkpoints.create(make.checkpoint(id, **given))
    for status in statuses:
        rows.checkpoints.transition(id, status)
    return checkpoint.created_at


class TestSummaries:
    def test_a_plan_that_never_ran_has_an_empty_one(self, database):
        with database.read() as rows:
            assert rows.plans.summaries(["a", "b"]) == {"a": PlanSummary(), "b": PlanSummary()}
            assert rows.plans.summaries([]) == {}

    def test_the_last_run_and_the_last_good_one_may_be_two(self, database, clock):
        with database.write() as rows:
            good = _run(rows, clock, "1", "available")
            assert _summary(rows) == PlanSummary(1, good, "available", "1", good, "1")
            later = _run(rows, clock, "2")
            assert _summary(rows) == PlanSummary(2, later, "protecting", "2", good, "1")
            rows.checkpoints.transition("2", "error")
            assert _summary(rows) == PlanSummary(2, later, "error", "2", good, "1")
            assert _summary(rows, "another") == PlanSummary()

    def test_a_run_that_ends_late_is_not_the_last_one(self, database, clock):
        with database.write() as rows:
            _run(rows, clock, "1")
            later = _run(rows, clock, "2", "available")
            rows.checkpoints.transition("1", "available")
            assert _summary(rows) == PlanSummary(2, later, "available", "2", later, "2")

    def test_when_the_last_good_one_goes_the_one_before_takes_its_place(self, database, clock):
        with database.write() as rows:
            first = _run(rows, clock, "1", "available")
            _run(rows, clock, "2", "error")
            last = _run(rows, clock, "3", "available")
            rows.checkpoints.transition("3", "deleting")
            assert _summary(rows) == PlanSummary(3, last, "available", "3", first, "1")
            rows.checkpoints.transition("3", "deleted")
            assert _summary(rows) == PlanSummary(2, last, "available", "3", first, "1")
            rows.checkpoints.transition("1", "error")
            assert _summary(rows).last_good_id is None
            rows.checkpoints.transition("1", "available")
            assert _summary(rows).last_good_id == "1"

    def test_how_a_run_ended_is_known_when_deleting_it_failed(self, database, clock):
        with database.write() as rows:
            _run(rows, clock, "1", "available", "deleting", "error-deleting", "error")
            assert _summary(rows).last_run_status == "available"
            assert _summary(rows).last_good_id is None

    def test_a_copy_counts_and_is_no_run(self, database, clock):
        with database.write() as rows:
            good = _run(rows, clock, "1", "available")
            _run(rows, clock, "2", "copying", "available", status="wait_copying", source_id="1", provider_id="there")
            assert _summary(rows) == PlanSummary(2, good, "available", "1", good, "1")

    def test_runs_of_the_same_moment_have_one_order(self, database, clock):
        with database.write() as rows:
            for id in ("b", "a", "c"):
                rows.checkpoints.create(make.checkpoint(id, created_at=clock.now()))
            for id in ("c", "a", "b"):
                rows.checkpoints.transition(id, "available")
            assert (_summary(rows).last_run_id, _summary(rows).last_good_id) == ("c", "c")

    def test_it_outlives_its_plan_as_long_as_there_are_checkpoints(self, database, clock):
        with database.write() as rows:
            rows.plans.create(make.plan())
            _run(rows, clock, "1", "available")
            rows.plans.delete("plan-1")
            assert _summary(rows).checkpoints == 1
            rows.checkpoints.transition("1", "deleting")
            rows.checkpoints.transition("1", "deleted")
            assert _summary(rows) == PlanSummary()

    def test_a_plan_without_checkpoints_leaves_nothing_behind(self, database, clock):
        with database.write() as rows:
            rows.plans.create(make.plan())
            _run(rows, clock, "1", "available", "deleting", "deleted")
            assert _summary(rows).last_run_id == "1"
            rows.plans.delete("plan-1")
            assert _summary(rows) == PlanSummary()

    def test_a_refused_move_changes_nothing(self, database, clock):
        with database.write() as rows:
            _run(rows, clock, "1", "available")
            before = _summary(rows)
            with pytest.raises(errors.Conflict):
                rows.checkpoints.transition("1", "protecting")
            assert _summary(rows) == before

    def test_progress_and_sizes_leave_it_alone(self, database, clock):
        with database.write() as rows:
            moment = _run(rows, clock, "1")
            rows.checkpoints.update("1", mode="full")
            assert _summary(rows).last_run_at == moment == clock.now()

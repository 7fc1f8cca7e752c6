# SPDX-License-Identifier: Apache-2.0
"""Does exactly one engine get each time of a trigger, and does nothing get lost when things change beside it?"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from karbor.db.fires import BROKEN, UNPLANNED, Fired, Settled, milliseconds, moment
from karbor.model.page import PageRequest
from tests.support import rows as make
from tests.support.schedules import fire, run_of, scheduled


def _statuses(rows):
    return {run.scheduled_operation_id: run.status for run in rows.scheduled_runs.list(PageRequest()).items}


class TestDue:
    def test_the_longest_due_comes_first_and_the_rest_waits(self, database, clock):
        with database.write() as rows:
            now = rows.fires.now()
            for name, seconds in (("late", -60), ("now", 0), ("soon", 1)):
                rows.triggers.create(make.trigger(name, next_fire=now + timedelta(seconds=seconds)))
            rows.triggers.create(make.trigger("new"))
            assert [one.trigger.id for one in rows.fires.due(10)] == ["new", "late", "now"]
            assert rows.fires.due(1)[0].at_ms == UNPLANNED
            assert rows.fires.wait_ms(5000) == 0

    def test_how_long_there_is_nothing_to_do(self, database):
        with database.write() as rows:
            assert rows.fires.wait_ms(5000) == 5000
            rows.triggers.create(make.trigger("soon", next_fire=rows.fires.now() + timedelta(seconds=2)))
            assert 1500 <= rows.fires.wait_ms(5000) <= 2000


class TestClaim:
    def test_each_enabled_operation_of_the_trigger_gets_a_run(self, database):
        with database.write() as rows:
            scheduled(rows, "a", "b")
            scheduled(rows, "off", enabled=False)
            at = rows.fires.due(10)[0].at_ms
            assert fire(rows) == 2
            assert _statuses(rows) == {"a": "waiting", "b": "waiting"}
            run = run_of(rows)
            assert (run.scheduled_for, run.begin_until_ms) == (moment(at), at + 900_000)
            assert run.definition["plan_id"] == run.plan_id == "plan-a"
            assert rows.fires.due(10) == []

    def test_who_comes_second_makes_nothing(self, database):
        with database.write() as rows:
            scheduled(rows, "a")
            due = rows.fires.due(10)[0]
            settled = Settled(due, due.at_ms + 1000, (Fired(due.at_ms, until_ms=due.at_ms + 1),))
            assert [rows.fires.claim([settled]), rows.fires.claim([settled])] == [1, 0]
            assert len(rows.scheduled_runs.list(PageRequest()).items) == 1

    def test_a_time_that_comes_again_because_a_clock_went_back_makes_nothing(self, database):
        with database.write() as rows:
            scheduled(rows, "a")
            due = rows.fires.due(10)[0]
            fired = (Fired(due.at_ms, until_ms=due.at_ms + 1),)
            rows.fires.claim([Settled(due, due.at_ms, fired)])
            rows.fires.claim([Settled(rows.fires.due(10)[0], None, fired)])
            assert len(rows.scheduled_runs.list(PageRequest()).items) == 1

    def test_times_before_an_operation_was_there_or_enabled_are_not_its_own(self, database, clock):
        with database.write() as rows:
            scheduled(rows, "a", enabled=False)
            before = rows.fires.now_ms()
        clock.pass_time(60)
        with database.write() as rows:
            scheduled(rows, "b")
            rows.scheduled_operations.update(replace(rows.scheduled_operations.get("a"), enabled=True))
            due = rows.fires.due(10)[0]
            times = (before, rows.fires.now_ms())
            made = rows.fires.claim([Settled(due, None, tuple(Fired(at, missed="late") for at in times))])
            if rows.connection.dialect.name == "sqlite":  # the servers have clocks of their own
                assert made == 2
                assert {run_of(rows, name).scheduled_for for name in "ab"} == {moment(times[1])}

    def test_a_change_beside_it_is_seen(self, database):
        """What the engine found out of a trigger that was changed since does not count."""
        with database.write() as rows:
            scheduled(rows, "a")
            due = rows.fires.due(10)[0]
            rows.triggers.update(replace(rows.triggers.get("trigger-1"), name="changed"))
            assert rows.fires.claim([Settled(due, None, ())]) == 0

    def test_a_time_that_has_come_outlives_a_change_of_the_trigger(self, database):
        with database.write() as rows:
            scheduled(rows, "a")
            before = rows.triggers.get("trigger-1")
            later = rows.fires.now() + timedelta(hours=1)
            rows.triggers.update(replace(before, next_fire=later))
            assert rows.triggers.get("trigger-1").next_fire == before.next_fire
            fire(rows)
            rows.triggers.update(replace(before, next_fire=later))
            assert rows.triggers.get("trigger-1").next_fire == moment(milliseconds(later))


class TestBroken:
    def test_one_that_nobody_understands_waits_for_a_new_start(self, database):
        with database.write() as rows:
            scheduled(rows, "a")
            due = rows.fires.due(10)[0]
            rows.fires.claim([Settled(due, BROKEN, (Fired(due.at_ms, missed="why"),))])
            assert rows.fires.due(10) == [] and rows.triggers.get("trigger-1").next_fire is None
            rows.fires.revive()
            assert rows.fires.due(10)[0].at_ms == UNPLANNED
            assert run_of(rows).reason == "why"


class TestNextOfPlans:
    def test_the_nearest_enabled_one_counts_unless_the_plan_is_suspended(self, database):
        with database.write() as rows:
            now = rows.fires.now()
            assert rows.fires.next_of_plans([]) == {} == rows.fires.next_of_triggers([])
            for number in (1, 2, 3):
                rows.triggers.create(make.trigger(f"t{number}", next_fire=now + timedelta(hours=number)))
            rows.plans.create(make.plan("plan-1"))
            for number in (1, 2, 3):
                given = {"trigger_id": f"t{number}", "enabled": number > 1}
                rows.scheduled_operations.create(make.scheduled_operation(str(number), **given))
            expected = {"plan-1": moment(milliseconds(now + timedelta(hours=2)))}
            assert rows.fires.next_of_plans(["plan-1", "plan-2"]) == expected
            rows.fires.note_status("plan-1", before="started", after="started")
            assert rows.fires.next_of_plans(["plan-1"]) == expected
            rows.fires.note_status("plan-1", before="started", after="suspended")
            assert rows.fires.next_of_plans(["plan-1"]) == {}
            rows.fires.note_status("plan-1", before="suspended", after="started")
            assert rows.fires.next_of_plans(["plan-1"]) == expected


def test_milliseconds_and_moments_are_two_ways_to_say_the_same():
    at = datetime(2026, 10, 25, 0, 30, 0, 123000, tzinfo=UTC)
    assert moment(milliseconds(at)) == at

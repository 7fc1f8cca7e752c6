# SPDX-License-Identifier: Apache-2.0
"""Does an operation that fails again and again rest, and come back when it does well?"""

from dataclasses import replace
from datetime import timedelta

from karbor.model.scheduled_operation import Health
from tests.support.schedules import BEGIN, fire, run_of, scheduled

PACE = {"after": 3, "pause_ms": 3_600_000}


def _fail(rows, times=1, name="a"):
    for _time in range(times):
        rows.breakers.note(name, good=False, **PACE)


def _health(rows, name="a"):
    return rows.breakers.of([name]).get(name, Health())


class TestBreakers:
    def test_it_rests_after_so_many_failures_in_a_row_and_twice_as_long_after_one_more(self, database, clock):
        with database.write() as rows:
            _fail(rows, 2)
            assert _health(rows) == Health(2, None)
            _fail(rows)
            assert _health(rows) == Health(3, rows.fires.now() + timedelta(hours=1))
            clock.pass_time(3601)
            assert _health(rows) == Health(3, None)
            _fail(rows)
            assert _health(rows) == Health(4, rows.fires.now() + timedelta(hours=2))
            _fail(rows, 40)
            assert _health(rows) == Health(44, rows.fires.now() + timedelta(hours=24))

    def test_one_success_and_all_is_forgotten(self, database):
        with database.write() as rows:
            _fail(rows, 5)
            rows.breakers.note("a", good=True, **PACE)
            assert _health(rows) == Health()
            _fail(rows)
            assert _health(rows) == Health(1, None)

    def test_it_never_rests_where_no_number_is_set(self, database):
        with database.write() as rows:
            for _time in range(9):
                rows.breakers.note("a", good=False, after=0, pause_ms=1)
            assert _health(rows) == Health(9, None)
            assert rows.breakers.of([]) == {}

    def test_while_it_rests_its_times_are_skipped_but_for_runs_by_hand_and_then_one_is_tried(self, database, clock):
        with database.write() as rows:
            scheduled(rows, "a", "b")
            _fail(rows, 3)
            fire(rows)
            assert [run.scheduled_operation_id for run in rows.scheduled_runs.begin(**BEGIN)] == ["b"]
            skipped = run_of(rows)
            assert skipped.status == "skipped" and "3 runs failed one after the other" in skipped.reason
            clock.pass_time(1)
            rows.scheduled_runs.ask(rows.scheduled_operations.get("a"))
            (asked,) = rows.scheduled_runs.begin(**BEGIN)
            assert asked.manual
            rows.scheduled_runs.end(asked, "failed")
            clock.pass_time(3601)
            rows.triggers.update(replace(rows.triggers.get("trigger-1"), next_fire=rows.fires.now()))
            fire(rows)
            assert "a" in [run.scheduled_operation_id for run in rows.scheduled_runs.begin(**BEGIN)]

    def test_whoever_changes_or_deletes_the_operation_has_seen_to_it(self, database):
        with database.write() as rows:
            scheduled(rows, "a")
            _fail(rows, 3)
            rows.scheduled_operations.update(rows.scheduled_operations.get("a"))
            assert _health(rows) == Health()
            _fail(rows, 3)
            rows.scheduled_operations.delete("a")
            assert _health(rows) == Health()

# SPDX-License-Identifier: Apache-2.0
"""Does an event start what hangs on its trigger exactly once, whoever tells it and however often?"""

import threading
from datetime import timedelta

import pytest

from karbor.model import errors
from karbor.model.event import MAX_CHAIN, Event, event_id
from karbor.model.page import PageRequest
from tests.support import rows as make
from tests.support.schedules import scheduled

GIVEN = {"window_ms": 900_000, "interval_ms": 60_000}


def _event(key="1", **given):
    return Event(make.PROJECT, "webhook", "webhook", key, **given)


def _take(rows, event=None, **given):
    return rows.events.take(rows.triggers.get("trigger-1"), event or _event(), **{**GIVEN, **given})


def _runs(rows, **filters):
    return rows.scheduled_runs.list(PageRequest(filters=filters, sort=(("scheduled_for", "asc"),))).items


def _seen(rows, **filters):
    return rows.events.list(PageRequest(filters=filters, sort=(("at", "asc"),))).items


class TestOnce:
    def test_each_enabled_operation_gets_a_run_that_says_why(self, database):
        with database.write() as rows:
            scheduled(rows, "a", "b")
            scheduled(rows, "off", enabled=False)
            taken = _take(rows)
            assert (taken.outcome, taken.runs, taken.id) == ("fired", 2, event_id("trigger-1", _event()))
            assert {run.scheduled_operation_id for run in _runs(rows)} == {"a", "b"}
            run = _runs(rows)[0]
            assert (run.status, run.scheduled_for, run.not_before_ms) == ("waiting", taken.at, taken.due_ms)
            assert run.begin_until_ms == taken.due_ms + 900_000
            assert run.result["cause"] == {
                "event_id": taken.id, "source": "webhook", "type": "webhook", "chain": ["trigger-1"]
            }  # fmt: skip

    def test_the_same_event_again_is_the_same_and_makes_nothing(self, database, clock):
        with database.write() as rows:
            scheduled(rows, "a")
            taken = _take(rows)
            clock.pass_time(1000)
            assert _take(rows) == taken
            assert len(_runs(rows)) == 1 and _seen(rows) == (taken,)

    def test_keys_may_hold_anything_and_are_told_apart_byte_by_byte(self, database, clock):
        with database.write() as rows:
            scheduled(rows, "a")
            keys = ["a", "A", "a ", "\x00", "\ud800", "x" * 10_000, "\u00e4", "a\u0308"]
            assert len({_take(rows, _event(key)).id for key in keys}) == len(keys)

    def test_many_at_once_are_one(self, database):
        with database.write() as rows:
            scheduled(rows, "a")
        found = []
        ask = lambda: found.append(database.retrying(_take))  # noqa: E731 - what each thread does
        together = [threading.Thread(target=ask) for _ in range(8)]
        for thread in together:
            thread.start()
        for thread in together:
            thread.join()
        with database.read() as rows:
            assert len(set(found)) == 1 and len(found) == 8 and len(_runs(rows)) == 1

    def test_a_run_by_hand_at_the_same_moment_takes_nothing_away(self, database):
        with database.write() as rows:
            scheduled(rows, "a")
            asked = rows.scheduled_runs.ask(rows.scheduled_operations.get("a"))
            taken = _take(rows)
            assert asked.scheduled_for < taken.at and len(_runs(rows)) == 2

    def test_without_operations_it_is_seen_and_ignored(self, database):
        with database.write() as rows:
            rows.triggers.create(make.trigger())
            taken = _take(rows)
            assert (taken.outcome, taken.runs) == ("ignored", 0) and "No enabled" in taken.reason

    def test_where_the_trigger_is_gone_it_is_not_taken(self, database):
        with database.write() as rows:
            trigger = rows.triggers.create(make.trigger())
            _take(rows)
            rows.triggers.delete(trigger.id)
            assert _seen(rows) == ()
            with pytest.raises(errors.NotFound):
                rows.events.take(trigger, _event(), **GIVEN)

    def test_a_chain_has_an_end(self, database):
        with database.write() as rows:
            scheduled(rows, "a")
            taken = _take(rows, _event(chain=tuple(f"t{number}" for number in range(MAX_CHAIN))))
            assert taken.outcome == "ignored" and "chain" in taken.reason and not _runs(rows)


class TestSoonAfterEachOther:
    def test_the_first_begins_at_once_and_all_that_follow_are_taken_together(self, database, clock):
        with database.write() as rows:
            scheduled(rows, "a")
            first = _take(rows, _event("1"))
            clock.pass_time(10)
            second = _take(rows, _event("2"))
            clock.pass_time(10)
            third = _take(rows, _event("3"))
            assert [one.outcome for one in (first, second, third)] == ["fired", "fired", "joined"]
            assert second.due_ms == third.due_ms == first.due_ms + 60_000
            clock.pass_time(60)
            fourth = _take(rows, _event("4"))
            assert fourth.outcome == "fired" and fourth.due_ms == second.due_ms + 60_000
            assert len(_runs(rows)) == 3
            assert [one.outcome for one in _seen(rows, trigger_id="trigger-1")] == [
                "fired", "fired", "joined", "fired"
            ]  # fmt: skip

    def test_a_run_waits_for_its_time(self, database, clock):
        begin = {"owner": "e", "lease_ms": 1000, "limit": 10, "per_project": 0, "per_provider": 0}
        with database.write() as rows:
            scheduled(rows, "a", definition={"overlap": "queue"})
            _take(rows, _event("1"))
            _take(rows, _event("2"))
            (run,) = rows.scheduled_runs.begin(**begin)
            rows.scheduled_runs.end(run, "success")
            assert rows.scheduled_runs.begin(**begin) == []
            clock.pass_time(61)
            assert len(rows.scheduled_runs.begin(**begin)) == 1

    def test_what_is_old_is_removed(self, database, clock):
        with database.write() as rows:
            scheduled(rows, "a")
            _take(rows)
            assert rows.events.purge(rows.fires.now(), 10) == 0
            clock.pass_time(1)
            assert rows.events.purge(rows.fires.now() - timedelta(days=1), 10) == 0
            assert rows.events.purge(rows.fires.now(), 10) == 1

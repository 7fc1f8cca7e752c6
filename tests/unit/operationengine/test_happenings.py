# SPDX-License-Identifier: Apache-2.0
"""Does what happens start what waits for it: once, in its own project, and never itself?"""

import pytest

from karbor.model.event import NOTIFICATION, Event
from karbor.model.page import PageRequest
from karbor.operationengine.happenings import Happenings
from karbor.operationengine.steps import Steps, StepSettings
from karbor.sdk.trigger import Limits, load_types
from tests.support import rows as make
from tests.support.schedules import BEGIN, LEASE, fire, scheduled

HAPPENINGS = Happenings(load_types(Limits(3600, 900, 1800)), interval_ms=0)


def _waits(rows, name, type_, operation=None, **properties):
    """A trigger of that type, with a scheduled operation on it."""
    rows.triggers.create(make.trigger(f"t-{name}", type=type_, properties=properties))
    rows.plans.create(make.plan(f"plan-{name}"))
    what = {"plan_id": operation or f"plan-{name}", "provider_id": make.PROVIDER}
    rows.scheduled_operations.create(make.scheduled_operation(name, trigger_id=f"t-{name}", operation_definition=what))


def _all(rows):
    return [
        (run.scheduled_operation_id, run.status)
        for run in rows.scheduled_runs.list(PageRequest(sort=(("scheduled_for", "asc"),))).items
    ]


def _told(type_="volume.create.end", project=make.PROJECT, key="1", **payload):
    return Event(project, NOTIFICATION, type_, key, payload)


class TestNotifications:
    def test_it_starts_what_waits_for_it_in_its_own_project(self, database):
        with database.write() as rows:
            _waits(rows, "a", "notification", event_type="volume.*", conditions={"size": "1"})
            _waits(rows, "b", "notification", event_type="compute.*")
            _waits(rows, "c", "webhook")
            assert HAPPENINGS.take(rows, _told(project="another", size=1)) == []
            assert HAPPENINGS.take(rows, _told(size=2)) == []
            for _time in range(3):
                (taken,) = HAPPENINGS.take(rows, _told(size=1))
            assert (taken.trigger_id, taken.outcome, taken.type) == ("t-a", "fired", "volume.create.end")
            assert _all(rows) == [("a", "waiting")]

    def test_whether_anybody_waits_is_known_without_a_change(self, database):
        with database.write() as rows:
            _waits(rows, "a", "notification", event_type="volume.*")
        assert HAPPENINGS.wanted(database, _told())
        assert not HAPPENINGS.wanted(database, _told("compute.instance.create.end"))
        assert not HAPPENINGS.wanted(database, _told(project="another"))


class _House:
    def __init__(self, database, north, clock):
        self.database, self.north, self.clock = database, north, clock
        self.steps = Steps(database, north, StepSettings(lease=LEASE, watch=1000, retry=1000), HAPPENINGS)

    def go_on(self, rounds=30):
        for _round in range(rounds):
            self.clock.pass_time(100)
            with self.database.write() as rows:
                found = [
                    *rows.scheduled_runs.resume(owner="engine-2", lease_ms=LEASE, limit=10),
                    *rows.scheduled_runs.begin(**BEGIN),
                ]
            for run in found:
                self.steps.step(run)
        with self.database.read() as rows:
            return _all(rows)


@pytest.fixture
def house(database, north, clock):
    return _House(database, north, clock)


class TestAfter:
    def test_a_good_end_starts_the_next_and_so_on(self, house):
        with house.database.write() as rows:
            scheduled(rows, "a")
            _waits(rows, "b", "after", scheduled_operation_id="a")
            _waits(rows, "c", "after", scheduled_operation_id="b", outcome="any")
            _waits(rows, "d", "after", scheduled_operation_id="a", outcome="failed")
            fire(rows)
        assert house.go_on() == [("a", "success"), ("b", "success"), ("c", "success")]

    def test_a_bad_end_starts_what_waits_for_it(self, house, north):
        north.ends = "error"
        with house.database.write() as rows:
            scheduled(rows, "a")
            _waits(rows, "b", "after", scheduled_operation_id="a")
            _waits(rows, "d", "after", scheduled_operation_id="a", outcome="failed")
            fire(rows)
        assert house.go_on() == [("a", "failed"), ("d", "failed")]

    def test_a_circle_is_gone_through_once(self, house):
        with house.database.write() as rows:
            scheduled(rows, "a")
            _waits(rows, "b", "after", plan_id="plan-a", operation="plan-a")
            _waits(rows, "c", "after", plan_id="plan-a", operation="plan-a", outcome="any")
            fire(rows)
        names = [name for name, _status in house.go_on(60)]
        assert names[0] == "a" and sorted(names[1:]) == ["b", "b", "c", "c"]  # after a, and after each other

    def test_it_is_started_in_the_transaction_of_the_end(self, house):
        """Whoever lost the run ends nothing, and starts nothing."""
        with house.database.write() as rows:
            scheduled(rows, "a")
            _waits(rows, "b", "after", scheduled_operation_id="a", outcome="any")
            fire(rows)
        with house.database.write() as rows:
            (run,) = rows.scheduled_runs.begin(**BEGIN)
        house.steps.step(run)
        house.clock.pass_time(100)
        with house.database.write() as rows:
            (lost,) = rows.scheduled_runs.resume(owner="e1", lease_ms=1000, limit=1)
        house.clock.pass_time(100)
        with house.database.write() as rows:
            (ours,) = rows.scheduled_runs.resume(owner="e2", lease_ms=LEASE, limit=1)
        house.steps.step(lost)
        with house.database.read() as rows:
            assert _all(rows) == [("a", "running")]
        house.steps.step(ours)
        with house.database.read() as rows:
            assert _all(rows) == [("a", "success"), ("b", "waiting")]

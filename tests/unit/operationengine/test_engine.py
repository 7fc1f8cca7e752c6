# SPDX-License-Identifier: Apache-2.0
"""Does every due time start exactly one operation, or is it told of as missed, whoever looks and whenever?"""

import collections
import os
import random
import threading
import time
from datetime import timedelta

import pytest

from karbor.db.fires import insert_new, milliseconds
from karbor.model.page import PageRequest
from karbor.operationengine.engine import BINARY
from karbor.sdk.trigger import Limits, load_types
from tests.support import rows as make
from tests.support.northbound import NorthTwin
from tests.support.schedules import engine_for, run_of, scheduled

PATTERNS = ("0 2 * * *", "30 1,13 * * *", "15 */6 * * *", "0 3 * * 1", "45 23 * * *", "0 */2 * * *")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
LIMITS = Limits(3600, 900, 1800)
#: For the long run: KARBOR_SCHEDULE_TRIGGERS=1000.
TRIGGERS = int(os.environ.get("KARBOR_SCHEDULE_TRIGGERS", "60"))
DAYS = 10


def _all(rows):
    page = PageRequest(limit=1000, sort=(("id", "asc"),))
    while True:
        found = rows.scheduled_runs.list(page)
        yield from found.items
        if not found.full:
            return
        page = PageRequest(limit=1000, sort=(("id", "asc"),), marker=found.items[-1].id)


class TestTenDays:
    def test_no_time_is_lost_and_none_comes_twice(self, database, north, clock):
        """Three engines look at odd times, two at once, and sometimes nobody does for hours."""
        dice = random.Random(7)
        kinds = load_types(LIMITS)
        with database.write() as rows:
            start = rows.fires.now()
            for number in range(TRIGGERS):
                zone, window = ZONES[number % len(ZONES)], dice.choice([900, 1800])
                pattern = PATTERNS[number % len(PATTERNS)]
                properties = {"format": "crontab", "pattern": pattern, "timezone": zone, "window": window}
                trigger = make.trigger(f"t{number}", properties=properties, created_at=start)
                rows.triggers.create(trigger)
                _operation(rows, number)
        engines = [engine_for(database, north, clock, owner=f"engine-{n}") for n in range(3)]
        engines[0].fire()
        looks = []
        while clock.now() < start + timedelta(days=DAYS):
            clock.pass_time(dice.choice([60, 300, 840, 1700, 6 * 3600] if dice.random() < 0.1 else [60, 300, 840]))
            looks.append(milliseconds(clock.now()))
            at_once = [threading.Thread(target=engine.fire) for engine in dice.sample(engines, 2)]
            for thread in at_once:
                thread.start()
            for thread in at_once:
                thread.join()
        with database.read() as rows:
            found = collections.defaultdict(dict)
            for run in _all(rows):
                found[run.scheduled_operation_id][milliseconds(run.scheduled_for)] = run.status
            for number in range(TRIGGERS):
                trigger = rows.triggers.get(f"t{number}")
                assert found[f"o{number}"] == _expected(trigger, kinds["time"], start, looks), trigger.properties


def _operation(rows, number):
    if not number:
        rows.plans.create(make.plan())
    rows.scheduled_operations.create(make.scheduled_operation(f"o{number}", trigger_id=f"t{number}"))


def _expected(trigger, kind, start, looks):
    """What is to become of each time of a trigger, when engines looked then."""
    window = kind.window(trigger.properties) * 1000
    times = []
    for fire in kind.fires(trigger.properties, created_at=trigger.created_at, after=start, seed=trigger.id):
        if milliseconds(fire) > looks[-1]:
            break
        times.append(milliseconds(fire))
    expected, place = {}, 0
    for look in looks:
        due = []
        while place < len(times) and times[place] <= look:
            due.append(times[place])
            place += 1
        for at in due:
            expected[at] = "waiting" if at == due[-1] and look - at <= window else "missed"
    return expected


class TestAYearWithBothChangesOfTheClocks:
    @pytest.mark.parametrize("zone", ZONES)
    def test_every_night_has_one_run(self, database, north, clock, zone):
        properties = {"format": "crontab", "pattern": "30 2 * * *", "timezone": zone, "window": 1800}
        kind = load_types(LIMITS)["time"]
        with database.write() as rows:
            start = rows.fires.now()
            trigger = make.trigger("t0", properties=properties, created_at=start)
            rows.triggers.create(trigger)
            _operation(rows, 0)
        engine = engine_for(database, north, clock)
        engine.fire()
        expected = []
        for fire in kind.fires(properties, created_at=start, after=start, seed="t0"):
            if fire > start + timedelta(days=365):
                break
            expected.append(fire)
            clock.pass_time((fire - clock.now()).total_seconds() + 0.5)
            engine.fire()
        with database.read() as rows:
            runs = sorted(_all(rows), key=lambda run: run.scheduled_for)
        assert [run.scheduled_for for run in runs] == expected and {run.status for run in runs} == {"waiting"}
        assert len(expected) == 365


def _wait(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not within its time"
        time.sleep(0.02)


@pytest.fixture
def engine(database, north, clock):
    found = engine_for(database, north, clock, poll=0.05, report_interval=0)
    yield found
    found.stop(30)


def _run(database):
    with database.read() as rows:
        return run_of(rows)


class TestLooking:
    def test_what_is_due_is_done(self, database, north, engine, clock):
        with database.write() as rows:
            scheduled(rows, "a")
        engine.start()
        _wait(lambda: len(north.made()) == 1)
        clock.pass_time(5)  # it is looked at again some seconds after it was begun
        _wait(lambda: _run(database).status == "success")
        with database.read() as rows:
            assert [service.host for service in rows.services.list(binary=BINARY)] == ["host-1"]

    def test_one_that_is_disabled_takes_nothing_until_it_is_enabled(self, database, north, engine, clock):
        engine.look()
        with database.write() as rows:
            rows.services.set_enabled(rows.services.list(binary=BINARY)[0].id, enabled=False)
            scheduled(rows, "a")
        engine.look()
        with database.write() as rows:
            assert rows.scheduled_runs.list(PageRequest()).items == ()
            rows.services.set_enabled(rows.services.list(binary=BINARY)[0].id, enabled=True)
        engine.look()
        _wait(lambda: len(north.made()) == 1)

    def test_one_that_is_disabled_goes_on_with_what_was_begun(self, database, north, engine, clock):
        with database.write() as rows:
            scheduled(rows, "a")
        engine.look()
        _wait(lambda: len(north.made()) == 1 and _run(database).lease_until_ms == 0)
        with database.write() as rows:
            rows.services.set_enabled(rows.services.list(binary=BINARY)[0].id, enabled=False)
        clock.pass_time(5)
        engine.look()
        _wait(lambda: _run(database).status == "success")

    def test_old_rows_go(self, database, north, clock):
        engine = engine_for(database, north, clock, keep_days=30)
        with database.write() as rows:
            scheduled(rows, "a")
            run = rows.scheduled_runs.ask(rows.scheduled_operations.get("a"))
            old = {**vars(run), "id": "old", "scheduled_for": run.scheduled_for - timedelta(days=40)}
            old |= {"status": "missed", "manual": 0, "ended_at": run.scheduled_for - timedelta(days=40)}
            insert_new(rows.connection, [old])
        engine.look()
        with database.read() as rows:
            assert "old" not in [found.id for found in rows.scheduled_runs.list(PageRequest()).items]

    def test_what_was_taken_and_not_begun_is_given_back_at_the_end(self, database, north, clock):
        with database.write() as rows:
            scheduled(rows, *(f"o{number}" for number in range(12)))
        engine = engine_for(database, _Slow(database), clock, threads=1)
        engine.look()
        engine.look()
        engine.stop(60)
        with database.read() as rows:
            runs = rows.scheduled_runs.list(PageRequest()).items
            assert all(run.lease_until_ms == 0 for run in runs)
        assert len(north.made()) < 12


class _Slow(NorthTwin):
    """Needs some time for each request."""

    def protect(self, run):
        time.sleep(0.2)
        return super().protect(run)

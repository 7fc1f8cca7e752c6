# SPDX-License-Identifier: Apache-2.0
"""Is an alarm raised once by any number of engines, cleared by itself, and told of until somebody takes it?"""

from datetime import timedelta

import pytest

from karbor.model import errors
from karbor.operationengine.promises import Promises
from karbor.operationengine.telling import Channel
from karbor.operationengine.watch import Watch, WatchSettings
from karbor.sdk.trigger import Limits, load_types
from tests.support import rows as make
from tests.support.schedules import scheduled

HOUR = 3600
KINDS = load_types(Limits(3600, 900, 1800))


class Listener(Channel):
    """Keeps what it is told; refuses as long as it is told to."""

    def __init__(self, name="mail"):
        self.name = name
        self.told, self.faulty, self.tries = [], False, 0

    def send(self, told, *, more):
        self.tries += 1
        if self.faulty:
            raise errors.Unavailable("Nobody is there.")
        self.told.append(([one["event"] for one in told], more))


@pytest.fixture
def listener():
    return Listener()


@pytest.fixture
def news(database):
    """Every change of an alarm that other systems are told of."""
    found = []
    database.listen(lambda change: found.append(change.word) if change.noun == "alarm" else None)
    return found


@pytest.fixture
def engines(database, listener):
    """Two engines that look at the plans."""
    return [
        Watch(database, Promises(KINDS, grace=timedelta(hours=1)), [listener], WatchSettings(plans=2))
        for _engine in range(2)
    ]


def pass_hours(clock, engines, hours):
    """A look of each engine in every hour; returns what they changed."""
    changed = 0
    for _hour in range(hours):
        clock.pass_time(HOUR)
        changed += sum(engine.look() for engine in engines)
    return changed


def good(database, plan_id):
    with database.write() as rows:
        made = rows.checkpoints.create(make.checkpoint(f"checkpoint-{rows.fires.now_ms()}", plan_id=plan_id))
        rows.checkpoints.transition(made.id, "available")


def state(database, plan_id="plan-a"):
    with database.read() as rows:
        return rows.alarms.of([plan_id])[plan_id].state


@pytest.fixture
def nightly(database):
    """A plan that is made a checkpoint of every night at two."""
    with database.write() as rows:
        scheduled(rows, "a")


def test_it_is_raised_once_and_cleared_by_itself(database, clock, engines, news, nightly):
    assert pass_hours(clock, engines, 20) == 0 and state(database) == "ok"
    assert pass_hours(clock, engines, 30) == 1 and state(database) == "breached"
    assert pass_hours(clock, engines, 30) == 0 and news == ["raised"]
    good(database, "plan-a")
    assert pass_hours(clock, engines, 1) == 1 and state(database) == "ok"
    assert news == ["raised", "cleared"]


def test_two_that_saw_the_same_raise_it_once(database, clock, engines, news, nightly):
    pass_hours(clock, engines, 40)
    with database.read() as rows:
        (seen,) = rows.alarms.standings(["plan-a"])
    for _engine in range(2):
        with database.write() as rows:
            from_both = rows.alarms.settle(seen.alarm, seen.alarm.__class__(**{**vars(seen.alarm), "state": "ok"}), {})
    assert news == ["raised", "cleared"] and not from_both


def test_a_plan_that_goes_away_takes_its_alarm_along(database, clock, engines, nightly):
    pass_hours(clock, engines, 40)
    with database.write() as rows:
        rows.scheduled_operations.delete("a")
    assert pass_hours(clock, engines, 1) == 1 and state(database) == "none"
    with database.write() as rows:
        rows.plans.delete("plan-a")
    with database.read() as rows:
        assert rows.alarms.of(["plan-a"]) == {}


def test_plans_whose_age_is_given_need_no_schedule(database, clock, engines):
    with database.write() as rows:
        rows.plans.create(make.plan("plan-b", rpo=2 * HOUR))
    assert pass_hours(clock, engines, 3) == 1 and state(database, "plan-b") == "breached"


def test_what_waits_is_told_together_and_not_too_often(database, clock, engines, listener):
    with database.write() as rows:
        for number in range(5):
            rows.plans.create(make.plan(f"plan-{number}", rpo=HOUR))
    pass_hours(clock, engines, 2)
    assert [engine.tell() for engine in engines] == [2, 0]
    clock.pass_time(61)
    assert [engine.tell() for engine in engines] == [2, 0]
    clock.pass_time(61)
    assert [engine.tell() for engine in engines] == [1, 0]
    assert listener.told == [(["raised"] * 2, 3), (["raised"] * 2, 1), (["raised"], 0)]
    clock.pass_time(61)
    assert engines[0].tell() == 0 and listener.tries == 3


def test_what_nobody_takes_is_sent_again_less_and_less_often_and_given_up_in_the_end(
    database, clock, engines, listener
):
    with database.write() as rows:
        rows.plans.create(make.plan("plan-b", rpo=HOUR))
    pass_hours(clock, engines, 2)
    listener.faulty = True
    for _minute in range(60):
        clock.pass_time(60)
        engines[0].tell()
    assert 5 <= listener.tries <= 7
    listener.faulty = False
    clock.pass_time(HOUR)
    assert engines[1].tell() == 1
    good(database, "plan-b")
    pass_hours(clock, engines, 1)
    listener.faulty = True
    for _hour in range(80):
        clock.pass_time(HOUR)
        engines[0].tell()
    listener.faulty = False
    clock.pass_time(HOUR)
    assert engines[0].tell() == 0


def test_a_thread_of_it_ends_when_it_is_told_to(engines):
    engines[0].start()
    engines[0].stop(60)

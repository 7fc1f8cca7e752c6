# SPDX-License-Identifier: Apache-2.0
"""Is it told what a schedule would remove now, and what it would have kept after a year, and is nothing changed?"""

import argparse
from types import SimpleNamespace

import pytest

from karbor.cmd import outlook
from tests.support.clock import TwinClock
from tests.support.tenants import Tenants


@pytest.fixture
def daily(api):
    """A plan, with a schedule that keeps three, and seven checkpoints that it has made day by day, and a manual one."""
    plan = api.plan()
    schedule = api.scheduled_operation(plan, operation_type="retention_protect", definition={"max_backups": 3})
    made = []
    for _day in range(7):
        made.append(api.checkpoint(plan, extra_info={"scheduled_operation_id": schedule["id"]})["id"])
        api.clock.pass_time(86400)
    manual = api.checkpoint(plan)["id"]
    return SimpleNamespace(plan=plan, schedule=schedule, made=made, manual=manual)


def test_what_would_go_now_and_why_the_rest_stays(api, daily):
    found = api.get(f"/scheduled_operations/{daily.schedule['id']}/retention")["retention"]
    assert [one["checkpoint_id"] for one in found["removes"]] == daily.made[3::-1]
    kept = {one["checkpoint_id"]: one["reasons"] for one in found["keeps"]}
    assert kept == {
        daily.manual: ["not_own"],
        daily.made[6]: ["newest"],
        **dict.fromkeys(daily.made[4:6], ["within_bounds"]),
    }
    assert (found["kept"], found["removed"]) == (4, 4)
    assert api.get(f"/plans/{daily.plan['id']}/retention")["retentions"] == [found]
    assert all(api.get(f"/providers/{daily.plan['provider_id']}/checkpoints/{id}") for id in daily.made)


def test_what_would_be_kept_after_a_year(api, daily):
    found = api.get(f"/scheduled_operations/{daily.schedule['id']}/forecast")["forecast"]
    assert (found["made"], found["complete"], len(found["months"])) in {(365, True, 12), (365, True, 13)}
    assert [one["checkpoint_id"] for one in found["checkpoints"]] == [None, None, None, daily.manual]
    assert found["months"][0]["kept"] == found["kept"] == 4
    shorter = api.get(f"/plans/{daily.plan['id']}/forecast", days=2)["forecasts"]
    assert [one["made"] for one in shorter] == [2]


def test_a_schedule_that_removes_nothing_keeps_all(api):
    schedule = api.scheduled_operation()
    assert api.get(f"/scheduled_operations/{schedule['id']}/retention")["retention"]["removes"] == []
    assert api.get(f"/scheduled_operations/{schedule['id']}/forecast", days=30)["forecast"]["kept"] == 30


def test_proof_comes_from_the_schedules_that_verify(api):
    plan = api.plan()
    definition = {"max_backups": 2, "verified": "data"}
    schedule = api.scheduled_operation(plan, operation_type="retention_protect", definition=definition)
    path = f"/scheduled_operations/{schedule['id']}/forecast"
    assert api.get(path, days=30)["forecast"]["removed"] == 0
    api.scheduled_operation(
        plan, api.trigger(pattern="0 5 * * 0"), operation_type="verify", definition={"level": "data"}
    )
    assert 2 <= api.get(path, days=30)["forecast"]["kept"] <= 9


def test_too_many_days_are_refused(api, daily):
    path = f"/scheduled_operations/{daily.schedule['id']}/forecast"
    for days in ("0", "1831", "x", "-1", "9" * 50):
        assert "days" in api.refused(400, "GET", path, days=days)


def test_those_of_others_are_not_there(tmp_path):
    people = Tenants(tmp_path)
    schedule = people.scheduled_operation()
    for home in (
        f"/scheduled_operations/{schedule['id']}",
        f"/plans/{schedule['operation_definition']['plan_id']}",
    ):
        for what in ("retention", "forecast"):
            people.refused(404, "GET", f"{home}/{what}", who="bob")
            people.get(f"{home}/{what}", who="rita")
    people.database.dispose()


def test_an_operator_sees_the_same(api, daily):
    application = SimpleNamespace(shared=SimpleNamespace(database=api.database, conf=api.conf, clock=TwinClock()))
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers()

    def verb(name, function, text):
        found = verbs.add_parser(name, help=text)
        found.set_defaults(function=function)
        return found

    outlook.add_verbs(verb)
    given = parser.parse_args(["show", "--plan", daily.plan["id"]])
    assert given.function(application, given)["counts"] == {"kept": 4, "removed": 4}
    given = parser.parse_args(["forecast", "--schedule", daily.schedule["id"], "--days", "31"])
    told = given.function(application, given)
    assert told["counts"] == {"made": 31, "removed": 35, "kept": 4}
    assert {one.get("checkpoint_id") for one in told["entries"]} == {None, "planned", daily.manual}

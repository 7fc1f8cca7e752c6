# SPDX-License-Identifier: Apache-2.0
"""Do plans get the schedules of the policy that was picked for them, keep them in step with it, and nobody else's?"""

import copy

import pytest

from tests.support.tenants import Tenants

HOURLY = {"format": "crontab", "pattern": "0 * * * *"}
GOLD = {
    "name": "gold",
    "description": "hourly, 7 daily, 4 weekly, verified weekly",
    "schedules": [
        {
            "name": "backup",
            "operation_type": "retention_protect",
            "trigger": {"type": "time", "properties": HOURLY},
            "definition": {"keep_daily": 7, "keep_weekly": "4", "verified": "data"},
        },
        {
            "name": "verify",
            "operation_type": "verify",
            "trigger": {"type": "time", "properties": {"format": "crontab", "pattern": "0 5 * * SUN"}},
            "definition": {"level": "data"},
        },
    ],
}


def api_of(tmp_path, **given):
    return Tenants(tmp_path, **given)


@pytest.fixture
def api(tmp_path):
    made = api_of(tmp_path)
    yield made
    made.database.dispose()


@pytest.fixture
def gold(api):
    return api.post("/policies", {"policy": GOLD}, who="root")["policy"]


def change(api, path, envelope, body, who="ann"):
    status, answer = api.send("PUT", path, {envelope: body}, who=who)
    assert status == 200, answer
    return answer


def schedules(api, plan, **given):
    found = api.get("/scheduled_operations", plan_id=plan["id"], **given)["operations"]
    return {one["operation_type"]: one for one in found}


def test_everybody_sees_them_and_only_an_administrator_makes_them(api, gold):
    assert gold["schedules"][0]["definition"] == {"keep_daily": 7, "keep_weekly": 4, "verified": "data"}
    for who in ("ann", "rita", "bob"):
        assert [one["name"] for one in api.get("/policies", who=who)["policies"]] == ["gold"]
        assert api.get(f"/policies/{gold['id']}", who=who)["policy"]["plans"] == 0
        api.refused(403, "POST", "/policies", {"policy": {**GOLD, "name": "mine"}}, who=who)
        api.refused(403, "PUT", f"/policies/{gold['id']}", {"policy": {"name": "mine"}}, who=who)
        api.refused(403, "DELETE", f"/policies/{gold['id']}", who=who)
    assert "gold" in api.refused(409, "POST", "/policies", {"policy": GOLD}, who="root")


def broken(**changes):
    entry = copy.deepcopy(GOLD["schedules"][0])
    for name, value in changes.items():
        entry[name] = value
    return {"name": "broken", "schedules": [entry]}


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (broken(trigger={"type": "time", "properties": {**HOURLY, "pattern": "* * * * *"}}), "backup: "),
        (broken(trigger={"type": "webhook", "properties": {}}), "plans nothing"),
        (broken(trigger={"type": "none", "properties": {}}), "must be one of"),
        (broken(definition={"keep_daily": "x"}), "backup: operation_definition"),
        (broken(definition={"plan_id": "x"}), "that of the plan"),
        (broken(operation_type="copy"), "target_provider_id"),
        ({"name": "broken", "schedules": [GOLD["schedules"][0]] * 2}, "twice"),
    ],
)
def test_what_would_not_work_is_refused(api, policy, reason):
    assert reason in api.refused(400, "POST", "/policies", {"policy": policy}, who="root")
    assert api.get("/policies")["policies"] == []


def test_a_plan_gets_the_schedules_of_its_policy(api, gold):
    plan = api.plan(policy="gold")
    assert plan["policy"] == gold["id"] and plan["summary"]["next_run"]
    found = schedules(api, plan)
    assert set(found) == {"retention_protect", "verify"}
    definition = {"plan_id": plan["id"], "provider_id": plan["provider_id"], "keep_daily": 7, "keep_weekly": 4}
    assert found["retention_protect"]["operation_definition"] == {**definition, "verified": "data"}
    trigger = api.get(f"/triggers/{found['retention_protect']['trigger_id']}")["trigger_info"]
    assert trigger["properties"]["pattern"] == "0 * * * *" and trigger["next_run"]
    assert api.get(f"/policies/{gold['id']}")["policy"]["plans"] == 1


def test_a_plan_without_a_policy_is_as_it_was(api, gold):
    assert api.plan()["policy"] is None
    plan = api.plan(name="p2")
    api.refused(400, "PUT", f"/plans/{plan['id']}", {"plan": {"policy": "silver"}})
    api.refused(
        400,
        "POST",
        "/plans",
        {"plan": {**{k: plan[k] for k in ("name", "provider_id", "resources")}, "parameters": {}, "policy": "silver"}},
    )
    assert schedules(api, plan) == {} and len(api.get("/plans")["plans"]) == 2


def test_it_is_picked_changed_and_taken_away_later(api, gold):
    plan = api.plan()
    path = f"/plans/{plan['id']}"
    change(api, path, "plan", {"status": "started"})
    assert change(api, path, "plan", {"policy": gold["id"]})["plan"]["policy"] == gold["id"]
    before = schedules(api, plan)
    change(api, path, "plan", {"policy": "gold"})
    assert {one["id"] for one in schedules(api, plan).values()} == {one["id"] for one in before.values()}
    api.post("/policies", {"policy": {**GOLD, "name": "silver", "schedules": GOLD["schedules"][:1]}}, who="root")
    change(api, path, "plan", {"policy": "silver"})
    after = schedules(api, plan)
    assert set(after) == {"retention_protect"}
    assert after["retention_protect"]["id"] == before["retention_protect"]["id"]  # what it has made stays its own
    assert change(api, path, "plan", {"policy": None})["plan"]["policy"] is None
    assert schedules(api, plan) == {} and api.get("/triggers")["triggers"] == []


def test_a_change_of_the_policy_changes_all_its_plans(api, gold):
    plans = [api.plan(policy="gold"), api.plan(name="p2", policy="gold")]
    before = [schedules(api, plan) for plan in plans]
    backup, _verify = copy.deepcopy(GOLD["schedules"])
    backup["definition"] = {"keep_daily": 30}
    backup["trigger"]["properties"]["pattern"] = "0 3 * * *"
    monthly = {**GOLD["schedules"][1], "name": "monthly", "operation_type": "restore_check"}
    answer = change(api, f"/policies/{gold['id']}", "policy", {"schedules": [backup, monthly]}, who="root")
    assert answer["policy"]["plans"] == 2
    for plan, old in zip(plans, before, strict=True):
        new = schedules(api, plan)
        assert set(new) == {"retention_protect", "restore_check"}
        kept = new["retention_protect"]
        assert kept["id"] == old["retention_protect"]["id"] and kept["project_id"] == plan["project_id"]
        assert kept["operation_definition"]["keep_daily"] == 30 and "keep_weekly" not in kept["operation_definition"]
        assert kept["next_run"].endswith("T03:00:00.000000")


def test_one_that_is_used_cannot_be_deleted(api, gold):
    plan = api.plan(policy="gold")
    assert "1 plans" in api.refused(409, "DELETE", f"/policies/{gold['id']}", who="root")
    assert api.send("DELETE", f"/plans/{plan['id']}")[0] == 204
    assert api.get("/triggers")["triggers"] == api.get("/scheduled_operations")["operations"] == []
    assert api.send("DELETE", f"/policies/{gold['id']}", who="root")[0] == 204
    api.refused(404, "GET", f"/policies/{gold['id']}")


def test_what_a_policy_has_made_is_changed_with_the_policy_alone(api, gold):
    found = schedules(api, api.plan(policy="gold"))["retention_protect"]
    path = f"/scheduled_operations/{found['id']}"
    body = {"scheduled_operation": {"operation_definition": {"max_backups": 1}}}
    assert "gold" in api.refused(409, "PUT", path, body)
    api.refused(409, "DELETE", path)
    trigger = f"/triggers/{found['trigger_id']}"
    api.refused(409, "PUT", trigger, {"trigger_info": {"name": "mine"}})
    api.refused(409, "DELETE", trigger)
    # Whether it is done at all is the tenant's to say.
    change(api, path, "scheduled_operation", {"enabled": False})
    assert api.get(path)["scheduled_operation"]["enabled"] is False


def test_tenants_may_schedule_so_much_themselves_and_pick_what_is_published(tmp_path):
    limits = {"tenant_min_interval": 86400, "tenant_operation_types": ["protect"], "tenant_max_schedules": 1}
    api = api_of(tmp_path, **limits)
    api.post("/policies", {"policy": GOLD}, who="root")
    assert len(schedules(api, api.plan(policy="gold"))) == 2
    body = {"trigger_info": {"name": "often", "type": "time", "properties": HOURLY}}
    api.refused(400, "POST", "/triggers", body)
    plan, trigger = api.plan(name="p2"), api.trigger()
    api.refused(400, "PUT", f"/triggers/{trigger['id']}", {"trigger_info": {"properties": HOURLY}})
    what = {"plan_id": plan["id"], "provider_id": plan["provider_id"]}
    wish = {"name": "so", "operation_type": "verify", "trigger_id": trigger["id"], "operation_definition": what}
    assert "protect" in api.refused(403, "POST", "/scheduled_operations", {"scheduled_operation": wish})
    wish["operation_type"] = "protect"
    api.post("/scheduled_operations", {"scheduled_operation": wish})
    assert "1 sch" in api.refused(413, "POST", "/scheduled_operations", {"scheduled_operation": wish})
    api.post("/triggers", body, who="root")
    api.post("/scheduled_operations", {"scheduled_operation": {**wish, "operation_type": "verify"}}, who="root")
    api.database.dispose()

# SPDX-License-Identifier: Apache-2.0
"""Can scheduled operations be made, changed and removed, and do they only name what belongs together?"""

import pytest

from tests.support.api import OTHER_PROJECT, PROVIDER, SERVER, VOLUME


def sent(plan, trigger, **changes):
    definition = {"plan_id": plan["id"], "provider_id": PROVIDER}
    body = {"name": "so", "operation_type": "protect", "trigger_id": trigger["id"], "operation_definition": definition}
    return {"scheduled_operation": {**body, **changes}}


def change(api, scheduled, **changes):
    status, answer = api.send("PUT", f"/scheduled_operations/{scheduled['id']}", {"scheduled_operation": changes})
    assert status == 200, answer
    return answer["scheduled_operation"]


def test_a_scheduled_operation_is_shown_as_it_was_given(api):
    plan, trigger = api.plan(), api.trigger()
    made = api.post("/scheduled_operations", sent(plan, trigger, description="d"))["scheduled_operation"]
    assert made["operation_definition"] == {"plan_id": plan["id"], "provider_id": PROVIDER}
    assert (made["enabled"], made["description"], made["trigger_id"]) == (True, "d", trigger["id"])
    assert api.get(f"/scheduled_operations/{made['id']}") == {"scheduled_operation": made}
    assert api.get("/scheduled_operations") == {"operations": [made]}


def test_a_definition_may_be_a_text(api):
    plan, trigger = api.plan(), api.trigger()
    text = f"plan_id={plan['id']}, provider_id={PROVIDER},max_backups=3,note=a=b"
    body = sent(plan, trigger, operation_type="retention_protect", operation_definition=text)
    definition = api.post("/scheduled_operations", body)["scheduled_operation"]["operation_definition"]
    assert definition == {"plan_id": plan["id"], "provider_id": PROVIDER, "max_backups": 3, "note": "a=b"}


def test_numbers_may_be_texts_and_other_keys_are_kept(api):
    given = {"max_backups": "3", "max_backup_duration": 30, "note": "x", "left": None}
    made = api.scheduled_operation(operation_type="retention_protect", definition=given)
    definition = {name: value for name, value in made["operation_definition"].items() if not name.endswith("_id")}
    assert definition == {"max_backups": 3, "max_backup_duration": 30, "note": "x"}


def test_ids_are_kept_in_their_one_form(api):
    plan, trigger = api.plan(), api.trigger()
    loud = {"plan_id": plan["id"].replace("-", "").upper(), "provider_id": PROVIDER.upper()}
    body = sent(plan, trigger, operation_definition=loud, trigger_id=trigger["id"].upper())
    made = api.post("/scheduled_operations", body)["scheduled_operation"]
    assert made["operation_definition"] == {"plan_id": plan["id"], "provider_id": PROVIDER}
    assert made["trigger_id"] == trigger["id"]


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        ({}, "'plan_id' is required"),
        ({"plan_id": SERVER}, "'provider_id' is required"),
        ({"plan_id": "x", "provider_id": PROVIDER}, "plan_id"),
        ({"plan_id": 5, "provider_id": PROVIDER}, "plan_id"),
        ({"plan_id": SERVER, "provider_id": PROVIDER}, f"plan {SERVER} could not be found"),
        ({"plan_id": "THE PLAN", "provider_id": VOLUME}, "could not be found"),
        ({"plan_id": "THE PLAN", "provider_id": PROVIDER, "deep": {}}, "deep"),
        ({"plan_id": "THE PLAN", "provider_id": PROVIDER, "bad key": 1}, "operation_definition"),
        ({"plan_id": "THE PLAN", "provider_id": PROVIDER, "max_backups": "many"}, "max_backups"),
        ({"plan_id": "THE PLAN", "provider_id": PROVIDER, "max_backups": 1.5}, "max_backups"),
        ({"plan_id": "THE PLAN", "provider_id": PROVIDER, "max_backups": 10**7}, "max_backups"),
        ({"plan_id": "THE PLAN", "provider_id": PROVIDER, "max_backup_duration": 10**9}, "max_backup_duration"),
        (
            {"plan_id": "THE PLAN", "provider_id": PROVIDER, "max_backup_duration": 1, "retention_duration": 2},
            "two names of one thing",
        ),
        ("nonsense", "key=value"),
        ("plan_id=1,plan_id=2", "key=value"),
        ("", "key=value"),
        ([], "operation_definition"),
    ],
)
def test_a_wrong_definition_is_refused_and_nothing_is_left_behind(api, definition, reason):
    plan, trigger = api.plan(), api.trigger()
    if isinstance(definition, dict) and definition.get("plan_id") == "THE PLAN":
        definition = {**definition, "plan_id": plan["id"]}
    body = sent(plan, trigger, operation_type="retention_protect", operation_definition=definition)
    assert reason in api.refused(400, "POST", "/scheduled_operations", body)
    assert api.get("/scheduled_operations") == {"operations": []}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"operation_type": "restore"}, "operation_type"),
        ({"trigger_id": "x"}, "trigger_id"),
        ({"name": " "}, "name"),
        ({"enabled": "yes"}, "enabled"),
        ({"strange": 1}, "'strange' is not known"),
        ({"user_id": "me"}, "'user_id' is not known"),
    ],
)
def test_a_wrong_scheduled_operation_is_refused(api, changes, reason):
    assert reason in api.refused(400, "POST", "/scheduled_operations", sent(api.plan(), api.trigger(), **changes))


def test_an_unknown_trigger_is_not_found(api):
    body = sent(api.plan(), {"id": SERVER})
    assert "trigger" in api.refused(404, "POST", "/scheduled_operations", body)


def test_the_provider_is_that_of_the_plan(api):
    api.set_provider(id=VOLUME, name="other")
    plan, trigger = api.plan(), api.trigger()
    body = sent(plan, trigger, operation_definition={"plan_id": plan["id"], "provider_id": VOLUME})
    assert "another provider" in api.refused(400, "POST", "/scheduled_operations", body)


def test_a_plan_or_trigger_of_another_project_is_unknown_even_to_an_administrator(api):
    api.workers.add(OTHER_PROJECT, "OS::Nova::Server", SERVER)
    resources = [{"id": SERVER, "type": "OS::Nova::Server", "name": "v"}]
    body = {"plan": {"name": "p", "provider_id": PROVIDER, "resources": resources}}
    foreign = api.post("/plans", body, project=OTHER_PROJECT)["plan"]
    trigger = {"name": "t", "type": "time", "properties": {"format": "crontab", "pattern": "0 2 * * *"}}
    stranger = api.post("/triggers", {"trigger_info": trigger}, project=OTHER_PROJECT)["trigger_info"]
    assert "could not be found" in api.refused(400, "POST", "/scheduled_operations", sent(foreign, api.trigger()))
    assert "could not be found" in api.refused(404, "POST", "/scheduled_operations", sent(api.plan(), stranger))


def test_it_can_be_disabled_renamed_and_redefined(api):
    made = api.scheduled_operation(operation_type="retention_protect", definition={"max_backups": 3, "note": "x"})
    after = change(api, made, enabled=False, name="n2", description=None)
    assert (after["enabled"], after["name"], after["description"]) == (False, "n2", None)
    after = change(api, made, operation_definition={"max_backups": "5", "note": None})
    kept = {name: value for name, value in made["operation_definition"].items() if name != "note"}
    assert after["operation_definition"] == {**kept, "max_backups": 5}
    assert after["enabled"] is False
    assert change(api, made, operation_definition={}) == after


@pytest.mark.parametrize(
    "changes",
    [
        {"operation_definition": {"plan_id": None}},
        {"operation_definition": {"plan_id": SERVER}},
        {"operation_definition": {"provider_id": VOLUME}},
        {"operation_definition": "nonsense"},
        {"operation_type": "protect"},
        {"trigger_id": SERVER},
        {"enabled": None},
    ],
)
def test_a_wrong_change_is_refused_and_changes_nothing(api, changes):
    made = api.scheduled_operation()
    path = f"/scheduled_operations/{made['id']}"
    api.refused(400, "PUT", path, {"scheduled_operation": changes})
    assert api.get(path) == {"scheduled_operation": made}


def test_a_plan_stays_while_something_is_scheduled_for_it(api):
    plan = api.plan()
    made = api.scheduled_operation(plan=plan)
    assert "scheduled operation" in api.refused(409, "DELETE", f"/plans/{plan['id']}")
    assert api.send("DELETE", f"/scheduled_operations/{made['id']}") == (204, None)
    api.refused(404, "GET", f"/scheduled_operations/{made['id']}")
    api.refused(404, "DELETE", f"/scheduled_operations/{made['id']}")
    assert api.send("DELETE", f"/plans/{plan['id']}") == (204, None)


def test_filters(api):
    plan, trigger = api.plan(), api.trigger()
    one = api.scheduled_operation(plan=plan, trigger=trigger, name="one", definition={"note": "blue"})
    two = api.scheduled_operation(name="two", operation_type="retention_protect", enabled=False)
    found = {
        ("name", "on"): [one],
        ("operation_type", "retention_protect"): [two],
        ("trigger_id", trigger["id"]): [one],
        ("plan_id", plan["id"]): [one],
        ("operation_definition", "blue"): [one],
        ("enabled", "false"): [two],
        ("provider_id", VOLUME): [],
    }
    for (name, value), expected in found.items():
        assert api.get("/scheduled_operations", **{name: value})["operations"] == expected, name
    api.refused(400, "GET", "/scheduled_operations", enabled="perhaps")


def test_pages_go_forwards_and_have_a_link(api):
    plan, trigger = api.plan(), api.trigger()
    made = [api.scheduled_operation(plan=plan, trigger=trigger, name=f"s{number}") for number in range(3)]
    page = api.get("/scheduled_operations", limit=1, sort_key="name", sort_dir="asc", marker=made[0]["id"])
    assert [found["name"] for found in page["operations"]] == ["s1"]
    assert "/scheduled_operations?" in page["operations_links"][0]["href"]

# SPDX-License-Identifier: Apache-2.0
"""Do triggers, scheduled operations, quotas and services stay with those whom they concern?"""

import pytest

from tests.support.api import OTHER_PROJECT, PROJECT, SERVER
from tests.support.tenants import Tenants


@pytest.fixture
def api(tmp_path):
    made = Tenants(tmp_path)
    yield made
    made.database.dispose()


@pytest.fixture
def things(api):
    """Ann's: the path of each to its envelope and a change."""
    made = api.scheduled_operation()
    return {
        f"/triggers/{made['trigger_id']}": {"trigger_info": {"name": "taken"}},
        f"/scheduled_operations/{made['id']}": {"scheduled_operation": {"name": "taken", "enabled": False}},
    }


def test_a_stranger_cannot_tell_them_from_what_is_not_there(api, things):
    for path, change in things.items():
        nothing = path[: path.rindex("/") + 1] + SERVER
        for method, body, below in (("GET", None, ""), ("PUT", change, ""), ("DELETE", None, "")):
            there = api.refused(404, method, path + below, body, who="bob")
            not_there = api.refused(404, method, nothing + below, body, who="bob")
            assert there.replace(path.rsplit("/", 1)[1], "") == not_there.replace(SERVER, "")
        assert api.get(path)  # still Ann's, as it was
    trigger = next(iter(things))
    api.refused(404, "GET", f"{trigger}/fires", who="bob")


@pytest.mark.parametrize(("path", "collection"), [("/triggers", "triggers"), ("/scheduled_operations", "operations")])
def test_lists_and_filters_hold_nothing_of_a_stranger(api, things, path, collection):
    mine = api.get(path)[collection]
    for query in ({}, {"name": mine[0]["name"]}, {"all_tenants": 1}, {"all_tenants": 1, "project_id": PROJECT}):
        assert api.get(path, who="bob", **query) == {collection: []}
    api.refused(400, "GET", path, who="bob", marker=mine[0]["id"])
    assert api.get(path, who="root", all_tenants=1)[collection] == mine


def test_nothing_can_be_scheduled_with_what_is_a_strangers(api, things):
    made = api.get("/scheduled_operations")["operations"][0]
    resources = [{"id": SERVER, "type": "OS::Nova::Server", "name": "v"}]
    plan = {"name": "p", "provider_id": made["operation_definition"]["provider_id"], "resources": resources}
    bobs = api.post("/plans", {"plan": plan}, who="bob")["plan"]
    properties = {"format": "crontab", "pattern": "0 2 * * *"}
    body = {"trigger_info": {"name": "t", "type": "time", "properties": properties}}
    trigger = api.post("/triggers", body, who="bob")["trigger_info"]

    def sent(plan_id, trigger_id):
        definition = {"plan_id": plan_id, "provider_id": plan["provider_id"]}
        body = {"name": "s", "operation_type": "protect", "trigger_id": trigger_id, "operation_definition": definition}
        return {"scheduled_operation": body}

    path = "/scheduled_operations"
    anns = made["operation_definition"]["plan_id"]
    assert "could not be found" in api.refused(400, "POST", path, sent(anns, trigger["id"]), who="bob")
    assert "could not be found" in api.refused(404, "POST", path, sent(bobs["id"], made["trigger_id"]), who="bob")
    own = api.post(path, sent(bobs["id"], trigger["id"]), who="bob")["scheduled_operation"]
    change = {"scheduled_operation": {"operation_definition": {"plan_id": anns}}}
    assert "could not be found" in api.refused(400, "PUT", f"{path}/{own['id']}", change, who="bob")


def test_a_reader_sees_and_changes_nothing(api, things):
    for path, change in things.items():
        assert api.get(path, who="rita")
        api.refused(403, "PUT", path, change, who="rita")
        api.refused(403, "DELETE", path, who="rita")
        api.refused(403, "POST", path[: path.rindex("/")], change, who="rita")
    assert api.get(f"{next(iter(things))}/fires", who="rita", count=1)["fires"]


def test_an_administrator_reaches_them_by_their_ids(api, things):
    for path, change in things.items():
        assert api.send("PUT", path, change, who="root")[0] == 200
    assert api.get("/scheduled_operations")["operations"][0]["project_id"] == PROJECT


@pytest.mark.parametrize("who", ["ann", "rita"])
def test_everybody_sees_the_own_quota_and_nobody_a_strangers(api, who):
    for below in ("", "/detail", "/defaults"):
        assert api.get(f"/quotas/{PROJECT}{below}", who=who)["quota"]["id"] == PROJECT
        api.refused(403, "GET", f"/quotas/{OTHER_PROJECT}{below}", who=who)
        assert api.get(f"/quotas/{OTHER_PROJECT}{below}", who="root")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", f"/quotas/{PROJECT}", {"quota": {"plans": -1}}),
        ("DELETE", f"/quotas/{PROJECT}", None),
        ("GET", "/quota_classes/default", None),
        ("PUT", "/quota_classes/default", {"quota_class": {"plans": -1}}),
        ("GET", "/os-services", None),
        ("PUT", "/os-services/1", {"status": "disabled"}),
    ],
)
def test_only_administrators_set_limits_and_see_services(api, method, path, body):
    api.refused(403, method, path, body)
    api.refused(403, method, path, body, who="rita")
    status, _answer = api.send(method, path, body, who="root")
    assert status in (200, 204, 404)

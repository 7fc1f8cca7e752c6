# SPDX-License-Identifier: Apache-2.0
"""Can plans be made, changed and removed, and is everything wrong with one told at once?"""

import json
import uuid

import pytest

from karbor.model.scheduled_operation import ScheduledOperation
from karbor.model.trigger import Trigger
from tests.support.api import OTHER_PROJECT, PROJECT, PROVIDER, SERVER, VOLUME, provider_info


def schedule(api, plan, **more):
    """A scheduled operation that runs the plan; returns its id."""
    ids = str(uuid.uuid4()), str(uuid.uuid4())
    definition = {"plan_id": plan["id"], "provider_id": plan["provider_id"], **more}
    with api.database.write() as rows:
        rows.triggers.create(Trigger(ids[0], PROJECT, "nightly", "time", {"pattern": "0 2 * * *"}))
        rows.scheduled_operations.create(
            ScheduledOperation(ids[1], PROJECT, "u", "s", "protect", ids[0], operation_definition=definition)
        )
    return ids[1]


VM = {"id": SERVER, "type": "OS::Nova::Server", "name": "vm"}
NO_RPO = {"state": "none", "since": None, "due_at": None, "reason": None}
BODY = {"name": "p1", "provider_id": PROVIDER, "resources": [VM], "parameters": {}}


def test_a_new_plan_is_suspended_and_shown_as_it_was_given(api):
    plan = api.plan(description="nightly", parameters={"OS::Nova::Server": {"k": "v", "a": True, "number": 3}})
    assert plan["status"] == "suspended"
    assert plan["resources"] == [VM]
    assert plan["parameters"] == {"OS::Nova::Server": {"k": "v", "a": True, "number": 3}}
    assert plan["created_at"].startswith("2026-01-02T")
    assert api.get(f"/plans/{plan['id']}") == {"plan": plan}


def test_extra_info_of_a_resource_is_kept(api):
    plan = api.plan(resources=[{**VM, "extra_info": {"zone": "a"}}])
    assert plan["resources"][0]["extra_info"] == {"zone": "a"}


def test_null_options_mean_not_given(api):
    plan = api.plan(parameters={"OS::Nova::Server": {"k": None}, f"OS::Nova::Server#{SERVER}": {"k": "x", "a": None}})
    assert plan["parameters"] == {f"OS::Nova::Server#{SERVER}": {"k": "x"}}


def test_ids_may_be_written_without_dashes(api):
    plan = api.plan(provider_id=PROVIDER.replace("-", "").upper())
    assert plan["provider_id"] == PROVIDER
    assert api.get(f"/plans/{plan['id'].replace('-', '').upper()}")["plan"]["id"] == plan["id"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": None}, "plan.name"),
        ({"name": " "}, "plan.name"),
        ({"provider_id": "x"}, "plan.provider_id"),
        ({"provider_id": SERVER}, "The provider could not be found."),
        ({"resources": []}, "plan.resources"),
        ({"resources": [{**VM, "id": "../../etc/passwd"}]}, "plan.resources[0].id"),
        ({"resources": [{**VM, "id": VOLUME}]}, f"OS::Nova::Server {VOLUME} cannot be protected: it does not exist"),
        (
            {"resources": [{**VM, "type": "OS::Trove::Instance"}]},
            "cannot protect resources of type OS::Trove::Instance",
        ),
        ({"resources": [VM, VM]}, "named twice"),
        ({"resources": [{**VM, "extra_info": {"deep": {}}}]}, "extra_info.deep"),
        ({"parameters": {"OS::Nova::Server": {"strange": 1}}}, "has no option strange"),
        ({"parameters": {"OS::Nova::Server": {"number": 0}}}, "at least 1"),
        ({"parameters": {"OS::Nova::Server": {"quiesce": "perhaps"}}}, "one of required, try, no"),
        ({"parameters": {"OS::Nova::Server#x": {"k": "v"}}}, "must be a uuid"),
        ({"parameters": {"Nonsense": {"k": "v"}}}, "knows no options for Nonsense"),
        ({"status": "started"}, "'status' cannot be set here"),
        ({"strange": 1}, "'strange' is not known"),
    ],
)
def test_a_wrong_plan_is_refused_and_nothing_is_left_behind(api, changes, reason):
    assert reason in api.refused(400, "POST", "/plans", {"plan": {**BODY, **changes}})
    assert api.get("/plans") == {"plans": []}


@pytest.mark.parametrize("missing", ["name", "provider_id", "resources"])
def test_what_a_plan_needs_is_named(api, missing):
    body = {name: value for name, value in BODY.items() if name != missing}
    assert f"'{missing}' is required" in api.refused(400, "POST", "/plans", {"plan": body})


def test_a_resource_of_another_project_is_unknown(api):
    api.workers.add(OTHER_PROJECT, "OS::Nova::Server", VOLUME)
    body = {"plan": {**BODY, "resources": [{**VM, "id": VOLUME}]}}
    assert "does not exist" in api.refused(400, "POST", "/plans", body)


def test_without_an_answer_of_the_workers_no_plan_is_made(api):
    api.workers.silent = True
    assert "did not answer" in api.refused(503, "POST", "/plans", {"plan": BODY})
    assert api.get("/plans") == {"plans": []}


def test_a_provider_without_options_takes_empty_ones(api):
    with api.database.write() as rows:
        rows.providers.put(provider_info(id=VOLUME, name="noop"))
        empty = {"options_schema": {"OS::Nova::Server": {}}}
        rows.providers.put(provider_info(id=SERVER, name="bare", types=()).__class__(SERVER, "bare", schemas=empty))
    plan = api.plan(provider_id=SERVER, parameters={"OS::Nova::Server": {}})
    assert plan["parameters"] == {}


def test_a_suspended_plan_can_be_changed(api):
    plan = api.plan()
    after = api.send("PUT", f"/plans/{plan['id']}", {"plan": {"name": "n2", "status": "started"}})[1]["plan"]
    assert (after["name"], after["status"]) == ("n2", "started")
    assert after["updated_at"]


def test_a_started_plan_can_only_be_suspended(api):
    plan = api.plan()
    path = f"/plans/{plan['id']}"
    api.send("PUT", path, {"plan": {"status": "started"}})
    assert "only updated in suspended status" in api.refused(400, "PUT", path, {"plan": {"name": "n2"}})
    form = {"status": "suspended", "name": plan["name"], "resources": plan["resources"]}  # as the dashboard sends it
    status, body = api.send("PUT", path, {"plan": form})
    assert (status, body["plan"]["status"]) == (200, "suspended")


@pytest.mark.parametrize(
    "body",
    [
        {"status": "running"},
        {"resources": []},
        {"parameters": {}},
        {"provider_id": PROVIDER},
        {"name": ""},
        {"resources": [{**VM, "id": VOLUME}]},
    ],
)
def test_a_wrong_change_is_refused_and_changes_nothing(api, body):
    plan = api.plan()
    api.refused(400, "PUT", f"/plans/{plan['id']}", {"plan": body})
    assert api.get(f"/plans/{plan['id']}") == {"plan": plan}


def test_new_resources_of_a_plan_are_checked_and_taken(api):
    plan = api.plan()
    volume = {"id": VOLUME, "type": "OS::Cinder::Volume", "name": "v"}
    after = api.send("PUT", f"/plans/{plan['id']}", {"plan": {"resources": [VM, volume]}})[1]["plan"]
    assert after["resources"] == [VM, volume]


def test_without_an_answer_of_the_workers_resources_stay_as_they_are(api):
    plan = api.plan()
    api.workers.silent = True
    volume = {"id": VOLUME, "type": "OS::Cinder::Volume", "name": "v"}
    api.refused(503, "PUT", f"/plans/{plan['id']}", {"plan": {"resources": [volume]}})
    assert api.get(f"/plans/{plan['id']}") == {"plan": plan}


def test_a_deleted_plan_is_gone(api):
    plan = api.plan()
    assert api.send("DELETE", f"/plans/{plan['id']}") == (204, None)
    api.refused(404, "GET", f"/plans/{plan['id']}")
    api.refused(404, "DELETE", f"/plans/{plan['id']}")


def test_a_name_is_no_id(api):
    assert "not a uuid" in api.refused(400, "GET", "/plans/p1")


def test_filters_find_parts_of_texts_and_nothing_is_special_in_them(api):
    for name in ("alpha", "beta_1", "beta%", "123", "None"):
        api.plan(name=name, description=f"about {name}")
    assert [plan["name"] for plan in api.get("/plans", name="eta_")["plans"]] == ["beta_1"]
    assert [plan["name"] for plan in api.get("/plans", name="%")["plans"]] == ["beta%"]
    assert [plan["name"] for plan in api.get("/plans", name="123")["plans"]] == ["123"]
    assert [plan["name"] for plan in api.get("/plans", name="None")["plans"]] == ["None"]
    assert [plan["name"] for plan in api.get("/plans", description="about al")["plans"]] == ["alpha"]
    assert api.get("/plans", status="started") == {"plans": []}


def raw(api, method, path, body=None, **headers):
    """The whole response; headers are given as If_Match="..."."""
    data = None if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.raw(method, f"/v1/{PROJECT}{path}", data=data, headers=named)


def test_the_tag_of_a_plan_is_the_same_in_every_answer_and_changes_with_the_plan(api):
    made = raw(api, "POST", "/plans", {"plan": BODY})
    path = f"/plans/{made.json['plan']['id']}"
    assert made.headers["ETag"].startswith('"')  # strong
    assert raw(api, "GET", path).headers["ETag"] == made.headers["ETag"]
    changed = raw(api, "PUT", path, {"plan": {"name": "n2"}}, If_Match=made.headers["ETag"])
    assert changed.status_int == 200
    assert changed.headers["ETag"] != made.headers["ETag"]
    assert raw(api, "GET", path).headers["ETag"] == changed.headers["ETag"]


@pytest.mark.parametrize(("method", "body"), [("PUT", {"plan": {"name": "n2"}}), ("DELETE", None)])
@pytest.mark.parametrize("condition", ['"0123"', 'W/"{}"', "nonsense"])
def test_a_plan_that_is_not_the_one_that_was_seen_stays_as_it_is(api, method, body, condition):
    plan = api.plan()
    path = f"/plans/{plan['id']}"
    seen = raw(api, "GET", path).headers["ETag"].strip('"')
    answer = raw(api, method, path, body, If_Match=condition.replace("{}", seen))
    assert answer.status_int == 412
    assert "changed" in answer.json["computeFault"]["message"]
    assert api.get(path) == {"plan": plan}


@pytest.mark.parametrize("condition", ["*", '"other", "{}"'])
def test_a_condition_that_holds_lets_the_change_through(api, condition):
    path = f"/plans/{api.plan()['id']}"
    seen = raw(api, "GET", path).headers["ETag"].strip('"')
    assert raw(api, "DELETE", path, If_Match=condition.replace("{}", seen)).status_int == 204


def test_nothing_but_a_condition_of_the_client_is_answered_without_a_body(api):
    path = f"/plans/{api.plan()['id']}"
    seen = raw(api, "GET", path).headers["ETag"]
    assert raw(api, "GET", path).status_int == 200
    same = raw(api, "GET", path, If_None_Match=seen)
    assert (same.status_int, same.body, same.headers["ETag"]) == (304, b"", seen)
    assert raw(api, "GET", path, If_None_Match='"other"').status_int == 200


def test_the_summary_tells_the_last_run_the_last_good_one_and_how_many_there_are(api):
    plan = api.plan()
    path = f"/plans/{plan['id']}"
    assert plan["summary"] == {"checkpoints": 0, "last_run": None, "last_good": None, "next_run": None, "rpo": NO_RPO}
    seen = raw(api, "GET", path).headers["ETag"]
    good = api.checkpoint(plan)
    api.clock.pass_time(60)
    bad = api.checkpoint(plan, status="error")
    summary = api.get(path)["plan"]["summary"]
    assert summary == {
        "checkpoints": 2,
        "last_run": {"checkpoint_id": bad["id"], "created_at": bad["created_at"], "status": "error"},
        "last_good": {"checkpoint_id": good["id"], "created_at": good["created_at"], "status": "available"},
        "next_run": None,
        "rpo": NO_RPO,
    }
    assert [entry["summary"] for entry in api.get("/plans")["plans"]] == [summary]
    assert raw(api, "GET", path).headers["ETag"] == seen  # the plan itself is still the same


def test_links_lead_to_the_plan_and_its_provider(api):
    plan = api.plan()
    found = {link["rel"]: link["href"].removeprefix("http://localhost") for link in plan["links"]}
    assert api.raw("GET", found["self"]).json["plan"] == plan
    assert api.raw("GET", found["provider"]).json["provider"]["id"] == PROVIDER


def test_a_project_has_no_more_plans_than_it_may(api):
    api.conf.set_override("quota_plans", 1)
    plan = api.plan()
    message = api.refused(413, "POST", "/plans", {"plan": BODY})
    assert message == "Maximum number of plans allowed (1) exceeded"
    api.send("DELETE", f"/plans/{plan['id']}")
    api.plan()


def test_a_plan_that_a_schedule_runs_stays(api):
    plan = api.plan()
    schedule(api, plan)
    assert "scheduled operation" in api.refused(409, "DELETE", f"/plans/{plan['id']}")
    assert api.get(f"/plans/{plan['id']}") == {"plan": plan}


CHOICE = {"type": "OS::Nova::Server", "tags": ["db"], "name": "web-*", "exclude": {"ids": [SERVER]}}


def test_a_plan_may_choose_and_name_nothing(api):
    plan = api.plan(selection=[CHOICE], resources=[])
    assert (plan["resources"], plan["selection"]) == ([], [CHOICE])
    body = {key: value for key, value in BODY.items() if key != "resources"}
    other = api.post("/plans", {"plan": {**body, "selection": [CHOICE]}})["plan"]
    assert other["resources"] == []
    checkpoint = api.checkpoint(plan)
    assert checkpoint["protection_plan"]["selection"] == [CHOICE]
    assert checkpoint["chosen"] is None


def test_a_plan_that_only_names_chooses_nothing(api):
    plan = api.plan()
    assert plan["selection"] == []
    assert "selection" not in api.checkpoint(plan)["protection_plan"]


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ({"type": "OS::Nova::Server"}, "plan.selection[0]. It needs tags, metadata or a name"),
        ({"tags": ["db"]}, "'type' is required"),
        ({**CHOICE, "exclude": {"strange": 1}}, "plan.selection[0].exclude"),
        ({**CHOICE, "tags": ["a,b"]}, "plan.selection[0].tags[0]"),
        ({**CHOICE, "metadata": {"k": 1}}, "plan.selection[0].metadata.k"),
        ({**CHOICE, "type": "OS::Trove::Instance"}, "cannot protect resources of type OS::Trove::Instance"),
        ({**CHOICE, "type": "Libvirt::Domain"}, "cannot be chosen so"),
    ],
)
def test_a_wrong_choice_is_refused(api, choice, reason):
    assert reason in api.refused(400, "POST", "/plans", {"plan": {**BODY, "selection": [choice]}})
    assert api.get("/plans") == {"plans": []}


def test_what_a_plan_chooses_can_be_changed_and_taken_away(api):
    path = f"/plans/{api.plan()['id']}"
    after = api.send("PUT", path, {"plan": {"selection": [CHOICE], "resources": []}})[1]["plan"]
    assert (after["selection"], after["resources"]) == ([CHOICE], [])
    api.refused(400, "PUT", path, {"plan": {"selection": []}})
    api.refused(400, "PUT", path, {"plan": {"selection": [{**CHOICE, "type": "Libvirt::Domain"}]}})
    after = api.send("PUT", path, {"plan": {"selection": [], "resources": [VM]}})[1]["plan"]
    assert (after["selection"], after["resources"]) == ([], [VM])

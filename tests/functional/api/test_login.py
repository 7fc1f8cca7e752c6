# SPDX-License-Identifier: Apache-2.0
"""Does http_basic keep strangers out and projects apart, and do roles count?"""

import base64

import bcrypt
import pytest

from karbor.api.app import make_app
from karbor.model import errors
from tests.support.api import OTHER_PROJECT, PROJECT, PROVIDER, SERVER, Api, make_conf

PASSWORD = "correct horse"
USERS = [
    ("ann", PROJECT, "member"),
    ("rita", PROJECT, "reader"),
    ("root", PROJECT, "admin"),
    ("bob", OTHER_PROJECT, "member"),
]
BODY = {"name": "p", "provider_id": PROVIDER, "resources": [{"id": SERVER, "type": "OS::Nova::Server", "name": "v"}]}


def login(name, password=PASSWORD):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@pytest.fixture
def api(tmp_path):
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    path = tmp_path / "users"
    path.write_text("".join(f"{name}:{hashed}:{project}:{roles}\n" for name, project, roles in USERS))
    made = Api(tmp_path, auth_strategy="http_basic", http_basic_auth_user_file=str(path))
    made.workers.add(OTHER_PROJECT, "OS::Nova::Server", SERVER)
    yield made
    made.database.dispose()


@pytest.mark.parametrize("headers", [{}, login("ann", "wrong"), login("nobody"), {"X-Auth-Token": f"ann:{PROJECT}"}])
def test_a_stranger_is_asked_to_log_in(api, headers):
    response = api.raw("GET", f"/v1/{PROJECT}/plans", headers=headers)
    assert (response.status_int, list(response.json)) == (401, ["unauthorized"])
    assert response.headers["WWW-Authenticate"].startswith("Basic")


def test_a_member_makes_and_removes(api):
    plan = api.post("/plans", {"plan": BODY}, headers=login("ann"))["plan"]
    assert api.send("DELETE", f"/plans/{plan['id']}", headers=login("ann"))[0] == 204


def test_a_reader_sees_but_changes_nothing(api):
    plan = api.post("/plans", {"plan": BODY}, headers=login("ann"))["plan"]
    assert api.get("/plans", headers=login("rita"))["plans"] == [plan]
    for method, path, body in (
        ("POST", "/plans", {"plan": BODY}),
        ("PUT", f"/plans/{plan['id']}", {"plan": {"name": "x"}}),
        ("DELETE", f"/plans/{plan['id']}", None),
        ("POST", f"/providers/{PROVIDER}/checkpoints", {"checkpoint": {"plan_id": plan["id"]}}),
        ("DELETE", f"/providers/{PROVIDER}/checkpoints/{SERVER}", None),
        ("PUT", f"/providers/{PROVIDER}/checkpoints/{SERVER}", {"os-resetState": {"state": "error"}}),
        ("POST", f"/providers/{PROVIDER}/checkpoints/{SERVER}/action", {"cancel": {}}),
        ("POST", f"/restores/{SERVER}/action", {"cancel": {}}),
        ("POST", "/restores", {"restore": {"provider_id": PROVIDER, "checkpoint_id": SERVER}}),
    ):
        assert "not allowed" in api.refused(403, method, path, body, headers=login("rita"))


def test_only_an_administrator_says_that_a_checkpoint_is_available_again(api):
    plan = api.post("/plans", {"plan": BODY}, headers=login("ann"))["plan"]
    path = f"/providers/{PROVIDER}/checkpoints"
    checkpoint = api.post(path, {"checkpoint": {"plan_id": plan["id"]}}, headers=login("ann"))["checkpoint"]
    place = f"{path}/{checkpoint['id']}"
    assert api.send("POST", f"{place}/action", {"cancel": {}}, headers=login("ann"))[0] == 202
    wish = {"os-resetState": {"state": "available"}}
    assert "not allowed" in api.refused(403, "PUT", place, wish, headers=login("ann"))
    assert "never complete" in api.refused(400, "PUT", place, wish, headers=login("root"))
    assert api.send("PUT", place, {"os-resetState": {"state": "error"}}, headers=login("ann"))[0] == 200


def test_policy_comes_before_the_body(api):
    api.refused(403, "POST", "/plans", {"nonsense": 1}, headers=login("rita"))


def test_the_url_cannot_name_another_project(api):
    for name in ("ann", "root"):
        assert api.refused(400, "GET", "/plans", project=OTHER_PROJECT, headers=login(name)) == "Malformed request url"


def test_what_belongs_to_another_project_does_not_exist(api):
    plan = api.post("/plans", {"plan": BODY}, headers=login("ann"))["plan"]
    path = f"/providers/{PROVIDER}/checkpoints"
    sent = {"checkpoint": {"plan_id": plan["id"]}}
    checkpoint = api.post(path, sent, headers=login("ann"))["checkpoint"]
    with api.database.write() as rows:
        (job,) = rows.jobs.live_for(checkpoint_id=checkpoint["id"])
        rows.jobs.request_cancel(job.id)
        rows.checkpoints.transition(checkpoint["id"], "available")
    sent = {"restore": {"provider_id": PROVIDER, "checkpoint_id": checkpoint["id"]}}
    restore = api.post("/restores", sent, headers=login("ann"))["restore"]
    theirs = {"project": OTHER_PROJECT, "headers": login("bob")}
    for method, url, body in (
        ("GET", f"/plans/{plan['id']}", None),
        ("PUT", f"/plans/{plan['id']}", {"plan": {"name": "x"}}),
        ("DELETE", f"/plans/{plan['id']}", None),
        ("GET", f"{path}/{checkpoint['id']}", None),
        ("DELETE", f"{path}/{checkpoint['id']}", None),
        ("PUT", f"{path}/{checkpoint['id']}", {"os-resetState": {"state": "error"}}),
        ("POST", f"{path}/{checkpoint['id']}/action", {"cancel": {}}),
        ("POST", f"/restores/{restore['id']}/action", {"cancel": {}}),
        ("POST", path, {"checkpoint": {"plan_id": plan["id"]}}),
        ("GET", f"/restores/{restore['id']}", None),
        ("POST", "/restores", {"restore": {"provider_id": PROVIDER, "checkpoint_id": checkpoint["id"]}}),
        ("GET", f"/operation_logs/{job.id}", None),
        ("GET", f"/protectables/OS::Cinder::Volume/instances/{SERVER}", None),
    ):
        message = api.refused(404, method, url, body, **theirs)
        assert "could not be found" in message
    for url in ("/plans", path, "/checkpoints", "/restores", "/operation_logs"):
        for query in ({}, {"project_id": PROJECT}, {"all_tenants": 1}, {"all_tenants": 1, "project_id": PROJECT}):
            (found,) = api.get(url, **theirs, **query).values()
            assert found == []


def test_an_administrator_reaches_every_project(api):
    plan = api.post("/plans", {"plan": BODY}, project=OTHER_PROJECT, headers=login("bob"))["plan"]
    seen = api.get(f"/plans/{plan['id']}", headers=login("root"))["plan"]
    assert {**seen, "links": None} == {**plan, "links": None}  # links lead through the caller's own project
    assert f"/v1/{PROJECT}/" in seen["links"][0]["href"]
    assert api.get("/plans", all_tenants=1, headers=login("root"))["plans"] == [seen]


def test_an_address_that_guesses_waits_and_whoever_is_known_does_not(tmp_path, api):
    path = api.conf.http_basic_auth_user_file
    (tmp_path / "second").mkdir()
    values = {"http_basic_auth_user_file": path, "failed_logins_per_minute": 3}
    bounded = Api(tmp_path / "second", auth_strategy="http_basic", **values)
    try:
        bounded.get("/plans", headers=login("ann"))
        for _ in range(3):
            bounded.refused(401, "GET", "/plans", headers=login("rita", "guess"))
        assert "too many failed logins" in bounded.refused(413, "GET", "/plans", headers=login("rita"))
        bounded.get("/plans", headers=login("ann"))  # her password was right a moment ago
        bounded.clock.pass_time(20)
        bounded.get("/plans", headers=login("rita"))
    finally:
        bounded.database.dispose()


def test_versions_need_no_login(api):
    assert api.raw("GET", "/").status_int == 200
    assert api.raw("GET", "/healthcheck").status_int == 200


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"auth_strategy": "keystone"}, "needs a login of the service itself"),
        ({"auth_strategy": "http_basic"}, "needs a file of users"),
        ({"auth_strategy": "http_basic", "http_basic_auth_user_file": "/nonexistent"}, "cannot be read"),
    ],
)
def test_a_login_that_cannot_work_keeps_the_service_from_starting(api, values, reason):
    with pytest.raises(errors.ConfigurationError, match=reason):
        make_app(make_conf(**values), database=api.database, protection=api.workers, clock=api.clock)

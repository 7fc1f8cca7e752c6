# SPDX-License-Identifier: Apache-2.0
"""Do tokens of a real Keystone let the right people in, and nobody else?"""

import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support.api import PROVIDER, SERVER, Api
from tests.support.rest import PAUSE, Rest
from tests.support.servers import free_port

# Installing and filling Keystone, once on each machine, may take long on a slow one.
pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

BODY = {"name": "p", "provider_id": PROVIDER, "resources": [{"id": SERVER, "type": "OS::Nova::Server", "name": "v"}]}
CHECKPOINTS = f"/providers/{PROVIDER}/checkpoints"


@pytest.fixture(scope="module")
def tokens(keystone):
    """user -> token"""
    made = {user: keystone.token(user) for user in ("admin", "ann", "bob", "rita", "sam", "karbor")}
    return {**made, "chief": keystone.token("admin", project="system")}


@pytest.fixture(scope="module")
def api(keystone, tmp_path_factory):
    path = tmp_path_factory.mktemp("api")
    settings = path / "karbor.conf"
    settings.write_text(keystone.settings())
    made = Api(path, files=[settings])
    for project in ("alpha", "beta", "admin"):
        made.workers.add(keystone.ids[project], "OS::Nova::Server", SERVER)
    yield made
    made.database.dispose()


class Person:
    """Somebody who asks for something of a project, with a token."""

    def __init__(self, api, token, project):
        self.api, self.project = api, project
        self.headers = {"X-Auth-Token": token} if token is not None else {}

    def send(self, method, path, body=None, **query):
        return self.api.send(method, path, body, project=self.project, headers=self.headers, **query)

    def get(self, path, **query):
        return self.api.get(path, project=self.project, headers=self.headers, **query)

    def refused(self, status, method, path, body=None, **query):
        return self.api.refused(status, method, path, body, project=self.project, headers=self.headers, **query)


@pytest.fixture(scope="module")
def person(api, keystone, tokens):
    return lambda user, project="alpha": Person(api, tokens[user], keystone.ids[project])


@pytest.fixture(scope="module")
def plan(person):
    status, made = person("ann").send("POST", "/plans", {"plan": BODY})
    assert status == 200, made
    return made["plan"]


def ids(listing):
    return [plan["id"] for plan in listing["plans"]]


def test_a_member_works_in_the_own_project(person, keystone, plan):
    assert plan["project_id"] == keystone.ids["alpha"]
    assert person("ann").get("/plans")["plans"] == [plan]


@pytest.mark.parametrize("token", [None, "", "garbage", "gAAAAABrAaHx" * 20, "a b", "ann:alpha"])
def test_without_a_good_token_nobody_comes_in(api, keystone, token):
    headers = {} if token is None else {"X-Auth-Token": token}
    response = api.raw("GET", f"/v1/{keystone.ids['alpha']}/plans", headers=headers)
    assert (response.status_int, list(response.json)) == (401, ["unauthorized"])
    assert response.headers["WWW-Authenticate"] == f'Keystone uri="{keystone.url}"'
    inner = response.json["unauthorized"]
    assert (inner["code"], inner["request_id"]) == (401, response.headers["x-openstack-request-id"])


def test_claims_of_the_client_count_for_nothing(api, keystone, tokens):
    claims = {
        "X-Identity-Status": "Confirmed",
        "X-Roles": "admin",
        "X-Project-Id": keystone.ids["beta"],
        "X-User-Id": "somebody",
        "X-Is-Admin-Project": "True",
        "OpenStack-System-Scope": "all",
    }
    path = f"/v1/{keystone.ids['beta']}/plans"
    assert api.raw("GET", path, headers=claims).status_int == 401
    assert api.raw("GET", path, headers={**claims, "X-Auth-Token": tokens["ann"]}).status_int == 400
    own = api.raw("GET", f"/v1/{keystone.ids['alpha']}/plans?all_tenants=1", headers={"X-Auth-Token": tokens["ann"]})
    claimed = {**claims, "X-Auth-Token": tokens["ann"]}
    path = f"/v1/{keystone.ids['alpha']}/plans?all_tenants=1"
    assert api.raw("GET", path, headers=claimed).json == own.json


def test_a_token_that_ran_out_or_was_revoked_is_refused(api, keystone):
    alpha = keystone.ids["alpha"]
    assert "expired" in Person(api, keystone.expired_token("ann"), alpha).refused(401, "GET", "/plans")
    token = keystone.token("ann")
    request = urllib.request.Request(f"{keystone.url}/auth/tokens", method="DELETE")
    request.add_header("X-Auth-Token", token)
    request.add_header("X-Subject-Token", token)
    urllib.request.urlopen(request, timeout=120).close()
    Person(api, token, alpha).refused(401, "GET", "/plans")


def test_a_service_may_vouch_for_a_token_that_ran_out(api, keystone, tokens, plan):
    path = f"/v1/{keystone.ids['alpha']}/plans"
    late = {"X-Auth-Token": keystone.expired_token("ann")}
    response = api.raw("GET", path, headers={**late, "X-Service-Token": tokens["karbor"]})
    assert response.status_int == 200, response.text
    assert response.json["plans"] == [plan]
    assert api.raw("GET", path, headers={**late, "X-Service-Token": tokens["bob"]}).status_int == 401


def test_the_system_scope_of_a_service_is_not_that_of_the_user(api, keystone, tokens, plan):
    headers = {"X-Auth-Token": tokens["bob"], "X-Service-Token": tokens["karbor"]}
    path = f"/v1/{keystone.ids['beta']}/plans?all_tenants=1"
    assert api.raw("GET", path, headers=headers).json == {"plans": []}


def test_the_url_must_name_the_project_of_the_token(person):
    for user in ("ann", "admin"):
        assert person(user, "beta").refused(400, "GET", "/plans") == "Malformed request url"


def test_a_reader_sees_and_changes_nothing(person, plan):
    assert person("rita").get("/plans")["plans"] == [plan]
    assert person("rita").get(f"/plans/{plan['id']}")["plan"] == plan
    for method, path, body in (
        ("POST", "/plans", {"plan": BODY}),
        ("PUT", f"/plans/{plan['id']}", {"plan": {"name": "x"}}),
        ("DELETE", f"/plans/{plan['id']}", None),
        ("POST", CHECKPOINTS, {"checkpoint": {"plan_id": plan["id"]}}),
    ):
        assert "not allowed" in person("rita").refused(403, method, path, body)


def test_another_tenant_finds_nothing(person, plan):
    bob = person("bob", "beta")
    for method, path, body in (
        ("GET", f"/plans/{plan['id']}", None),
        ("PUT", f"/plans/{plan['id']}", {"plan": {"name": "x"}}),
        ("DELETE", f"/plans/{plan['id']}", None),
        ("POST", CHECKPOINTS, {"checkpoint": {"plan_id": plan["id"]}}),
    ):
        bob.refused(404, method, path, body)
    for query in ({}, {"all_tenants": 1}, {"all_tenants": 1, "project_id": plan["project_id"]}):
        assert bob.get("/plans", **query)["plans"] == []


def test_an_administrator_sees_every_project_when_asked_to(person, plan):
    admin = person("admin", "admin")
    assert admin.get("/plans")["plans"] == []
    assert ids(admin.get("/plans", all_tenants=1)) == [plan["id"]]
    assert admin.get(f"/plans/{plan['id']}")["plan"]["project_id"] == plan["project_id"]


def test_some_calls_are_for_administrators_and_the_system_may_look(person, keystone):
    quota = f"/quotas/{keystone.ids['alpha']}"
    change = {"quota": {"plans": 40}}
    for user in ("ann", "rita"):
        assert "not allowed" in person(user).refused(403, "GET", "/os-services")
        assert "not allowed" in person(user).refused(403, "PUT", quota, change)
        assert person(user).get(quota)["quota"]["plans"] == 50
    person("sam").refused(403, "PUT", quota, change)
    assert person("sam").get("/os-services") == {"services": []}
    assert person("admin", "admin").get("/os-services") == {"services": []}
    assert person("admin", "admin").send("PUT", quota, change)[0] == 200
    assert person("ann").get(quota)["quota"]["plans"] == 40


def test_a_reader_of_the_system_looks_at_every_project_and_changes_nothing(person, plan):
    for project in ("alpha", "beta"):
        assert ids(person("sam", project).get("/plans", all_tenants=1)) == [plan["id"]]
    assert ids(person("sam").get("/plans")) == [plan["id"]]
    assert ids(person("sam", "beta").get("/plans")) == []
    assert person("sam", "beta").get(f"/plans/{plan['id']}")["plan"]["id"] == plan["id"]
    person("sam").refused(403, "POST", "/plans", {"plan": BODY})
    person("sam").refused(403, "PUT", f"/plans/{plan['id']}", {"plan": {"name": "x"}})


def test_an_administrator_of_the_system_changes_things_of_every_project(person, plan):
    changed = person("chief").send("PUT", f"/plans/{plan['id']}", {"plan": {"description": "by the chief"}})
    assert (changed[0], changed[1]["plan"]["description"]) == (200, "by the chief")
    changed = person("ann").send("PUT", f"/plans/{plan['id']}", {"plan": {"description": plan["description"]}})
    assert changed[0] == 200


def test_a_keystone_that_is_away_is_no_fault_of_the_token(keystone, tokens, tmp_path):
    settings = tmp_path / "karbor.conf"
    nowhere = keystone.settings().replace(keystone.url, f"http://127.0.0.1:{free_port()}/v3")
    settings.write_text(nowhere + "http_request_max_retries = 0\n")
    away = Api(tmp_path, files=[settings])
    try:
        person = Person(away, tokens["ann"], keystone.ids["alpha"])
        assert "Keystone cannot be asked" in person.refused(503, "GET", "/plans")
        assert away.raw("GET", "/healthcheck").status_int == 200
        assert away.raw("GET", "/").status_int == 200
    finally:
        away.database.dispose()


def test_a_wrong_login_of_the_service_itself_is_no_fault_of_the_token(keystone, tokens, tmp_path):
    settings = tmp_path / "karbor.conf"
    settings.write_text(keystone.settings().replace("password = secret", "password = wrong"))
    made = Api(tmp_path, files=[settings])
    try:
        person = Person(made, tokens["ann"], keystone.ids["alpha"])
        assert "Keystone cannot be asked" in person.refused(503, "GET", "/plans")
    finally:
        made.database.dispose()


def test_the_daemon_serves_with_keystone(keystone, tokens, tmp_path):
    port = free_port()
    settings = tmp_path / "karbor.conf"
    settings.write_text(
        keystone.settings() + f"[DEFAULT]\nosapi_karbor_listen = 0.0.0.0\nosapi_karbor_listen_port = {port}\n"
        f"transport_url = kombu+memory:///\n[database]\nconnection = sqlite:///{tmp_path}/karbor.sqlite\n"
    )
    program = Path(sys.executable).parent / "karbor-api"
    with (tmp_path / "log").open("w") as log:
        daemon = subprocess.Popen([program, "--config-file", settings], stdout=log, stderr=log)
    try:
        _wait_until_healthy(f"http://127.0.0.1:{port}/healthcheck", daemon, tmp_path / "log")
        url = f"http://127.0.0.1:{port}/v1/{keystone.ids['alpha']}"
        assert Rest(url, {"X-Auth-Token": tokens["ann"]}).get("/plans") == {"plans": []}
        assert Rest(url, {"X-Auth-Token": "garbage"}).send("GET", "/plans")[0] == 401
    finally:
        daemon.terminate()
        assert daemon.wait(120) == 0


def _wait_until_healthy(url, daemon, log):
    for _ in range(1200):
        assert daemon.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=60).close()
            return
        except (urllib.error.URLError, ConnectionError):
            PAUSE.wait(0.2)
    raise AssertionError(f"not healthy: {log.read_text()}")

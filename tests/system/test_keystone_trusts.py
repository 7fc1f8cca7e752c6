# SPDX-License-Identifier: Apache-2.0
"""Does Karbor go on acting for a tenant of a real Keystone when the tenant's token is gone, and say when it may not?"""

import json
import urllib.error
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from karbor.clients.elsewhere import Elsewhere
from karbor.clients.identity import Identity
from karbor.common.clock import Clock
from karbor.db.database import Database
from karbor.model.trust import Trust
from karbor.operationengine.trusts import KeeperSettings, TrustKeeper
from tests.support.api import PROVIDER, SERVER, Api, make_conf
from tests.support.identity_suite import IdentitySuite
from tests.support.keystone import PASSWORD
from tests.support.rest import PAUSE, Rest
from tests.support.service import Embedded

# Installing and filling Keystone, once on each machine, may take long on a slow one.
pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

NOOP = "b766f37c-d011-4026-8228-28730d734a3f"
RESOURCE = {"id": str(uuid.uuid4()), "type": "OS::Nova::Server", "name": "vm"}
QUICK = (
    "[DEFAULT]\nreport_interval = 1\n[jobs]\nlease = 10\npoll = 0.2\ngrace = 2\n"
    "[operationengine]\npoll = 0.2\nwatch = 0.2\nretry_delay = 1\nlease = 60\n"
    "[clients]\ntrust_sweep_interval = 1\ntrust_check_interval = 1\nretry_delay = 0.1\n"
)
ENDED = ("success", "failed", "missed", "skipped")


class Tenant:
    """A user of the project alpha, whom nobody else uses, with what an administrator does to it."""

    def __init__(self, keystone, name):
        self.keystone, self.name = keystone, name
        self.project = keystone.ids["alpha"]
        self._admin("POST", "/users", {"user": {"name": name, "password": PASSWORD}})
        (found,) = self._admin("GET", f"/users?name={name}")["users"]
        self.id = found["id"]
        (role,) = self._admin("GET", "/roles?name=member")["roles"]
        self._role = f"/projects/{self.project}/users/{self.id}/roles/{role['id']}"
        self._password = PASSWORD
        self.give_role()

    def _admin(self, method, path, body=None):
        return self.keystone.send(method, path, body, self.keystone.token("admin"))[0]

    def give_role(self):
        self._admin("PUT", self._role)

    def take_role(self):
        self._admin("DELETE", self._role)

    def set(self, **values):
        self._password = values.get("password", self._password)
        self._admin("PATCH", f"/users/{self.id}", {"user": values})

    def token(self, **identity):
        """A token that is good: one of the same second as a change of the user is not."""
        user = {"id": self.id, "password": self._password}
        login = identity or {"methods": ["password"], "password": {"user": user}}
        scope = {} if identity else {"scope": {"project": {"id": self.project}}}
        while True:
            given = self.keystone.send("POST", "/auth/tokens", {"auth": {"identity": login, **scope}})[1]
            request = urllib.request.Request(f"{self.keystone.url}/auth/tokens", headers={"X-Auth-Token": given})
            request.add_header("X-Subject-Token", given)
            try:
                urllib.request.urlopen(request, timeout=120).close()
                return given
            except urllib.error.HTTPError as fault:
                assert fault.code in (401, 404), fault
            PAUSE.wait(0.3)

    def credential(self):
        """A token by an application credential of the user."""
        made = self.own_credential()
        by = {name: made[f"application_credential_{name}"] for name in ("id", "secret")}
        return self.token(methods=["application_credential"], application_credential=by)

    def own_credential(self):
        """A new application credential, as ``restore_auth`` takes it."""
        wish = {"application_credential": {"name": uuid.uuid4().hex}}
        path = f"/users/{self.id}/application_credentials"
        made = self.keystone.send("POST", path, wish, self.token())[0]["application_credential"]
        return {f"application_credential_{name}": made[name] for name in ("id", "secret")}

    def login(self):
        """The user's own login, as ``restore_auth`` takes it."""
        return {"user_id": self.id, "password": self._password}

    def trusts(self):
        """Ids of the trusts that the user has made."""
        path = f"/OS-TRUST/trusts?trustor_user_id={self.id}"
        return {found["id"] for found in self.keystone.send("GET", path, token=self.token())[0]["trusts"]}

    def delete_trust(self, id_):
        self.keystone.send("DELETE", f"/OS-TRUST/trusts/{id_}", token=self.token())


@pytest.fixture(scope="module")
def tenant(keystone):
    return Tenant(keystone, f"tess-{uuid.uuid4().hex[:8]}")


@pytest.fixture(scope="module")
def identity(keystone, tmp_path_factory):
    """As the service logs in."""
    settings = tmp_path_factory.mktemp("identity") / "karbor.conf"
    settings.write_text(keystone.settings())
    return Identity(make_conf([settings]))


@pytest.fixture(scope="module")
def elsewhere(keystone, tmp_path_factory):
    """With the settings of ``identity``."""
    settings = tmp_path_factory.mktemp("elsewhere") / "karbor.conf"
    settings.write_text(keystone.settings())
    return Elsewhere(make_conf([settings]))


@pytest.fixture(scope="module")
def service(keystone, tmp_path_factory):
    """API, engine and worker."""
    settings = QUICK + keystone.settings()
    with Embedded(tmp_path_factory.mktemp("k") / "karbor", libvirt_uri="test:///default", settings=settings) as running:
        yield running


@pytest.fixture
def rest(service, tenant):
    """The service as the tenant meets it."""
    root = service.rest.url.rpartition("/")[0]
    return Rest(f"{root}/{tenant.project}", {"X-Auth-Token": tenant.token()})


class TestRealKeystone(IdentitySuite):
    pass


def _schedule(rest, **more):
    plan = rest.plan(NOOP, [RESOURCE])
    at = datetime.now(UTC) - timedelta(hours=2)
    properties = {"format": "crontab", "pattern": f"{at.minute} {at.hour} * * *"}
    trigger = rest.post("/triggers", {"trigger_info": {"name": "t", "type": "time", "properties": properties}})
    body = {
        "name": "nightly",
        "operation_type": "protect",
        "trigger_id": trigger["trigger_info"]["id"],
        "operation_definition": {"plan_id": plan["id"], "provider_id": NOOP},
        **more,
    }
    return rest.send("POST", "/scheduled_operations", {"scheduled_operation": body})


@pytest.fixture
def schedule(rest, tenant):
    status, made = _schedule(rest)
    assert status == 200, made
    path = f"/scheduled_operations/{made['scheduled_operation']['id']}"
    yield path
    rest.headers["X-Auth-Token"] = tenant.token()
    rest.send("DELETE", path)  # or its permission would be tried on and on


def _permission(rest, schedule):
    return rest.get(schedule)["scheduled_operation"]["permission"]


def _wait(rest, schedule, state):
    rest.wait_for(lambda: _permission(rest, schedule)["state"] == state)
    return _permission(rest, schedule)


def _begin(rest, schedule):
    return f"{schedule}/runs/{rest.post(f'{schedule}/action', {'run': {}})['run']['id']}"


def _run(rest, schedule):
    return rest.wait(_begin(rest, schedule), "run", ENDED)


def test_a_schedule_is_run_by_a_trust_that_goes_with_it(rest, tenant, schedule):
    before = _permission(rest, schedule)
    assert (before["state"], before["reason"], before["user_id"]) == ("ok", None, tenant.id)
    trusts = tenant.trusts()
    run = _run(rest, schedule)
    assert run["status"] == "success", run
    (log,) = rest.get(f"/operation_logs?checkpoint_id={run['checkpoint_id']}")["operation_logs"]
    assert log["scheduled_operation_id"] == schedule.rpartition("/")[2]
    assert tenant.trusts() == trusts, "work that is not done in a cloud needs no trust of its own"
    assert rest.send("DELETE", schedule)[0] == 204
    rest.wait_for(lambda: len(tenant.trusts()) == len(trusts) - 1)


def test_a_changed_password_stops_nothing(rest, tenant, schedule):
    assert _run(rest, schedule)["status"] == "success"
    tenant.set(password="another")
    rest.headers["X-Auth-Token"] = tenant.token()
    run = _run(rest, schedule)
    assert run["status"] == "success", run
    assert _wait(rest, schedule, "ok")["reason"] is None


def test_a_lost_role_is_shown_and_the_run_goes_on_when_it_is_given_back(keystone, tenant, rest, schedule):
    looker = Rest(rest.url, {"X-Auth-Token": keystone.token("ann")})
    tenant.take_role()
    shown = _wait(looker, schedule, "lost")
    assert "lost a role in the project" in shown["reason"] and shown["since"], shown
    path = _begin(looker, schedule)
    looker.wait_for(lambda: "lost a role" in (looker.get(path)["run"]["reason"] or ""))
    tenant.give_role()
    assert looker.wait(path, "run", ENDED)["status"] == "success"
    assert _wait(looker, schedule, "ok")["reason"] is None


def test_a_disabled_user_is_shown_until_it_is_enabled_again(keystone, rest, tenant, schedule):
    looker = Rest(rest.url, {"X-Auth-Token": keystone.token("ann")})
    tenant.set(enabled=False)
    assert "is disabled" in _wait(looker, schedule, "lost")["reason"]
    tenant.set(enabled=True)
    assert _wait(looker, schedule, "ok")["reason"] is None


def test_a_trust_that_somebody_deleted_is_renewed_by_any_change(rest, tenant):
    known = tenant.trusts()
    schedule = f"/scheduled_operations/{_schedule(rest)[1]['scheduled_operation']['id']}"
    (trust,) = tenant.trusts() - known
    tenant.delete_trust(trust)
    assert _wait(rest, schedule, "lost")["reason"] == "The trust was deleted in Keystone."
    changed = rest.send("PUT", schedule, {"scheduled_operation": {"name": "again"}})[1]["scheduled_operation"]
    assert (changed["name"], changed["permission"]["state"]) == ("again", "ok")
    assert len(tenant.trusts() - known) == 1
    assert _run(rest, schedule)["status"] == "success"
    assert rest.send("DELETE", schedule)[0] == 204


def test_whoever_changes_a_schedule_gives_it_the_own_permission(keystone, rest, tenant, schedule):
    mine = tenant.trusts()
    ann = Rest(rest.url, {"X-Auth-Token": keystone.token("ann")})
    changed = ann.send("PUT", schedule, {"scheduled_operation": {"description": "by ann"}})[1]["scheduled_operation"]
    assert changed["permission"]["user_id"] == keystone.ids["ann"]
    rest.wait_for(lambda: len(tenant.trusts()) == len(mine) - 1)
    assert ann.send("DELETE", schedule)[0] == 204


def test_a_login_that_may_hand_on_nothing_is_told_what_to_do(rest, tenant, schedule):
    known = tenant.trusts()
    by_credential = Rest(rest.url, {"X-Auth-Token": tenant.credential()})
    status, answer = _schedule(by_credential)
    assert status == 403 and "Log in with a password" in json.dumps(answer), answer
    assert tenant.trusts() == known
    status, answer = by_credential.send("PUT", schedule, {"scheduled_operation": {"name": "mine still"}})
    assert status == 200 and answer["scheduled_operation"]["permission"]["state"] == "ok", answer


def test_a_trust_whose_schedule_was_never_kept_is_found_and_given_back(service, identity, rest, tenant):
    database = Database(f"sqlite:///{service.state_dir}/karbor.sqlite", clock=Clock())
    old = datetime.now(UTC) - timedelta(hours=1)
    row = Trust(str(uuid.uuid4()), tenant.project, tenant.id, scheduled_operation_id="never", created_at=old)
    trust = identity.create_trust(tenant.token(), tenant.project, name=row.name)
    assert trust in tenant.trusts()
    with database.write() as rows:
        rows.trusts.begin(row)
    rest.wait_for(lambda: trust not in tenant.trusts())
    database.dispose()


def test_work_in_a_cloud_carries_a_trust_until_it_has_ended(keystone, identity, tenant, tmp_path):
    settings = tmp_path / "karbor.conf"
    settings.write_text(keystone.settings())
    api = Api(tmp_path, files=[settings])
    api.workers.add(tenant.project, "OS::Nova::Server", SERVER)
    keeper = TrustKeeper(api.database, identity, KeeperSettings(), clock=api.clock)

    def ask(token, path, body):
        return api.post(path, body, project=tenant.project, headers={"X-Auth-Token": token})

    token, known = tenant.token(), tenant.trusts()
    resources = [{"id": SERVER, "type": "OS::Nova::Server", "name": "vm"}]
    plan = ask(token, "/plans", {"plan": {"name": "p", "provider_id": PROVIDER, "resources": resources}})["plan"]
    checkpoints, wish = f"/providers/{PROVIDER}/checkpoints", {"checkpoint": {"plan_id": plan["id"]}}
    ask(token, checkpoints, wish)
    (job,) = api.jobs()
    assert job.trust_id is None and tenant.trusts() == known
    api.set_provider(acts_in_cloud=True)
    ask(token, checkpoints, wish)
    (own,) = {found.trust_id for found in api.jobs()} - {None}
    assert tenant.trusts() - known == {own}
    assert identity.session_for_trust(own).get_project_id() == tenant.project
    ask(identity.login(own), checkpoints, wish)
    assert sorted(str(found.trust_id) for found in api.jobs()) == sorted(["None", own, own])
    assert keeper.give_back() == 0
    for found in api.jobs():
        with api.database.write() as rows:
            rows.jobs.request_cancel(found.id)
    assert keeper.give_back() == 1
    assert tenant.trusts() == known
    refused = api.refused(
        403, "POST", checkpoints, wish, project=tenant.project, headers={"X-Auth-Token": tenant.credential()}
    )
    assert "Log in with a password" in refused
    api.database.dispose()

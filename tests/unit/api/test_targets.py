# SPDX-License-Identifier: Apache-2.0
"""Does a restore go where the request says or nowhere, by a login that nobody can read who must not?"""

import logging
import stat

import pytest

from karbor.clients.elsewhere import Login
from karbor.clients.sealedlogins import DRY_RUN, LoginSeal
from tests.support.api import PROVIDER, SERVER, Api
from tests.support.keystone_twin import keystone_twin
from tests.support.markers import dump, found

SECRET = "hunter-Kd8Zx3Vb6Nq1"
THERE = {"type": "password", "username": "bob", "password": SECRET, "project_name": "beta"}


@pytest.fixture(scope="module")
def ours():
    with keystone_twin() as twin:
        twin.grants["ann", "other"] = {"member"}
        yield twin


@pytest.fixture(scope="module")
def theirs():
    with keystone_twin() as twin:
        yield twin


class Caller:
    """The member ann of alpha, with a checkpoint."""

    def __init__(self, api, twin):
        self.api, self.token = api, twin.token("ann")
        self.plan = self.send("POST", "/plans", {"plan": {
            "name": "p", "provider_id": PROVIDER,
            "resources": [{"id": SERVER, "type": "OS::Nova::Server", "name": "vm"}],
        }})[1]["plan"]  # fmt: skip
        path = f"/providers/{PROVIDER}/checkpoints"
        self.checkpoint = self.send("POST", path, {"checkpoint": {"plan_id": self.plan["id"]}})[1]["checkpoint"]
        with api.database.write() as rows:
            rows.checkpoints.transition(self.checkpoint["id"], "available")
        api.set_provider(acts_in_cloud=True)

    def send(self, method, path, body=None, **headers):
        return self.api.send(method, path, body, project="alpha", headers={"X-Auth-Token": self.token, **headers})

    def ask(self, target=None, auth=None, **more):
        body = {"provider_id": PROVIDER, "checkpoint_id": self.checkpoint["id"], "parameters": {}, **more}
        return self.send("POST", "/restores", {"restore": {**body, "restore_target": target, "restore_auth": auth}})

    def refused(self, status, target=None, auth=None, **more):
        got, answer = self.ask(target, auth, **more)
        assert got == status, answer
        with self.api.database.read() as rows:
            assert rows.connection.exec_driver_sql("SELECT count(*) FROM restores").scalar() == 0
        return answer["badRequest" if status == 400 else next(iter(answer))]["message"]

    def restored(self, target=None, auth=None, **more):
        status, answer = self.ask(target, auth, **more)
        assert status == 200, answer
        return answer["restore"]

    def job(self, restore):
        return next(job for job in self.api.jobs() if job.restore_id == restore["id"])


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "login.key"
    LoginSeal.create(path)
    return path


@pytest.fixture
def api(ours, theirs, tmp_path, key_file):
    for twin in (ours, theirs):
        twin.trusts.clear()
        for name in ("ann", "bob"):
            twin.users[name]["password"] = SECRET
        twin.users["ann"]["secret"] = SECRET
    text = f"{ours.settings()}token_cache_time = -1\n[clients]\nattempts = 1\n"
    settings = tmp_path / "karbor.conf"
    settings.write_text(f"{text}restore_targets = {theirs.url.removesuffix('/v3')}/\nlogin_key_file = {key_file}\n")
    made = Api(tmp_path, files=[settings])
    made.workers.add("alpha", "OS::Nova::Server", SERVER)
    yield made
    theirs.http.heal()
    made.database.dispose()


@pytest.fixture
def caller(api, ours):
    return Caller(api, ours)


def test_without_a_target_it_is_a_restore_here(caller, ours):
    restore = caller.restored(auth={"type": "password", "username": None, "password": None})
    assert ours.trusts[caller.job(restore).trust_id]["project_id"] == "alpha"


class TestInThisCloud:
    @pytest.mark.parametrize("way", [
        {"project_name": "other"},
        {"type": "token", "project_id": "other"},
        {"username": "ann", "password": SECRET, "project_name": "other"},
        {"type": "password", "user_id": "ann", "password": SECRET, "project_id": "other"},
    ])  # fmt: skip
    def test_another_project_is_worked_in_by_a_trust_and_no_login_is_kept(self, api, caller, ours, way):
        restore = caller.restored(auth=way)
        trust = ours.trusts[caller.job(restore).trust_id]
        assert (trust["project_id"], trust["trustor_user_id"], trust["allow_redelegation"]) == ("other", "ann", True)
        assert restore["restore_target"] is None
        with api.database.read() as rows:
            assert rows.restores.login(restore["id"]) is None

    def test_its_address_may_be_named(self, caller, ours):
        restore = caller.restored(
            ours.url.upper().replace("HTTP", "http").replace("/V3", "/"), {"project_name": "other"}
        )
        assert ours.trusts[caller.job(restore).trust_id]["project_id"] == "other"

    def test_a_trust_of_a_restore_that_is_refused_is_not_left(self, api, caller, ours):
        caller.refused(400, auth={"project_name": "other"}, parameters={"OS::Nova::Server": {"strange": 1}})
        assert ours.trusts == {}

    def test_a_region_is_not_chosen_by_users(self, caller):
        assert "region_name" in caller.refused(400, auth={"project_name": "other", "region_name": "west"})

    def test_a_project_without_a_role_is_refused(self, caller, ours):
        assert "was refused" in caller.refused(400, auth={"project_name": "beta"})
        assert ours.trusts == {}

    def test_an_application_credential_can_make_no_trust_and_is_kept_sealed(self, api, caller, ours, key_file):
        way = {"application_credential_id": "credential", "application_credential_secret": SECRET}
        restore = caller.restored(auth=way)
        assert ours.trusts == {} and caller.job(restore).trust_id is None
        with api.database.read() as rows:
            sealed = rows.restores.login(restore["id"])
        assert Login.from_dict(LoginSeal.load(key_file).open(restore["id"], sealed)).kind == "application_credential"

    def test_a_dry_run_is_asked_with_a_token_of_that_project(self, api, caller, ours):
        status, answer = caller.ask(auth={"project_name": "other"}, dry_run=True)
        assert status == 200 and "restore_plan" in answer
        assert api.workers.asked_for == {"project_id": "other", "sealed": None}
        assert ours.tokens[api.workers.asked_as].project == "other"
        assert ours.trusts == {}


class TestInAnotherCloud:
    def test_the_login_is_kept_sealed_until_the_restore_ends(self, api, caller, theirs, key_file):
        restore = caller.restored(theirs.url, THERE)
        assert restore["restore_target"] == theirs.url
        assert caller.job(restore).trust_id is None
        with api.database.read() as rows:
            sealed = rows.restores.login(restore["id"])
        login = Login.from_dict(LoginSeal.load(key_file).open(restore["id"], sealed))
        assert (login.given["password"], login.given["project_id"]) == (SECRET, "beta")
        assert caller.send("POST", f"/restores/{restore['id']}/action", {"cancel": {}})[0] == 202
        with api.database.read() as rows:
            assert rows.restores.login(restore["id"]) is None

    def test_the_one_project_of_a_user_need_not_be_named(self, api, caller, theirs, key_file):
        restore = caller.restored(theirs.url, {"username": "bob", "password": SECRET})
        with api.database.read() as rows:
            sealed = rows.restores.login(restore["id"])
        assert LoginSeal.load(key_file).open(restore["id"], sealed)["given"]["project_id"] == "beta"

    def test_a_dry_run_gets_a_login_that_opens_for_no_restore(self, api, caller, theirs, key_file):
        status, answer = caller.ask(theirs.url, THERE, dry_run=True)
        assert status == 200, answer
        sealed = api.workers.asked_for["sealed"]
        assert api.workers.asked_for["project_id"] == "beta" and SECRET not in sealed
        assert LoginSeal.load(key_file).open(DRY_RUN, sealed)["given"]["password"] == SECRET

    @pytest.mark.parametrize(("auth", "text"), [
        (None, "restore_auth must say"),
        ({"type": "password", "username": None, "password": None}, "restore_auth must say"),
        ({**THERE, "password": "wrong"}, "was refused"),
        ({**THERE, "username": "nobody"}, "was refused"),
        ({**THERE, "project_name": "alpha"}, "was refused"),
        ({"username": "bob"}, "password"),
        ({"type": "kerberos", "username": "bob", "password": "x"}, "type must be"),
        ({"type": "token", "project_name": "beta"}, "of no use"),
        ({"type": "application_credential", "application_credential_secret": "x"}, "application_credential_id"),
    ])  # fmt: skip
    def test_a_login_that_cannot_be_is_refused(self, caller, theirs, auth, text):
        assert text in caller.refused(400, theirs.url, auth)

    @pytest.mark.parametrize("target", ["http://169.254.169.254/", "file:///etc/passwd", "there", "http://u:p@x/v3"])
    def test_a_place_that_the_operator_did_not_allow_is_refused_and_not_asked(self, caller, target):
        message = caller.refused(400, target, THERE)
        assert "does not allow" in message or "must be the address" in message

    def test_a_keystone_that_does_not_answer_is_no_fault_of_the_user(self, caller, theirs):
        theirs.http.fail("status", times=100, status=503)
        caller.refused(503, theirs.url, THERE)

    def test_without_a_key_it_is_refused_before_the_login_is_tried(self, api, caller, theirs):
        api.conf.set_override("login_key_file", "", group="clients")
        before = list(theirs.http.requests)
        assert "no key" in caller.refused(400, theirs.url, THERE)
        assert theirs.http.requests == before

    def test_a_key_that_others_may_read_is_not_used(self, caller, theirs, key_file):
        key_file.chmod(0o644)
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o644
        assert caller.ask(theirs.url, THERE)[0] == 500


def test_nothing_of_a_login_is_shown_kept_in_clear_or_logged(api, caller, theirs, caplog):
    caplog.set_level(logging.DEBUG)
    again = {"Idempotency-Key": "again"}
    body = {"provider_id": PROVIDER, "checkpoint_id": caller.checkpoint["id"], "restore_target": theirs.url}
    answers = [
        caller.send("POST", "/restores", {"restore": {**body, "restore_auth": THERE}}, **again),
        caller.send("POST", "/restores", {"restore": {**body, "restore_auth": THERE}}, **again),
        caller.ask(theirs.url, {**THERE, "username": SECRET}),
        caller.ask(auth={"application_credential_id": "c", "application_credential_secret": SECRET}),
        caller.ask(theirs.url, THERE, dry_run=True),
        caller.send("GET", "/restores"),
        caller.send("GET", "/operation_logs"),
    ]
    assert answers[0] == answers[1]
    shown = "\n".join(map(str, answers)) + caplog.text + str(api.workers.asked_for)
    assert found(shown.encode(), [SECRET]) == []
    assert found(dump(api.database.engine), [SECRET]) == []

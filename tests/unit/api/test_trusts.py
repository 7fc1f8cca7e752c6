# SPDX-License-Identifier: Apache-2.0
"""Does a request leave a trust behind where it is needed, and none where it failed or nobody needs one?"""

import pytest

from tests.support.api import PROVIDER, SERVER, Api
from tests.support.keystone_twin import TwinTenant, keystone_twin

CHECKPOINTS = f"/providers/{PROVIDER}/checkpoints"
MISSING = "99999999-9999-4999-8999-999999999999"


@pytest.fixture(scope="module")
def twin():
    with keystone_twin() as found:
        yield found


@pytest.fixture
def tenant(twin):
    found = TwinTenant(twin)
    twin.trusts.clear()
    return found


class Caller:
    """Asks the API with a token; what it needs is there."""

    def __init__(self, api, tenant):
        self.api, self.tenant = api, tenant
        self.token = tenant.token()

    def send(self, method, path, body=None):
        return self.api.send(method, path, body, project=self.tenant.project, headers={"X-Auth-Token": self.token})

    def made(self, path, body):
        status, answer = self.send("POST", path, body)
        assert status in (200, 202), answer
        (inner,) = answer.values()
        return inner

    def refused(self, status, method, path, body=None):
        got, answer = self.send(method, path, body)
        assert got == status, answer
        return next(iter(answer.values()))["message"]

    def plan(self):
        resources = [{"id": SERVER, "type": "OS::Nova::Server", "name": "vm"}]
        return self.made("/plans", {"plan": {"name": "p", "provider_id": PROVIDER, "resources": resources}})

    def wish(self, **definition):
        properties = {"format": "crontab", "pattern": "0 2 * * *"}
        trigger = self.made("/triggers", {"trigger_info": {"name": "t", "type": "time", "properties": properties}})
        what = {"plan_id": self.plan()["id"], "provider_id": PROVIDER, **definition}
        body = {"name": "s", "operation_type": "protect", "trigger_id": trigger["id"], "operation_definition": what}
        return {"scheduled_operation": body}

    def schedule(self):
        return self.made("/scheduled_operations", self.wish())

    def change(self, schedule, **values):
        return self.send("PUT", f"/scheduled_operations/{schedule['id']}", {"scheduled_operation": values})


@pytest.fixture
def api(twin, tenant, tmp_path):
    settings = tmp_path / "karbor.conf"
    settings.write_text(twin.settings() + "token_cache_time = -1\n[clients]\nattempts = 1\n")
    found = Api(tmp_path, files=[settings])
    found.workers.add(tenant.project, "OS::Nova::Server", SERVER)
    yield found
    twin.http.heal()
    found.database.dispose()


@pytest.fixture
def caller(api, tenant):
    return Caller(api, tenant)


def _rows(api):
    """Keystone's ids of the trusts that we know of."""
    with api.database.read() as rows:
        known = [found.trust_id for found in rows.trusts.unused(wait_ms=0, limit=100)]
        operations = rows.connection.exec_driver_sql("SELECT trust_id FROM trusts").scalars().all()
    return known, set(operations)


class TestSchedules:
    def test_one_has_a_trust_of_its_user_from_the_first_moment(self, api, caller, tenant):
        schedule = caller.schedule()
        (trust,) = tenant.trusts()
        assert schedule["permission"] == {
            "state": "ok", "reason": None, "since": schedule["created_at"], "user_id": tenant.id,
        }  # fmt: skip
        assert _rows(api) == ([], {trust})
        assert caller.send("DELETE", f"/scheduled_operations/{schedule['id']}")[0] == 204
        assert (tenant.trusts(), _rows(api)) == (set(), ([], set()))

    def test_a_request_that_is_wrong_leaves_nothing(self, api, caller, tenant):
        caller.refused(400, "POST", "/scheduled_operations", caller.wish(plan_id=MISSING))
        body = caller.wish()
        body["scheduled_operation"]["trigger_id"] = MISSING
        caller.refused(404, "POST", "/scheduled_operations", body)
        assert (tenant.trusts(), _rows(api)) == (set(), ([], set()))

    def test_each_change_renews_it_and_gives_the_old_one_back(self, api, caller, tenant):
        schedule = caller.schedule()
        (first,) = tenant.trusts()
        assert caller.change(schedule, name="another")[1]["scheduled_operation"]["name"] == "another"
        (second,) = tenant.trusts()
        assert second != first and _rows(api) == ([], {second})
        assert caller.change(schedule, enabled=False)[0] == 200
        assert tenant.trusts() == {second}, "what is not run needs no other one"

    def test_a_change_that_is_refused_renews_nothing(self, api, caller, tenant):
        schedule = caller.schedule()
        trusts = tenant.trusts()
        assert caller.change(schedule, operation_definition={"plan_id": MISSING})[0] == 400
        assert (tenant.trusts(), _rows(api)[1]) == (trusts, trusts)

    def test_a_login_that_hands_on_nothing_makes_none_and_changes_only_its_own(self, api, caller, tenant, twin):
        schedule, trusts = caller.schedule(), tenant.trusts()
        caller.token = tenant.credential()
        wish = caller.wish()
        assert "Log in with a password" in caller.refused(403, "POST", "/scheduled_operations", wish)
        assert _rows(api)[1] == trusts
        assert caller.change(schedule, name="mine")[0] == 200
        with api.database.write() as rows:
            (trust,) = trusts
            rows.scheduled_operations.note_permission(schedule["id"], trust_id=trust, reason="no role")
        assert caller.change(schedule, name="lost")[0] == 403
        assert caller.change(schedule, enabled=False)[0] == 200

    def test_an_administrator_of_another_project_leaves_it_as_it_is(self, api, caller, tenant, twin):
        schedule, trusts = caller.schedule(), tenant.trusts()
        path, body = f"/scheduled_operations/{schedule['id']}", {"scheduled_operation": {"name": "by the chief"}}
        headers = {"X-Auth-Token": twin.token("admin")}
        status, answer = api.send("PUT", path, body, project="admin", headers=headers)
        assert (status, answer["scheduled_operation"]["permission"]["user_id"]) == (200, tenant.id)
        assert tenant.trusts() == trusts

    def test_one_from_before_says_that_nobody_gave_a_permission(self, api, caller, tenant):
        schedule = caller.schedule()
        with api.database.write() as rows:
            rows.connection.exec_driver_sql("UPDATE scheduled_operations SET trust_id = NULL")
        shown = caller.send("GET", f"/scheduled_operations/{schedule['id']}")[1]["scheduled_operation"]["permission"]
        assert shown["state"] == "lost" and "Whoever changes it" in shown["reason"]

    def test_a_trust_of_which_nobody_heard_is_remembered_by_its_name(self, api, caller, tenant, twin):
        wish = caller.wish()
        twin.http.fail("lost", method="POST", part="OS-TRUST")
        caller.refused(503, "POST", "/scheduled_operations", wish)
        (made,) = tenant.trusts()
        api.clock.pass_time(1)
        with api.database.read() as rows:
            (asked,) = rows.trusts.unheard(api.clock.now())
        assert twin.trusts[made]["name"] == asked.name

    def test_one_that_cannot_be_given_back_now_is_left_for_later(self, api, caller, tenant, twin):
        schedule = caller.schedule()
        twin.http.fail("status", method="DELETE", part="OS-TRUST")
        assert caller.send("DELETE", f"/scheduled_operations/{schedule['id']}")[0] == 204
        assert _rows(api) == (list(tenant.trusts()), tenant.trusts())


class TestWork:
    def test_only_what_is_done_in_a_cloud_has_one(self, api, caller, tenant):
        plan = caller.plan()
        caller.made(CHECKPOINTS, {"checkpoint": {"plan_id": plan["id"]}})
        assert ([job.trust_id for job in api.jobs()], tenant.trusts()) == ([None], set())
        api.set_provider(acts_in_cloud=True)
        made = caller.made(CHECKPOINTS, {"checkpoint": {"plan_id": plan["id"]}})
        (trust,) = tenant.trusts()
        assert {job.trust_id for job in api.jobs() if job.checkpoint_id == made["id"]} == {trust}

    def test_work_under_our_own_trust_is_done_under_the_same(self, api, caller, tenant, twin):
        api.set_provider(acts_in_cloud=True)
        schedule = caller.schedule()
        (trust,) = tenant.trusts()
        plan_id = schedule["operation_definition"]["plan_id"]
        caller.token = twin.token(tenant.id, trust=twin.trusts[trust])
        caller.made(CHECKPOINTS, {"checkpoint": {"plan_id": plan_id}})
        assert ([job.trust_id for job in api.jobs()], tenant.trusts()) == ([trust], {trust})
        caller.send("DELETE", f"/scheduled_operations/{schedule['id']}")
        assert tenant.trusts() == {trust}, "the job needs it"

    def test_work_that_is_refused_leaves_nothing(self, api, caller, tenant):
        api.set_provider(acts_in_cloud=True)
        caller.refused(404, "POST", CHECKPOINTS, {"checkpoint": {"plan_id": MISSING}})
        assert (tenant.trusts(), _rows(api)) == (set(), ([], set()))

    def test_a_login_that_hands_on_nothing_is_told_what_to_do(self, api, caller, tenant):
        plan = caller.plan()
        api.set_provider(acts_in_cloud=True)
        caller.token = tenant.credential()
        body = {"checkpoint": {"plan_id": plan["id"]}}
        assert "Log in with a password" in caller.refused(403, "POST", CHECKPOINTS, body)
        assert api.jobs() == []

    def test_what_an_administrator_removes_for_another_project_has_none(self, api, caller, tenant, twin):
        plan = caller.plan()
        made = caller.made(CHECKPOINTS, {"checkpoint": {"plan_id": plan["id"]}})
        (job,) = api.jobs()
        with api.database.write() as rows:
            rows.jobs.request_cancel(job.id)
            rows.checkpoints.transition(made["id"], "error")
        api.set_provider(acts_in_cloud=True)
        headers = {"X-Auth-Token": twin.token("admin")}
        status, _answer = api.send("DELETE", f"{CHECKPOINTS}/{made['id']}", project="admin", headers=headers)
        assert (status, [found.trust_id for found in api.jobs()]) == (200, [None])
        assert tenant.trusts() == set()

# SPDX-License-Identifier: Apache-2.0
"""Can a tenant see what became of each planned time, when the next one is, and ask for one now?"""

import pytest

from karbor.db.fires import Fired, Settled
from tests.support.api import OTHER_PROJECT, PROVIDER, VOLUME
from tests.support.schedules import BEGIN

NIGHT = "2026-01-03T02:00:00.000000"


def _runs(api, scheduled, **query):
    return api.get(f"/scheduled_operations/{scheduled['id']}/runs", **query)["runs"]


def _run_now(api, scheduled, **more):
    return api.send("POST", f"/scheduled_operations/{scheduled['id']}/action", {"run": {}}, **more)


def _fire(api, *, missed=""):
    with api.database.write() as rows:
        for one in rows.fires.due(10):
            until = None if missed else one.at_ms + 900_000
            rows.fires.claim([Settled(one, one.at_ms + 86_400_000, (Fired(one.at_ms, until, missed),))])


def _begin(api):
    with api.database.write() as rows:
        return rows.scheduled_runs.begin(**BEGIN)


class TestNextRun:
    def test_trigger_operation_and_plan_show_it(self, api):
        plan = api.plan()
        scheduled = api.scheduled_operation(plan=plan)
        assert scheduled["next_run"] == NIGHT
        assert api.get("/triggers")["triggers"][0]["next_run"] == NIGHT
        assert api.get("/scheduled_operations")["operations"][0]["next_run"] == NIGHT
        assert api.get(f"/plans/{plan['id']}")["plan"]["summary"]["next_run"] == NIGHT
        assert api.get("/plans")["plans"][0]["summary"]["next_run"] == NIGHT

    def test_a_disabled_operation_and_a_plan_without_one_have_none(self, api):
        plan = api.plan()
        assert api.scheduled_operation(plan=plan, enabled=False)["next_run"] is None
        assert api.get(f"/plans/{plan['id']}")["plan"]["summary"]["next_run"] is None

    def test_a_plan_is_not_run_once_it_was_suspended_until_it_is_started(self, api):
        plan = api.plan()
        api.scheduled_operation(plan=plan)
        shown = {}
        for status in ("started", "suspended", "started"):
            answer = api.send("PUT", f"/plans/{plan['id']}", {"plan": {"status": status}})[1]
            shown[status] = answer["plan"]["summary"]["next_run"]
        assert shown == {"started": NIGHT, "suspended": None}

    def test_it_follows_a_change_of_the_trigger(self, api):
        trigger = api.trigger()
        body = {"trigger_info": {"properties": {"pattern": "30 5 * * *"}}}
        assert api.send("PUT", f"/triggers/{trigger['id']}", body)[1]["trigger_info"]["next_run"][11:16] == "05:30"
        body = {"trigger_info": {"name": "other"}}
        assert api.send("PUT", f"/triggers/{trigger['id']}", body)[1]["trigger_info"]["next_run"][11:16] == "05:30"


class TestRuns:
    def test_missed_and_waiting_ones_are_listed_the_newest_first(self, api):
        scheduled = api.scheduled_operation()
        api.clock.pass_time(86_400)
        _fire(api, missed="No engine was there.")
        api.clock.pass_time(86_400)
        _fire(api)
        waiting, missed = _runs(api, scheduled)
        assert (waiting["status"], waiting["reason"], waiting["manual"]) == ("waiting", None, False)
        assert (missed["status"], missed["reason"]) == ("missed", "No engine was there.")
        assert missed["scheduled_for"] == NIGHT and missed["ended_at"]
        assert [run["id"] for run in _runs(api, scheduled, status="missed")] == [missed["id"]]
        page = api.get(f"/scheduled_operations/{scheduled['id']}/runs", limit=1)
        assert page["runs"] == [waiting] and page["runs_links"]
        assert _runs(api, scheduled, marker=waiting["id"]) == [missed]
        assert api.get(f"/scheduled_operations/{scheduled['id']}/runs/{missed['id']}") == {"run": missed}

    def test_a_run_belongs_to_its_operation_and_its_project(self, api):
        scheduled, other = api.scheduled_operation(), api.scheduled_operation()
        run = _run_now(api, scheduled)[1]["run"]
        api.refused(404, "GET", f"/scheduled_operations/{other['id']}/runs/{run['id']}")
        assert _runs(api, other) == []
        member = {"X-Auth-Token": f"u:{OTHER_PROJECT}"}
        status, _body = api.send("GET", f"/scheduled_operations/{VOLUME}/runs", project=OTHER_PROJECT, headers=member)
        assert status == 404

    def test_with_its_operation_it_is_gone(self, api):
        scheduled = api.scheduled_operation()
        _run_now(api, scheduled)
        assert api.send("DELETE", f"/scheduled_operations/{scheduled['id']}")[0] == 204
        api.refused(404, "GET", f"/scheduled_operations/{scheduled['id']}/runs")


class TestRunNow:
    def test_a_disabled_one_may_be_run_by_hand(self, api):
        scheduled = api.scheduled_operation(enabled=False)
        status, answer = _run_now(api, scheduled)
        assert status == 202 and answer["run"]["manual"] and answer["run"]["status"] == "waiting"
        assert _runs(api, scheduled) == [answer["run"]]

    def test_asked_again_under_one_key_it_is_one(self, api):
        scheduled, headers = api.scheduled_operation(), {"Idempotency-Key": "k1"}
        first = _run_now(api, scheduled, headers=headers)
        assert _run_now(api, scheduled, headers=headers) == first
        assert len(_runs(api, scheduled)) == 1

    def test_one_that_is_not_there(self, api):
        api.refused(404, "POST", f"/scheduled_operations/{VOLUME}/action", {"run": {}})
        api.refused(400, "POST", f"/scheduled_operations/{api.scheduled_operation()['id']}/action", {"walk": {}})


class TestCheckpointsOfEngines:
    """An engine names the run and its fence: the API begins nothing for an engine that lost the run."""

    @pytest.fixture
    def asked(self, api):
        plan = api.plan()
        scheduled = api.scheduled_operation(plan=plan)
        _run_now(api, scheduled)
        (run,) = _begin(api)
        notes = {"scheduled_operation_id": scheduled["id"], "scheduled_run_id": run.id}

        def ask(fence):
            body = {"plan_id": plan["id"], "extra_info": {**notes, "scheduled_run_fence": fence}}
            return api.send("POST", f"/providers/{PROVIDER}/checkpoints", {"checkpoint": body})

        return scheduled, run, ask

    def test_the_run_learns_of_its_checkpoint_with_it(self, api, asked):
        scheduled, run, ask = asked
        status, answer = ask(run.fence)
        assert status == 200
        assert _runs(api, scheduled)[0]["checkpoint_id"] == answer["checkpoint"]["id"]
        assert "scheduled_run_id" not in answer["checkpoint"]["extra_info"]
        assert ask(run.fence)[0] == 409

    def test_whoever_lost_it_gets_nothing(self, api, asked):
        _scheduled, run, ask = asked
        assert ask(run.fence - 1)[0] == 409
        assert api.get("/checkpoints")["checkpoints"] == [] == api.jobs()


class TestDefinitions:
    @pytest.mark.parametrize(
        ("type_", "definition", "reason"),
        [
            ("copy", {}, "target_provider_id"),
            ("copy", {"target_provider_id": "x"}, "target_provider_id"),
            ("verify", {"level": "deep"}, "level"),
            ("protect", {"overlap": "collide"}, "overlap"),
            ("protect", {"max_retries": 11}, "max_retries"),
            ("retention_protect", {"keep_daily": "many"}, "keep_daily"),
            ("retention_protect", {"keep_failed": -1}, "keep_failed"),
            ("retention_protect", {"verified": "yes"}, "verified"),
            ("retention_protect", {"timezone": "Europe/Nowhere"}, "timezone"),
        ],
    )
    def test_what_cannot_be_done_is_refused(self, api, type_, definition, reason):
        plan, trigger = api.plan(), api.trigger()
        what = {"plan_id": plan["id"], "provider_id": PROVIDER, **definition}
        body = {"name": "s", "operation_type": type_, "trigger_id": trigger["id"], "operation_definition": what}
        assert reason in api.refused(400, "POST", "/scheduled_operations", {"scheduled_operation": body})

    @pytest.mark.parametrize(
        ("type_", "definition"),
        [
            ("copy", {"target_provider_id": VOLUME}),
            ("verify", {"level": "data"}),
            ("verify", {}),
            ("protect", {"overlap": "queue", "max_retries": 3, "target_provider_id": "any text"}),
            ("retention_protect", {"keep_daily": "7", "keep_weekly": 4, "timezone": "Europe/Berlin"}),
        ],
    )
    def test_what_can_be_done_is_kept(self, api, type_, definition):
        made = api.scheduled_operation(operation_type=type_, definition=definition)
        kept = {name: made["operation_definition"][name] for name in definition}
        assert kept == {name: 7 if value == "7" else value for name, value in definition.items()}

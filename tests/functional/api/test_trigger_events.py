# SPDX-License-Identifier: Apache-2.0
"""Can a trigger be fired by a request, by nobody but those who may, and once for each event?"""

import re

import pytest

from tests.support.api import OTHER_PROJECT, PROJECT, SERVER, Api

HOOK = re.compile(r"http://localhost(/hooks/[0-9a-f-]{36}/[A-Za-z0-9_-]{43})")


def _trigger(api, type_="webhook", **properties):
    body = {"trigger_info": {"name": "t", "type": type_, "properties": properties}}
    return api.post("/triggers", body)["trigger_info"]


def _path(trigger):
    """Of the secret address."""
    return HOOK.fullmatch(trigger["hook"])[1]


def _knock(api, path, status=202, **headers):
    response = api.raw("POST", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    assert response.status_int == status, response.text
    return response.json_body


def _runs(api, scheduled):
    return api.get(f"/scheduled_operations/{scheduled['id']}/runs")["runs"]


@pytest.fixture(scope="module")
def steady(tmp_path_factory):
    """An API in which nothing is kept: for requests that are refused."""
    made = Api(tmp_path_factory.mktemp("steady"))
    yield made
    made.database.dispose()


@pytest.fixture
def trigger(api):
    return _trigger(api)


@pytest.fixture
def scheduled(api, trigger):
    return api.scheduled_operation(trigger=trigger)


class TestSecretAddress:
    def test_it_is_shown_once_and_the_secret_is_kept_nowhere(self, api, trigger):
        assert trigger["token"] and trigger["hook"].endswith(trigger["token"])
        for shown in (api.get(f"/triggers/{trigger['id']}")["trigger_info"], api.get("/triggers")["triggers"][0]):
            assert (shown["token"], shown["hook"]) == (None, None)
        with api.database.read() as rows:
            dump = "\n".join(rows.connection.connection.driver_connection.iterdump())
        assert trigger["id"] in dump and trigger["token"] not in dump

    def test_whoever_knows_it_fires_the_trigger(self, api, trigger, scheduled):
        event = _knock(api, _path(trigger))["event"]
        assert (event["outcome"], event["runs"], event["trigger_id"]) == ("fired", 1, trigger["id"])
        (run,) = _runs(api, scheduled)
        assert (run["status"], run["event_id"]) == ("waiting", event["id"])
        assert api.get(f"/triggers/{trigger['id']}/events")["events"] == [event]

    def test_the_same_key_is_the_same_event(self, api, trigger, scheduled):
        first = _knock(api, _path(trigger), Idempotency_Key="delivery-1")
        api.clock.pass_time(3600)
        assert _knock(api, _path(trigger), Idempotency_Key="delivery-1") == first
        assert len(_runs(api, scheduled)) == 1
        assert _knock(api, _path(trigger), Idempotency_Key="delivery-2") != first
        assert len(_runs(api, scheduled)) == 2

    def test_without_a_key_each_request_is_an_event_and_a_burst_is_taken_together(self, api, trigger, scheduled):
        outcomes = [_knock(api, _path(trigger))["event"]["outcome"] for _time in range(5)]
        assert outcomes == ["fired", "fired", "joined", "joined", "joined"]
        assert len(_runs(api, scheduled)) == 2
        assert len(api.get(f"/triggers/{trigger['id']}/events", outcome="joined")["events"]) == 3

    @pytest.mark.parametrize("change", ["token", "id", "both"])
    def test_a_wrong_address_is_one_that_is_not_there(self, api, trigger, change):
        token = "x" * 43 if change in ("token", "both") else trigger["token"]
        id = SERVER if change in ("id", "both") else trigger["id"]
        answer = _knock(api, f"/hooks/{id}/{token}", 404)
        assert answer["itemNotFound"]["message"] == "There is no webhook with this address."

    @pytest.mark.parametrize("path", ["/hooks", "/hooks/x", f"/hooks/{SERVER}", f"/hooks/{SERVER}/x", "/hooks/x/y/z"])
    def test_what_is_no_address_is_refused(self, steady, path):
        assert steady.raw("POST", path).status_int in (400, 404)

    def test_it_cannot_be_used_for_anything_else(self, api, trigger):
        assert api.raw("GET", _path(trigger)).status_int == 405

    def test_the_body_does_not_matter(self, api, trigger, scheduled):
        assert api.raw("POST", _path(trigger), data=b"{ this is no json").status_int == 202

    def test_a_new_secret_takes_the_place_of_the_old_one(self, api, trigger, scheduled):
        fresh = api.post(f"/triggers/{trigger['id']}/token", None)["webhook"]
        assert fresh["token"] != trigger["token"]
        _knock(api, _path(trigger), 404)
        _knock(api, _path(fresh))

    def test_too_many_requests_have_to_wait(self, tmp_path):
        api = Api(tmp_path, webhook_per_minute=3)
        path = _path(_trigger(api))
        for _time in range(3):
            _knock(api, path)
        response = api.raw("POST", path)
        assert response.status_int == 413 and int(response.headers["Retry-After"]) > 0
        api.clock.pass_time(60)
        _knock(api, path)
        api.database.dispose()

    def test_a_deleted_trigger_has_none(self, api, trigger):
        assert api.send("DELETE", f"/triggers/{trigger['id']}") == (204, None)
        _knock(api, _path(trigger), 404)


class TestUnderALogin:
    def test_the_owner_fires_it(self, api, trigger, scheduled):
        status, answer = api.send("POST", f"/triggers/{trigger['id']}/fire", headers={"Idempotency-Key": "k"})
        assert (status, answer["event"]["outcome"]) == (202, "fired")
        assert api.send("POST", f"/triggers/{trigger['id']}/fire", headers={"Idempotency-Key": "k"})[1] == answer
        assert len(_runs(api, scheduled)) == 1

    def test_a_disabled_operation_is_not_run(self, api, trigger, scheduled):
        api.send("PUT", f"/scheduled_operations/{scheduled['id']}", {"scheduled_operation": {"enabled": False}})
        event = api.send("POST", f"/triggers/{trigger['id']}/fire")[1]["event"]
        assert (event["outcome"], event["runs"]) == ("ignored", 0)

    def test_other_kinds_are_not_fired_by_requests_and_have_no_secret(self, api):
        nightly = api.trigger()
        assert (nightly["token"], nightly["hook"]) == (None, None)
        for what in ("fire", "token"):
            assert "not fired by requests" in api.refused(409, "POST", f"/triggers/{nightly['id']}/{what}")

    @pytest.mark.parametrize("what", ["fire", "token"])
    def test_what_is_not_there_cannot_be_fired(self, steady, what):
        steady.refused(404, "POST", f"/triggers/{SERVER}/{what}")
        steady.refused(400, "POST", f"/triggers/x/{what}")

    @pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\u00e4"])
    def test_a_key_out_of_shape_is_refused(self, api, trigger, key):
        response = api.raw("POST", f"/v1/{PROJECT}/triggers/{trigger['id']}/fire", headers={"Idempotency-Key": key})
        assert response.status_int == 400


class TestAfter:
    def test_it_names_what_the_project_has(self, api):
        scheduled = api.scheduled_operation()
        waits = _trigger(api, "after", scheduled_operation_id=scheduled["id"], outcome="any")
        assert waits["properties"] == {"scheduled_operation_id": scheduled["id"], "outcome": "any"}
        assert waits["next_run"] is None
        assert api.get(f"/triggers/{waits['id']}/fires")["fires"] == []

    @pytest.mark.parametrize("name", ["scheduled_operation_id", "plan_id"])
    def test_what_is_not_there_or_foreign_is_refused_and_nothing_is_left(self, api, name):
        plan = api.plan()
        body = {"trigger_info": {"name": "t", "type": "after", "properties": {name: SERVER}}}
        assert "could not be found" in api.refused(400, "POST", "/triggers", body)
        foreign = {"trigger_info": {"name": "t", "type": "after", "properties": {"plan_id": plan["id"]}}}
        api.refused(400, "POST", "/triggers", foreign, project=OTHER_PROJECT)
        assert api.get("/triggers") == {"triggers": []}
        assert api.get("/triggers", project=OTHER_PROJECT) == {"triggers": []}

    def test_a_change_to_what_is_not_there_is_refused(self, api):
        waits = _trigger(api, "after", plan_id=api.plan()["id"])
        body = {"trigger_info": {"properties": {"plan_id": SERVER}}}
        assert "could not be found" in api.refused(400, "PUT", f"/triggers/{waits['id']}", body)


@pytest.mark.parametrize(
    ("type_", "properties", "reason"),
    [
        ("at", {}, "at must be a time"),
        ("at", {"at": "2020-01-01 00:00:00"}, "must lie ahead"),
        ("at", {"at": "2026-03-29 02:30:00", "timezone": "Europe/Berlin"}, "the clocks skip it"),
        ("at", {"at": "2026-02-30 00:00:00"}, "at must be a time"),
        ("after", {}, "is required"),
        ("notification", {"event_type": "*"}, "every notification"),
        ("notification", {"event_type": "volume.*", "conditions": {"a": {"b": 1}}}, "properties.conditions"),
        ("webhook", {"token": "mine"}, "'token' is not known"),
        ("webhook", {"a": {"b": 1}}, "properties.a"),
        ("time", {"format": "crontab", "pattern": "0 2 * * *", "blackouts": "x"}, "blackouts must be"),
        ("time", {"format": "crontab", "pattern": "0 2 * * *", "blackouts": [5]}, "properties.blackouts"),
        ("time", {"format": "crontab", "pattern": "0 2 * * *", "blackouts": "00:00-24:00"}, "leave no time"),
        ("time", {"format": "crontab", "pattern": "0 2 * * *", "jitter": 7200}, "jitter must be between"),
    ],
)
def test_a_wrong_trigger_is_refused_and_nothing_is_left_behind(steady, type_, properties, reason):
    body = {"trigger_info": {"name": "t", "type": type_, "properties": properties}}
    assert reason in steady.refused(400, "POST", "/triggers", body)
    assert steady.get("/triggers") == {"triggers": []}


def test_a_preview_has_the_jitter_and_what_is_left_out(api):
    trigger = api.trigger(jitter=1800, blackouts="SA SU 00:00-24:00")
    shown = api.get(f"/triggers/{trigger['id']}/fires", count=3)
    assert [fire["planned"][:16] for fire in shown["fires"]] == [f"2026-01-0{day}T02:00" for day in (5, 6, 7)]
    assert [entry["at"][:10] for entry in shown["left_out"]] == ["2026-01-03", "2026-01-04"]
    offsets = {fire["at"][10:] for fire in shown["fires"]}
    assert len(offsets) == 1 and "T02:00" <= offsets.pop() <= "T02:30:00.000000"
    assert trigger["next_run"] == shown["fires"][0]["at"]


def test_once_is_shown_with_the_time_of_its_zone(api):
    trigger = _trigger(api, "at", at="2026-07-01 02:00:00", timezone="Europe/Berlin")
    assert trigger["next_run"] == "2026-07-01T00:00:00.000000"
    (fire,) = api.get(f"/triggers/{trigger['id']}/fires")["fires"]
    assert fire["local"] == "2026-07-01T02:00:00+02:00"


def test_an_operation_that_keeps_failing_shows_it(api, scheduled):
    path = f"/scheduled_operations/{scheduled['id']}"
    with api.database.write() as rows:
        for _time in range(2):
            rows.breakers.note(scheduled["id"], good=False, after=2, pause_ms=3_600_000)
    shown = api.get(path)["scheduled_operation"]
    assert (shown["failures"], shown["paused_until"]) == (2, "2026-01-02T04:04:05.000000")
    assert api.get("/scheduled_operations")["operations"][0]["failures"] == 2
    changed = api.send("PUT", path, {"scheduled_operation": {"name": "mended"}})[1]["scheduled_operation"]
    assert (changed["failures"], changed["paused_until"]) == (0, None)

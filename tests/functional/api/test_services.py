# SPDX-License-Identifier: Apache-2.0
"""Does an administrator see which daemons live, and can an engine be disabled?"""

import pytest

from tests.support.api import SERVER

ENGINE = "karbor-operationengine"


@pytest.fixture
def services(api):
    """An engine and a worker on one host, and an engine on another."""
    with api.database.write() as rows:
        rows.services.heartbeat(binary=ENGINE, host="one")
        rows.services.heartbeat(binary="karbor-protection", host="one")
        rows.services.heartbeat(binary=ENGINE, host="two")
    return {(found["binary"], found["host"]): found for found in api.get("/os-services")["services"]}


def test_services_are_shown_with_number_status_and_state(api, services):
    found = services[ENGINE, "one"]
    assert found.pop("id") > 0
    assert found == {
        "binary": ENGINE,
        "host": "one",
        "status": "enabled",
        "state": "up",
        "updated_at": "2026-01-02T03:04:05.000000",
        "disabled_reason": None,
    }
    assert len({service["id"] for service in api.get("/os-services")["services"]}) == 3


def test_a_service_is_down_after_the_time_that_the_operator_set(api, services):
    api.clock.pass_time(60)
    assert {found["state"] for found in api.get("/os-services")["services"]} == {"up"}
    api.clock.pass_time(1)
    with api.database.write() as rows:
        rows.services.heartbeat(binary=ENGINE, host="two")
    states = {(found["binary"], found["host"]): found["state"] for found in api.get("/os-services")["services"]}
    assert states == {(ENGINE, "one"): "down", (ENGINE, "two"): "up", ("karbor-protection", "one"): "down"}


def test_filters(api, services):
    assert len(api.get("/os-services", host="one")["services"]) == 2
    assert [found["host"] for found in api.get("/os-services", binary=ENGINE, host="two")["services"]] == ["two"]
    assert api.get("/os-services", host="o") == {"services": []}
    assert api.get("/os-services", host="\x00") == {"services": []}


def test_an_engine_is_disabled_with_a_reason_and_enabled_again(api, services):
    path = f"/os-services/{services[ENGINE, 'one']['id']}"
    status, body = api.send("PUT", path, {"status": "disabled", "disabled_reason": "new disks"})
    assert status == 200
    assert (body["service"]["status"], body["service"]["disabled_reason"]) == ("disabled", "new disks")
    status, body = api.send("PUT", path, {"status": "enabled"})
    assert (body["service"]["status"], body["service"]["disabled_reason"]) == ("enabled", None)
    assert api.send("PUT", path, {"status": "disabled"})[1]["service"]["disabled_reason"] is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"status": "enabled", "disabled_reason": "why"}, "only be given with the status disabled"),
        ({"status": "paused"}, "status"),
        ({"disabled_reason": "why"}, "'status' is required"),
        ({"service": {"status": "enabled"}}, "'service' is not known"),
        ({"status": "disabled", "disabled_reason": "x" * 256}, "disabled_reason"),
        ([], "object"),
    ],
)
def test_a_wrong_change_is_refused(api, services, body, reason):
    path = f"/os-services/{services[ENGINE, 'one']['id']}"
    assert reason in api.refused(400, "PUT", path, body)
    assert api.get("/os-services", host="one", binary=ENGINE)["services"][0]["status"] == "enabled"


def test_only_engines_can_be_disabled(api, services):
    path = f"/os-services/{services['karbor-protection', 'one']['id']}"
    assert "Only karbor-operationengine" in api.refused(400, "PUT", path, {"status": "disabled"})


@pytest.mark.parametrize(
    ("id_", "status"), [("999999999", 404), ("0", 400), ("-1", 400), ("x", 400), (SERVER, 400), ("9" * 30, 400)]
)
def test_an_unknown_service_is_not_found(api, id_, status):
    api.refused(status, "PUT", f"/os-services/{id_}", {"status": "enabled"})

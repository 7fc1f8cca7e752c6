# SPDX-License-Identifier: Apache-2.0
"""Is an export begun only where everything is right, shown with its addresses, bounded, and closed?"""

import pytest

from karbor.model.checkpoint import SavedResource
from tests.support.api import OTHER_PROJECT, PROVIDER, SERVER, Api

KEY = f"OS::Nova::Server#{SERVER}"
STREAM = {"resource": KEY, "stream": "disk", "size": 4096, "uri": "nbd+unix:///?socket=/run/x.sock"}


@pytest.fixture
def path(api):
    return path_of(api)


def path_of(api, **more):
    checkpoint = api.checkpoint(**more)
    with api.database.write() as rows:
        rows.checkpoints.save_resources(checkpoint["id"], [SavedResource(KEY, "p", {}, {"disk": "1", "nvram": "2"})])
    return f"/providers/{PROVIDER}/checkpoints/{checkpoint['id']}"


def start(api, path, headers=None, **wish):
    status, answer = api.send("POST", f"{path}/action", {"export": wish}, headers=headers)
    assert status == 202, answer
    return answer["export"]


def test_a_new_export_is_starting_and_the_workers_know(api, path):
    export = start(api, path, resource=KEY, stream="disk", seconds=60)
    assert (export["status"], export["resource"], export["stream"], export["host"]) == ("starting", KEY, "disk", None)
    assert (export["streams"], export["reason"], export["finished_at"]) == ([], None, None)
    assert export["created_at"] < export["expires_at"]
    assert api.workers.told[-1] == export["id"]
    assert api.get(f"/exports/{export['id']}")["export"] == export
    assert api.get("/exports", status="starting")["exports"] == [export]
    assert api.get("/exports", status="active") == {"exports": []}
    assert api.jobs() == []


def test_what_a_worker_offers_is_shown_until_it_is_closed(api, path):
    export = start(api, path)
    with api.database.write() as rows:
        rows.exports.take(host="kvm1", provider_ids=[PROVIDER])
        rows.exports.transition(export["id"], "active", streams=[STREAM])
    shown = api.get(f"/exports/{export['id']}")["export"]
    assert (shown["status"], shown["host"], shown["streams"]) == ("active", "kvm1", [STREAM])
    for _again in range(2):
        status, answer = api.send("DELETE", f"/exports/{export['id']}")
        assert (status, answer["export"]["status"]) == (202, "closing")
    assert api.workers.told[-1] == export["id"]
    with api.database.write() as rows:
        rows.exports.transition(export["id"], "closed", finished_at=api.clock.now())
    assert api.send("DELETE", f"/exports/{export['id']}")[1]["export"]["status"] == "closed"


def test_one_that_nobody_has_begun_is_closed_at_once(api, path):
    export = start(api, path)
    status, answer = api.send("DELETE", f"/exports/{export['id']}")
    assert (status, answer["export"]["status"]) == (202, "closed")
    assert answer["export"]["finished_at"]


def test_the_same_request_under_a_key_makes_one_export(api, path):
    made = [start(api, path, headers={"Idempotency-Key": "k"}) for _again in range(2)]
    assert made[0] == made[1]
    assert len(api.get("/exports")["exports"]) == 1


@pytest.mark.parametrize("status", ["protecting", "error", "deleting", "deleted"])
def test_only_an_available_checkpoint_is_exported(api, status):
    assert status in api.refused(409, "POST", f"{path_of(api, status=status)}/action", {"export": {}})
    assert api.get("/exports") == {"exports": []}


def test_a_checkpoint_that_is_exported_is_not_deleted(api, path):
    export = start(api, path)
    assert export["id"] in api.refused(409, "DELETE", path)
    api.send("DELETE", f"/exports/{export['id']}")
    assert api.send("DELETE", path)[0] == 200


@pytest.mark.parametrize(
    "wish",
    [
        {"resource": "OS::Nova::Server#other"},
        {"stream": "other"},
        {"stream": "../x"},
        {"stream": ""},
        {"resource": KEY, "stream": "x" * 300},
        {"host": "nowhere"},
        {"seconds": 0},
        {"seconds": 10**9},
        {"seconds": "60"},
        {"seconds": None},
        {"strange": 1},
        [],
        None,
    ],
)
def test_a_wrong_wish_is_refused(api, path, wish):
    told = list(api.workers.told)
    api.refused(400, "POST", f"{path}/action", {"export": wish})
    assert (api.get("/exports"), api.workers.told) == ({"exports": []}, told)


def test_two_actions_in_one_request_are_refused(api, path):
    api.refused(400, "POST", f"{path}/action", {"export": {}, "cancel": {}})
    assert api.get("/exports") == {"exports": []}


def test_a_host_is_taken_where_a_worker_lives(api, path):
    with api.database.write() as rows:
        rows.services.heartbeat(binary="karbor-protection", host="kvm1")
    assert start(api, path, host="kvm1")["host"] == "kvm1"
    api.clock.pass_time(3600)
    assert "kvm1" in api.refused(400, "POST", f"{path}/action", {"export": {"host": "kvm1"}})


def test_a_project_has_a_bound(tmp_path):
    api = Api(tmp_path)
    api.conf.set_override("per_project", 2, group="export")
    path = path_of(api)
    first, _second = start(api, path), start(api, path)
    assert "2 exports" in api.refused(413, "POST", f"{path}/action", {"export": {}})
    api.send("DELETE", f"/exports/{first['id']}")
    start(api, path)
    api.database.dispose()


def test_nothing_is_exported_from_a_bank_that_is_gone(api, path):
    api.set_provider(available=False, reason="The directory of the bank is missing.")
    assert "missing" in api.refused(503, "POST", f"{path}/action", {"export": {}})


def test_other_projects_see_nothing_of_it(api, path):
    export = start(api, path)
    assert api.get("/exports", project=OTHER_PROJECT) == {"exports": []}
    api.refused(404, "GET", f"/exports/{SERVER}")
    assert api.get("/exports", checkpoint_id=SERVER) == {"exports": []}
    assert api.get("/exports", checkpoint_id=path.rpartition("/")[2])["exports"] == [export]

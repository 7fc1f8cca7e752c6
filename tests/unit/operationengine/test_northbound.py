# SPDX-License-Identifier: Apache-2.0
"""Does the engine speak the REST API as it is, and does it understand each refusal? Over HTTP, with the real API."""

import threading
from dataclasses import replace

import pytest
from cheroot import wsgi

from karbor.model import errors
from karbor.operationengine.identity import NoAuthIdentity
from karbor.operationengine.northbound import RestNorthbound
from tests.support.api import PROVIDER, VOLUME, Api, provider_info
from tests.support.schedules import BEGIN
from tests.support.servers import free_port

FAR = "d0a4f1a2-7c3b-4f5e-9a8b-0c1d2e3f4a5b"


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    found = Api(tmp_path_factory.mktemp("api"))
    near = provider_info()
    empty = dict.fromkeys(near.resource_types, {"type": "object", "properties": {}})
    schemas = {**near.schemas, "copy_schema": empty, "verify_schema": empty}
    found.set_provider(schemas=schemas)
    with found.database.write() as rows:
        rows.providers.put(replace(near, id=FAR, name="far", schemas=schemas))
    return found


@pytest.fixture(scope="module")
def north(api):
    """The engine's door, over the application on a port of the loopback."""
    server = wsgi.Server(("127.0.0.1", 0), api.app, numthreads=2)
    server.prepare()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    yield RestNorthbound(lambda: f"http://127.0.0.1:{server.bind_addr[1]}/", NoAuthIdentity(), timeout=60)
    server.stop()
    thread.join(30)


@pytest.fixture
def run(api):
    """A run that was just begun, of a plan of its own."""
    scheduled = api.scheduled_operation()
    api.send("POST", f"/scheduled_operations/{scheduled['id']}/action", {"run": {}})
    with api.database.write() as rows:
        return next(one for one in rows.scheduled_runs.begin(**BEGIN) if one.scheduled_operation_id == scheduled["id"])


def test_a_repeated_request_for_a_checkpoint_is_one(api, north, run):
    first, again = north.protect(run), north.protect(run)
    assert first["id"] == again["id"] and first["status"] == "protecting"
    assert [found["id"] for found in north.checkpoints(run)] == [first["id"]]
    assert north.checkpoint(run, PROVIDER, first["id"])["protection_plan"]["id"] == run.plan_id
    with api.database.read() as rows:
        assert rows.scheduled_runs.get(run.id).result["checkpoint_id"] == first["id"]


def test_who_lost_the_run_begins_nothing(north, run):
    with pytest.raises(errors.Conflict):
        north.protect(replace(run, fence=run.fence - 1, attempts=9))


def test_what_is_made_is_cancelled_verified_copied_and_deleted(api, north, run):
    made = api.checkpoint(plan={"id": run.plan_id, "provider_id": PROVIDER})
    verification = north.verify(run, made["id"], {})
    assert verification["id"] == north.verify(run, made["id"], {})["id"]
    assert north.verification(run, verification["id"])["status"] == "in_progress"
    copies = list(north.copy(run, FAR))
    assert len(copies) == 1 and list(north.copy(run, FAR)) == copies
    with pytest.raises(errors.Conflict):
        north.delete(run, made["id"])
    other = north.protect(run)
    north.cancel(run, other["id"])
    assert north.checkpoint(run, PROVIDER, other["id"])["status"] == "error"
    north.delete(run, other["id"])
    assert north.checkpoint(run, PROVIDER, other["id"])["status"] == "deleting"


def test_a_long_list_is_gone_through(api, north, run):
    plan = {"id": run.plan_id, "provider_id": PROVIDER}
    made = {api.checkpoint(plan=plan)["id"] for _number in range(3)}
    assert {found["id"] for found in north.checkpoints(run, limit="2")} == made
    assert list(north.checkpoints(run, status="error")) == []


@pytest.mark.parametrize(
    ("ask", "fault"),
    [
        (lambda north, run: north.checkpoint(run, PROVIDER, VOLUME), errors.NotFound),
        (lambda north, run: north.checkpoint(run, PROVIDER, "x"), errors.InvalidInput),
        (lambda north, run: north.verification(run, VOLUME), errors.NotFound),
        (lambda north, run: north.protect(replace(run, plan_id=VOLUME)), errors.NotFound),
    ],
)
def test_a_refusal_is_the_error_that_the_api_means(north, run, ask, fault):
    with pytest.raises(fault) as found:
        ask(north, run)
    assert found.value.message


def test_nobody_there_may_pass():
    nowhere = RestNorthbound(lambda: f"http://127.0.0.1:{free_port()}", NoAuthIdentity(), timeout=5)
    with pytest.raises(errors.Unavailable):
        nowhere.verification(_Nobody(), "x")


class _Nobody:
    project_id, user_id, id = "p", "u", "r"

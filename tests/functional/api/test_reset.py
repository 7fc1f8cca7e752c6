# SPDX-License-Identifier: Apache-2.0
"""Can the state of a checkpoint be set where nothing knows better, and only to what can be true?"""

import uuid
from dataclasses import replace

import pytest

from karbor.model import errors
from karbor.model.checkpoint import Reason, SavedResource
from karbor.model.operation import Job, OperationLog
from karbor.model.restore import Restore
from tests.support.api import PROJECT, PROVIDER, VOLUME

PATH = f"/providers/{PROVIDER}/checkpoints"
SAVED = SavedResource("OS::Nova::Server#x", "plugin", {}, {})


def ask(state):
    return {"os-resetState": {"state": state}}


def complete(api, status):
    """A checkpoint that was complete once."""
    found = api.checkpoint(status=status)
    with api.database.write() as rows:
        rows.checkpoints.save_resources(found["id"], [SAVED])
    return f"{PATH}/{found['id']}"


def status_of(api, path):
    return api.get(path)["checkpoint"]["status"]


@pytest.mark.parametrize("status", ["available", "error", "protecting", "deleting", "error-deleting"])
def test_error_can_be_said_of_everything_that_nothing_works_on(api, status):
    path = f"{PATH}/{api.checkpoint(status=status)['id']}"
    assert api.send("PUT", path, ask("error")) == (200, {})
    found = api.get(path)["checkpoint"]
    assert found["status"] == "error"
    assert api.send("DELETE", path)[0] == 200
    if status != "error":
        assert status in found["reason"]["cause"]
        assert found["finished_at"]


def test_a_tombstone_stays_one(api):
    path = f"{PATH}/{api.checkpoint(status='deleted')['id']}"
    for state in ("error", "available"):
        api.refused(400, "PUT", path, ask(state))


@pytest.mark.parametrize("state", ["error", "available"])
def test_while_something_works_on_it_its_state_is_left_alone(api, state):
    plan = api.plan()
    checkpoint = api.post(PATH, {"checkpoint": {"plan_id": plan["id"]}})["checkpoint"]
    assert "protect" in api.refused(400, "PUT", f"{PATH}/{checkpoint['id']}", ask(state))
    assert status_of(api, f"{PATH}/{checkpoint['id']}") == "protecting"


def lose(api, operation, checkpoint_id, **more):
    """A job whose worker began it and was never heard of again."""
    job_id = str(uuid.uuid4())
    with api.database.write() as rows:
        rows.operation_logs.create(OperationLog(job_id, PROJECT, operation, checkpoint_id=checkpoint_id))
        rows.jobs.create(Job(job_id, operation, PROJECT, PROVIDER, checkpoint_id=checkpoint_id, **more))
        job = rows.jobs.claim(owner="lost", provider_ids=[PROVIDER], host="h", lease_ms=20_000)
    assert job.id == job_id
    return job


@pytest.mark.parametrize(
    ("operation", "status"), [("protect", "protecting"), ("delete", "deleting"), ("restore", "available")]
)
def test_a_lost_worker_does_not_hold_it_for_ever(api, operation, status):
    checkpoint = api.checkpoint(status=status)
    path, more = f"{PATH}/{checkpoint['id']}", {}
    if operation == "restore":
        with api.database.write() as rows:
            more["restore_id"] = rows.restores.create(Restore(VOLUME, PROJECT, PROVIDER, checkpoint["id"])).id
    job = lose(api, operation, checkpoint["id"], **more)
    api.refused(400, "PUT", path, ask("error"))  # it may only be slow
    api.clock.pass_time(21)
    assert api.send("PUT", path, ask("error")) == (200, {})
    assert status_of(api, path) == "error"
    log = api.get(f"/operation_logs/{job.id}")["operation_log"]
    assert "not heard of" in log["error_info"] and log["ended_at"]
    with api.database.write() as rows:
        assert rows.jobs.live_for(checkpoint_id=checkpoint["id"]) == []
        with pytest.raises(errors.LeaseLost):
            rows.jobs.heartbeat(job, lease_ms=20_000)
        assert operation != "restore" or rows.restores.get(VOLUME).status == "fail"


def test_what_was_complete_can_be_available_again(api):
    path = complete(api, "available")
    with api.database.write() as rows:  # what a verification does that finds damage
        rows.checkpoints.transition(path.split("/")[-1], "error", reason=Reason("one", "verify", "damaged"))
    assert api.send("PUT", path, ask("available")) == (200, {})
    found = api.get(path)["checkpoint"]
    assert (found["status"], found["reason"]) == ("available", None)


def test_what_never_was_complete_cannot_be_available(api):
    path = f"{PATH}/{api.checkpoint(status='error')['id']}"
    assert "never complete" in api.refused(400, "PUT", path, ask("available"))


@pytest.mark.parametrize("status", ["deleting", "error-deleting"])
def test_what_was_being_deleted_is_never_available_again(api, status):
    path = complete(api, status)
    api.refused(400, "PUT", path, ask("available"))
    assert api.send("PUT", path, ask("error"))[0] == 200
    api.refused(400, "PUT", path, ask("available"))


@pytest.mark.parametrize("state", ["available", "error"])
def test_a_state_that_it_has_changes_nothing(api, state):
    path = f"{PATH}/{api.checkpoint(status=state)['id']}"
    before = api.get(path)
    assert api.send("PUT", path, ask(state)) == (200, {})
    assert api.get(path) == before


@pytest.mark.parametrize("body", [ask("deleted"), ask("protecting"), ask(None), {"os-resetState": {}}, {}, {"x": {}}])
def test_unknown_states_are_refused(api, body):
    api.refused(400, "PUT", f"{PATH}/{api.checkpoint()['id']}", body)


@pytest.mark.parametrize("status", ["wait_copying", "copying"])
def test_a_copy_that_was_left_half_done_can_be_reset_and_deleted(api, status):
    source = api.checkpoint()
    with api.database.write() as rows:
        kept = rows.checkpoints.get(source["id"])
        copy = rows.checkpoints.create(replace(kept, id=VOLUME, status="wait_copying", source_id=kept.id))
        rows.checkpoints.transition(copy.id, status)
    path = f"{PATH}/{VOLUME}"
    assert api.get(path)["checkpoint"]["source_id"] == source["id"]
    assert api.send("PUT", path, ask("error"))[0] == 200
    assert status_of(api, path) == "error"
    with api.database.write() as rows:
        other = rows.checkpoints.create(replace(kept, id=str(uuid.uuid4()), status="wait_copying", source_id=kept.id))
        rows.checkpoints.transition(other.id, status)
    assert api.send("DELETE", f"{PATH}/{other.id}")[0] == 200
    assert status_of(api, f"{PATH}/{other.id}") == "deleting"

# SPDX-License-Identifier: Apache-2.0
"""Can work be called off, by those who may, and does what is shown of it end?"""

from dataclasses import replace

import pytest

from karbor.model.operation import Job
from tests.support.api import OTHER_PROJECT, PROJECT, PROVIDER, SERVER, VOLUME

PATH = f"/providers/{PROVIDER}/checkpoints"
CANCEL = {"cancel": {}}


def begun(api, job):
    """A worker has taken the job."""
    with api.database.write() as rows:
        return rows.jobs.claim(owner="w", provider_ids=[job.provider_id], host="h", lease_ms=60_000)


def protecting(api):
    plan = api.plan()
    checkpoint = api.post(PATH, {"checkpoint": {"plan_id": plan["id"]}})["checkpoint"]
    return f"{PATH}/{checkpoint['id']}"


def restoring(api):
    body = {"provider_id": PROVIDER, "checkpoint_id": api.checkpoint()["id"], "parameters": {}}
    return f"/restores/{api.post('/restores', {'restore': body})['restore']['id']}"


def shown(api, path):
    return next(iter(api.get(path).values()))


def cancel(api, path):
    status, body = api.send("POST", f"{path}/action", CANCEL)
    assert status == 202, body
    return next(iter(body.values()))


def test_a_checkpoint_that_nobody_has_begun_ends_at_once(api):
    path = protecting(api)
    (job,) = api.jobs()
    found = cancel(api, path)
    assert found == shown(api, path)
    assert (found["status"], found["reason"]["cause"]) == ("error", "The operation was cancelled.")
    assert found["finished_at"]
    log = api.get(f"/operation_logs/{job.id}")["operation_log"]
    assert (log["status"], log["error_info"], bool(log["ended_at"])) == ("error", "The operation was cancelled.", True)
    assert api.jobs() == []


def test_a_restore_that_nobody_has_begun_ends_at_once(api):
    path = restoring(api)
    (job,) = api.jobs()
    found = cancel(api, path)
    assert found["status"] == "fail"
    assert list(found["resources_reason"].values()) == ["The operation was cancelled."]
    log = api.get(f"/operation_logs/{job.id}")["operation_log"]
    assert (log["status"], log["error_info"]) == ("fail", "The operation was cancelled.")


@pytest.mark.parametrize(("start", "status"), [(protecting, "protecting"), (restoring, "in_progress")])
def test_what_was_begun_is_ended_by_its_worker_and_may_be_called_off_twice(api, start, status):
    path = start(api)
    job = begun(api, api.jobs()[0])
    for _ in range(2):
        assert cancel(api, path)["status"] == status
    with api.database.read() as rows:
        assert rows.jobs.get(job.id).cancel_requested


@pytest.mark.parametrize("start", [protecting, restoring])
def test_where_nothing_runs_there_is_nothing_to_cancel(api, start):
    path = start(api)
    cancel(api, path)
    before = shown(api, path)
    assert "Nothing that can be cancelled" in api.refused(409, "POST", f"{path}/action", CANCEL)
    assert shown(api, path) == before


def test_a_delete_is_not_cancelled_and_neither_is_a_restore_under_its_checkpoint(api):
    checkpoint = api.checkpoint()
    path = f"{PATH}/{checkpoint['id']}"
    body = {"provider_id": PROVIDER, "checkpoint_id": checkpoint["id"], "parameters": {}}
    api.post("/restores", {"restore": body})
    api.refused(409, "POST", f"{path}/action", CANCEL)
    assert [job.cancel_requested for job in api.jobs()] == [False]
    other = f"{PATH}/{api.checkpoint()['id']}"
    api.send("DELETE", other)
    api.refused(409, "POST", f"{other}/action", CANCEL)
    assert shown(api, other)["status"] == "deleting"


@pytest.mark.parametrize("body", [{}, {"cancel": None}, {"cancel": {"now": True}}, {"stop": {}}, []])
def test_nothing_else_can_be_asked_for(api, body):
    path = protecting(api)
    api.refused(400, "POST", f"{path}/action", body)
    assert shown(api, path)["status"] == "protecting"


def test_what_is_unknown_or_belongs_to_others_is_not_found(api):
    api.refused(404, "POST", f"{PATH}/{SERVER}/action", CANCEL)
    api.refused(404, "POST", f"/restores/{SERVER}/action", CANCEL)
    api.refused(405, "GET", f"{PATH}/{SERVER}/action")


def test_an_administrator_cancels_in_every_project(api):
    path = protecting(api)
    assert api.send("POST", f"{path}/action", CANCEL, project=OTHER_PROJECT)[0] == 202
    assert shown(api, path)["status"] == "error"


def test_a_copy_is_cancelled_under_its_own_address_and_its_source_stays(api):
    source = api.checkpoint()
    with api.database.write() as rows:
        kept = rows.checkpoints.get(source["id"])
        rows.checkpoints.create(replace(kept, id=VOLUME, status="wait_copying", source_id=kept.id))
        rows.jobs.create(Job(SERVER, "copy", PROJECT, PROVIDER, checkpoint_id=VOLUME))
    found = cancel(api, f"{PATH}/{VOLUME}")
    assert (found["status"], found["reason"]["cause"]) == ("error", "The operation was cancelled.")
    assert shown(api, f"{PATH}/{source['id']}") == source

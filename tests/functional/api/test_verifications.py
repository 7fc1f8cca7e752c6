# SPDX-License-Identifier: Apache-2.0
"""Is a verification begun only where everything is right, and shown with what it found?"""

import pytest

from karbor.model.progress import Progress
from tests.support.api import OTHER_PROJECT, PROVIDER, SERVER, VOLUME, provider_info

KEY = f"OS::Nova::Server#{SERVER}"
REPORT = {"level": "data", KEY: [{"stream": "disk", "offset": 0, "length": 4096, "reason": "gone", "objects": ["x"]}]}


def body(checkpoint, **more):
    return {"verification": {"provider_id": PROVIDER, "checkpoint_id": checkpoint["id"], "parameters": {}, **more}}


def refused_and_nothing_left(api, status, sent, **more):
    told = list(api.workers.told)
    message = api.refused(status, "POST", "/verifications", sent, **more)
    assert api.jobs() == []
    assert api.get("/verifications") == {"verifications": []}
    assert api.workers.told == told
    return message


def test_a_new_verification_is_in_progress_and_the_workers_know(api):
    checkpoint = api.checkpoint()
    verification = api.post("/verifications", body(checkpoint))["verification"]
    assert verification["status"] == "in_progress"
    assert (verification["resources_status"], verification["resources_reason"], verification["report"]) == (
        {},
        {},
        None,
    )
    assert api.get(f"/verifications/{verification['id']}")["verification"] == verification
    (job,) = api.jobs()
    assert (job.operation, job.verification_id, job.checkpoint_id) == ("verify", verification["id"], checkpoint["id"])
    assert api.workers.told[-1] == job.id
    log = api.get("/operation_logs", verification_id=verification["id"])["operation_logs"][0]
    assert (log["id"], log["operation_type"], log["status"]) == (job.id, "verify", "in_progress")


def test_parameters_may_be_left_out(api):
    sent = body(api.checkpoint())
    del sent["verification"]["parameters"]
    assert api.post("/verifications", sent)["verification"]["parameters"] == {}


@pytest.mark.parametrize("key", ["OS::Nova::Server", KEY])
def test_the_level_is_kept(api, key):
    sent = body(api.checkpoint(), parameters={key: {"level": "quick"}})
    assert api.post("/verifications", sent)["verification"]["parameters"] == {key: {"level": "quick"}}


@pytest.mark.parametrize("status", ["protecting", "error", "deleting", "deleted", "error-deleting"])
def test_only_an_available_checkpoint_can_be_verified(api, status):
    assert status in refused_and_nothing_left(api, 409, body(api.checkpoint(status=status)))


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"checkpoint_id": SERVER}, 404),
        ({"provider_id": SERVER}, 404),
        ({"provider_id": VOLUME}, 404),  # the checkpoint is that of another provider
        ({"checkpoint_id": "../x"}, 400),
        ({"parameters": {"OS::Nova::Server": {"strange": 1}}}, 400),
        ({"parameters": {"OS::Nova::Server": {"level": "thorough"}}}, 400),
        ({"parameters": {"OS::Nova::Server": {"level": 1}}}, 400),
        ({"parameters": {"OS::Trove::Instance": {"level": "data"}}}, 400),
        ({"parameters": []}, 400),
        ({"strange": 1}, 400),
        ({"status": "success"}, 400),
        ({"restore_target": "x"}, 400),
    ],
)
def test_a_wrong_verification_is_refused(api, more, status):
    with api.database.write() as rows:
        rows.providers.put(provider_info(id=VOLUME, name="second"))
    refused_and_nothing_left(api, status, body(api.checkpoint(), **more))


def test_a_checkpoint_of_another_project_is_not_found(api):
    sent = body(api.checkpoint())
    refused_and_nothing_left(api, 404, sent, project=OTHER_PROJECT)
    mine = api.post("/verifications", sent)["verification"]
    assert api.get("/verifications")["verifications"] == [mine]
    assert api.get("/verifications", project=OTHER_PROJECT) == {"verifications": []}


def test_nothing_is_verified_in_a_bank_that_is_gone(api):
    checkpoint = api.checkpoint()
    api.set_provider(available=False, reason="The directory of the bank is missing.")
    assert "The directory of the bank is missing." in refused_and_nothing_left(api, 503, body(checkpoint))


def test_progress_and_what_was_found_are_shown(api):
    checkpoint = api.checkpoint()
    verification = api.post("/verifications", body(checkpoint))["verification"]
    with api.database.write() as rows:
        rows.verifications.set_progress(verification["id"], Progress(1, 2, "r", "verify", None))
        rows.verifications.set_resource(verification["id"], KEY, "error", "gone")
        rows.verifications.transition(verification["id"], "fail", report=REPORT, finished_at=api.clock.now())
    shown = api.get(f"/verifications/{verification['id']}")["verification"]
    assert shown["progress"]["bytes_total"] == 2 and shown["report"] == REPORT
    assert shown["resources_status"] == {KEY: "error"} and shown["resources_reason"] == {KEY: "gone"}
    assert shown["finished_at"]
    assert api.get("/verifications", status="fail")["verifications"] == [shown]
    assert api.get("/verifications", status="success") == {"verifications": []}
    assert api.get("/verifications", checkpoint_id=checkpoint["id"])["verifications"] == [shown]
    assert api.get("/verifications", checkpoint_id=SERVER) == {"verifications": []}


def test_a_checkpoint_says_when_it_was_verified_last(api):
    checkpoint = api.checkpoint()
    path = f"/providers/{PROVIDER}/checkpoints/{checkpoint['id']}"
    shown = api.get(path)["checkpoint"]
    assert (shown["verified_at"], shown["verified_level"]) == (None, None)
    with api.database.write() as rows:
        rows.checkpoints.update(checkpoint["id"], verified_at=api.clock.now(), verified_level="data")
    shown = api.get(path)["checkpoint"]
    assert shown["verified_at"] and shown["verified_level"] == "data"


def test_one_that_no_worker_has_begun_is_cancelled_at_once(api):
    verification = api.post("/verifications", body(api.checkpoint()))["verification"]
    path = f"/verifications/{verification['id']}"
    status, answer = api.send("POST", f"{path}/action", {"cancel": {}})
    assert (status, answer["verification"]["status"]) == (202, "fail")
    assert api.jobs() == []
    api.refused(409, "POST", f"{path}/action", {"cancel": {}})


@pytest.mark.parametrize(("id_", "status"), [("x", 400), (SERVER, 404)])
def test_an_unknown_verification_is_told(api, id_, status):
    api.refused(status, "GET", f"/verifications/{id_}")


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_verification_cannot_be_changed(api, method):
    api.refused(405, method, f"/verifications/{SERVER}")

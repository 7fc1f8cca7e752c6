# SPDX-License-Identifier: Apache-2.0
"""Is a restore begun only where everything is right, and shown as it goes?"""

import pytest

from karbor.model.progress import Progress
from karbor.sdk.mapping import WorldMap
from tests.support.api import OTHER_PROJECT, PROVIDER, SERVER, VOLUME, provider_info


def body(checkpoint, **more):
    return {"restore": {"provider_id": PROVIDER, "checkpoint_id": checkpoint["id"], "parameters": {}, **more}}


def refused_and_nothing_left(api, status, sent):
    told = list(api.workers.told)
    message = api.refused(status, "POST", "/restores", sent)
    assert api.jobs() == []
    assert api.get("/restores") == {"restores": []}
    assert api.workers.told == told
    return message


def test_a_new_restore_is_in_progress_and_the_workers_know(api):
    checkpoint = api.checkpoint()
    restore = api.post("/restores", body(checkpoint))["restore"]
    assert restore["status"] == "in_progress"
    assert (restore["resources_status"], restore["resources_reason"], restore["restore_target"]) == ({}, {}, None)
    assert api.get(f"/restores/{restore['id']}")["restore"] == restore
    (job,) = api.jobs()
    assert (job.operation, job.restore_id, job.checkpoint_id) == ("restore", restore["id"], checkpoint["id"])
    assert api.workers.told[-1] == job.id
    log = api.get("/operation_logs", restore_id=restore["id"])["operation_logs"][0]
    assert (log["id"], log["operation_type"], log["status"]) == (job.id, "restore", "in_progress")


def test_what_the_dashboard_sends_for_the_current_session_is_taken(api):
    login = {"type": "password", "username": None, "password": None}
    options = {"OS::Cinder::Volume": {"restore_name": None}}
    sent = body(api.checkpoint(), restore_target=None, restore_auth=login, parameters=options)
    restore = api.post("/restores", sent)["restore"]
    assert restore["parameters"] == {}
    assert "restore_auth" not in restore


def test_parameters_may_be_left_out(api):
    sent = body(api.checkpoint())
    del sent["restore"]["parameters"]
    assert api.post("/restores", sent)["restore"]["parameters"] == {}


def test_options_are_kept(api):
    sent = body(api.checkpoint(), parameters={f"OS::Nova::Server#{SERVER}": {"restore_name": "x"}})
    assert api.post("/restores", sent)["restore"]["parameters"] == {f"OS::Nova::Server#{SERVER}": {"restore_name": "x"}}


@pytest.mark.parametrize("status", ["protecting", "error", "deleting", "deleted", "error-deleting"])
def test_only_an_available_checkpoint_can_be_restored(api, status):
    checkpoint = api.checkpoint(status=status)
    assert status in refused_and_nothing_left(api, 409, body(checkpoint))


@pytest.mark.parametrize(
    "more",
    [
        {"restore_target": "http://other.example.org/v3"},
        {"restore_target": ""},
        {"restore_auth": {"type": "password", "username": "u", "password": "hunter2"}},
        {"restore_auth": {"type": "password", "username": None, "password": "hunter2"}},
    ],
)
def test_another_target_is_refused_and_never_ignored(api, more, caplog):
    with caplog.at_level("DEBUG"):
        message = refused_and_nothing_left(api, 400, body(api.checkpoint(), **more))
    assert "not supported for this provider" in message
    assert "hunter2" not in message + caplog.text


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"checkpoint_id": SERVER}, 404),
        ({"provider_id": SERVER}, 404),
        ({"provider_id": VOLUME}, 404),  # the checkpoint is that of another provider
        ({"checkpoint_id": "../x"}, 400),
        ({"parameters": {"OS::Nova::Server": {"strange": 1}}}, 400),
        ({"parameters": {"OS::Nova::Server": {"restore_name": 1}}}, 400),
        ({"parameters": {"OS::Trove::Instance": {"x": 1}}}, 400),
        ({"parameters": []}, 400),
        ({"strange": 1}, 400),
        ({"status": "success"}, 400),
        ({"restore_auth": {"token": "x"}}, 400),
    ],
)
def test_a_wrong_restore_is_refused(api, more, status):
    with api.database.write() as rows:
        rows.providers.put(provider_info(id=VOLUME, name="second"))
    refused_and_nothing_left(api, status, body(api.checkpoint(), **more))


def test_a_checkpoint_of_another_project_is_not_found(api):
    checkpoint = api.checkpoint()
    api.refused(404, "POST", "/restores", body(checkpoint), project=OTHER_PROJECT)
    assert api.jobs() == []


def test_nothing_is_restored_from_a_bank_that_is_gone(api):
    checkpoint = api.checkpoint()
    api.set_provider(available=False, reason="The directory of the bank is missing.")
    assert "The directory of the bank is missing." in refused_and_nothing_left(api, 503, body(checkpoint))


def test_an_option_that_a_resource_needs_is_asked_for(api):
    checkpoint = api.checkpoint()
    info = provider_info()
    needy = {"properties": {"where": {"type": "string"}}, "required": ["where"]}
    with api.database.write() as rows:
        schemas = {**info.schemas, "restore_schema": {"OS::Nova::Server": needy}}
        rows.providers.put(type(info)(info.id, info.name, schemas=schemas))
    assert "where is required" in refused_and_nothing_left(api, 400, body(checkpoint))
    api.post("/restores", body(checkpoint, parameters={"OS::Nova::Server": {"where": "here"}}))


def test_progress_and_the_fate_of_resources_are_shown(api):
    restore = api.post("/restores", body(api.checkpoint()))["restore"]
    with api.database.write() as rows:
        rows.restores.set_progress(restore["id"], Progress(1, 2, "r", "restore", None))
        rows.restores.set_resource(restore["id"], f"OS::Nova::Server#{SERVER}", "error", "no room")
        rows.restores.transition(restore["id"], "fail", finished_at=api.clock.now())
    shown = api.get(f"/restores/{restore['id']}")["restore"]
    assert shown["progress"]["bytes_total"] == 2
    assert shown["resources_status"] == {f"OS::Nova::Server#{SERVER}": "error"}
    assert shown["resources_reason"] == {f"OS::Nova::Server#{SERVER}": "no room"}
    assert shown["finished_at"]
    assert api.get("/restores", status="fail")["restores"] == [shown]
    assert api.get("/restores", status="success") == {"restores": []}


@pytest.mark.parametrize(("id_", "status"), [("x", 400), (SERVER, 404)])
def test_an_unknown_restore_is_told(api, id_, status):
    api.refused(status, "GET", f"/restores/{id_}")


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_restore_cannot_be_changed(api, method):
    api.refused(405, method, f"/restores/{SERVER}")


def test_a_dry_run_tells_what_would_be_done_and_leaves_nothing(api):
    checkpoint = api.checkpoint()
    told = list(api.workers.told)
    options = {"OS::Nova::Server": {"restore_name": "x"}}
    plan = api.post("/restores", body(checkpoint, dry_run=True, parameters=options))["restore_plan"]
    assert (plan["checkpoint_id"], plan["provider_id"], plan["bytes"]) == (checkpoint["id"], PROVIDER, 7)
    assert [entry["id"] for entry in plan["creates"]] == [SERVER] and plan["conflicts"] == []
    assert api.workers.asked_with == options
    assert api.get("/restores") == {"restores": []} and api.jobs() == [] and api.workers.told == told


@pytest.mark.parametrize("no", [False, None])
def test_a_restore_that_is_no_dry_run_is_begun(api, no):
    assert api.post("/restores", body(api.checkpoint(), dry_run=no))["restore"]["status"] == "in_progress"


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"checkpoint_id": SERVER}, 404),
        ({"restore_target": "elsewhere"}, 400),
        ({"parameters": {"OS::Nova::Server": {"strange": 1}}}, 400),
        ({"dry_run": "yes"}, 400),
    ],
)
def test_a_dry_run_refuses_what_a_restore_refuses(api, more, status):
    refused_and_nothing_left(api, status, body(api.checkpoint(), **{"dry_run": True, **more}))


def test_a_dry_run_of_another_project_or_of_an_unfinished_checkpoint_is_refused(api):
    checkpoint = api.checkpoint()
    api.refused(404, "POST", "/restores", body(checkpoint, dry_run=True), project=OTHER_PROJECT)
    refused_and_nothing_left(api, 409, body(api.checkpoint(status="error"), dry_run=True))


def test_a_dry_run_that_nobody_answers_is_unavailable(api):
    checkpoint = api.checkpoint()
    api.workers.silent = True
    refused_and_nothing_left(api, 503, body(checkpoint, dry_run=True))


def test_links_lead_to_the_restore_and_its_checkpoint_and_its_length_is_told(api):
    checkpoint = api.checkpoint()
    body = {"provider_id": PROVIDER, "checkpoint_id": checkpoint["id"]}
    restore = api.post("/restores", {"restore": body})["restore"]
    assert restore["duration"] is None
    api.clock.pass_time(2.5)
    with api.database.write() as rows:
        rows.restores.transition(restore["id"], "success", finished_at=api.clock.now())
    restore = api.get(f"/restores/{restore['id']}")["restore"]
    assert restore["duration"] == 2.5
    found = {link["rel"]: link["href"].removeprefix("http://localhost") for link in restore["links"]}
    assert api.raw("GET", found["self"]).json["restore"] == restore
    assert api.raw("GET", found["checkpoint"]).json["checkpoint"]["id"] == checkpoint["id"]


MAPPING = "OS::Karbor::Mapping"


@pytest.fixture
def mapping_api(api):
    """Its provider takes a mapping."""
    schemas = provider_info().schemas
    api.set_provider(schemas={**schemas, "restore_schema": {**schemas["restore_schema"], MAPPING: WorldMap.schema()}})
    return api


def test_a_mapping_is_kept_as_it_was_written(mapping_api):
    given = {MAPPING: {
        "flavor": {"m1.small": "s1"}, "network": {"old id or name": "new"}, "volume_type": {"*": "standard"},
        "availability_zone": {"*": ""}, "names": {"*": "recovered-*"},
    }}  # fmt: skip
    restore = mapping_api.post("/restores", body(mapping_api.checkpoint(), parameters=given))["restore"]
    assert restore["parameters"] == given


def test_what_of_a_mapping_is_null_was_not_given(mapping_api):
    given = {MAPPING: {"flavor": None, "network": {"a": "b"}}}
    restore = mapping_api.post("/restores", body(mapping_api.checkpoint(), parameters=given))["restore"]
    assert restore["parameters"] == {MAPPING: {"network": {"a": "b"}}}


@pytest.mark.parametrize("wrong", [
    {MAPPING: {"colour": {"a": "b"}}},
    {MAPPING: {"flavor": "s1"}},
    {MAPPING: {"flavor": ["s1"]}},
    {MAPPING: {"flavor": {"a": 1}}},
    {MAPPING: {"flavor": {"a": None}}},
    {MAPPING: {"flavor": {"a": {"b": "c"}}}},
    {MAPPING: {"flavor": {"": "b"}}},
    {MAPPING: {"flavor": {"a": ""}}},
    {MAPPING: {"flavor": {"a": "b" * 256}}},
    {MAPPING: {"network": {str(number): "x" for number in range(1001)}}},
    {MAPPING: "flavor"},
    {f"{MAPPING}#{SERVER}": {"flavor": {"a": "b"}}},
    {f"{MAPPING}#{SERVER}": {"flavor": "b"}},
    {"OS::Nova::Server": {"restore_name": {"a": "b"}}},
])  # fmt: skip
@pytest.mark.parametrize("dry_run", [True, False])
def test_a_mapping_that_says_nothing_is_refused(mapping_api, wrong, dry_run):
    refused_and_nothing_left(mapping_api, 400, body(mapping_api.checkpoint(), parameters=wrong, dry_run=dry_run))


def test_a_provider_without_clouds_takes_no_mapping(api):
    refused_and_nothing_left(api, 400, body(api.checkpoint(), parameters={MAPPING: {"flavor": {"a": "b"}}}))

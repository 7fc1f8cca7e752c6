# SPDX-License-Identifier: Apache-2.0
"""Are copies of checkpoints booked only where everything is right, and is nothing left behind where it is not?"""

import uuid

import pytest

from karbor.model.checkpoint import Sizes
from karbor.model.graph import Node, ResourceGraph
from karbor.model.resource import Resource, ResourceKey
from tests.support.api import OTHER_PROJECT, PROVIDER, SERVER, TYPES, provider_info

TARGET = "0d9f6a52-3c1b-4f6e-8a77-10a2b3c4d5e6"
PATH = f"/providers/{PROVIDER}/checkpoints/action"
SERVER_GRAPH = ResourceGraph(
    [Node(ResourceKey("OS::Nova::Server", SERVER), Resource("OS::Nova::Server", SERVER, "vm"))]
).to_dict()
OPTIONS = {"type": "object", "properties": {"fast": {"type": "boolean"}}, "additionalProperties": False}


@pytest.fixture
def target(api):
    """A second provider with a bank of its own, which can copy every type."""
    put_target(api)
    with api.database.write() as rows:
        rows.providers.set_bank_identity(PROVIDER, "bank one")
        rows.providers.set_bank_identity(TARGET, "bank two")
    return TARGET


def put_target(api, *, copied=TYPES, types=TYPES, **more):
    info = provider_info(id=TARGET, name="second", types=types, **more)
    info.schemas["copy_schema"] = dict.fromkeys(copied, OPTIONS)
    with api.database.write() as rows:
        rows.providers.put(info)
        rows.providers.set_available(TARGET, available=info.available, reason=info.reason)


def made(api, plan=None, logical=0, **more):
    return api.checkpoint(plan, graph=SERVER_GRAPH, sizes=Sizes(logical=logical), **more)


def body(plan_id, **more):
    return {"copy": {"plan_id": plan_id, "target_provider_id": TARGET, **more}}


def refused_and_nothing_left(api, status, sent, path=PATH, **more):
    told = list(api.workers.told)
    message = api.refused(status, "POST", path, sent, **more)
    assert api.jobs() == [] and api.workers.told == told
    assert api.get("/checkpoints", provider_id=TARGET) == {"checkpoints": []}
    return message


def test_every_uncopied_checkpoint_of_the_plan_is_copied_and_the_workers_know(api, target):
    plan = api.plan()
    sources = [made(api, plan), made(api, plan)]
    made(api)
    copy = api.post(PATH, body(plan["id"]))["copy"]
    assert (copy["provider_id"], copy["target_provider_id"], copy["plan_id"]) == (PROVIDER, TARGET, plan["id"])
    by_id = {one["id"]: one for one in sources}
    assert {pair["checkpoint_protect_id"] for pair in copy["checkpoint_id"]} == by_id.keys()
    for pair in copy["checkpoint_id"]:
        source = by_id[pair["checkpoint_protect_id"]]
        shown = api.get(f"/providers/{TARGET}/checkpoints/{pair['checkpoint_copy_id']}")["checkpoint"]
        assert shown["status"] == "wait_copying"
        assert shown["resource_graph"] == source["resource_graph"]
        assert shown["protection_plan"] == source["protection_plan"]
    jobs = api.jobs()
    assert [job.operation for job in jobs] == ["copy", "copy"]
    assert {job.provider_id for job in jobs} == {TARGET}
    assert jobs[0].payload["source_provider_id"] == PROVIDER
    assert {job.payload["source_checkpoint_id"] for job in jobs} == by_id.keys()
    assert set(api.workers.told[-2:]) == {job.id for job in jobs}
    log = api.get("/operation_logs", plan_id=plan["id"], operation_type="copy")["operation_logs"][0]
    assert (log["operation_type"], log["status"], log["provider_id"]) == ("copy", "wait_copying", TARGET)


def test_asking_again_copies_nothing_twice(api, target):
    plan = api.plan()
    made(api, plan)
    assert len(api.post(PATH, body(plan["id"]))["copy"]["checkpoint_id"]) == 1
    assert api.post(PATH, body(plan["id"]))["copy"]["checkpoint_id"] == []
    new = made(api, plan)
    (pair,) = api.post(PATH, body(plan["id"]))["copy"]["checkpoint_id"]
    assert pair["checkpoint_protect_id"] == new["id"]


def test_one_checkpoint_is_copied_also_when_its_plan_is_gone(api, target):
    plan = api.plan()
    sources = [made(api, plan), made(api, plan)]
    api.send("DELETE", f"/plans/{plan['id']}")
    api.refused(404, "POST", PATH, body(plan["id"]))
    sent = body(plan["id"], checkpoint_id=sources[1]["id"])
    (pair,) = api.post(PATH, sent)["copy"]["checkpoint_id"]
    assert pair["checkpoint_protect_id"] == sources[1]["id"]
    assert "has a copy" in api.refused(409, "POST", PATH, sent)


def test_the_target_may_be_named_among_the_parameters_and_options_reach_the_worker(api, target):
    plan = api.plan()
    made(api, plan)
    given = {"target_provider_id": TARGET, "OS::Nova::Server": {"fast": True, "none": None}}
    answer = api.post(PATH, {"copy": {"plan_id": plan["id"], "checkpoint_id": None, "parameters": given}})["copy"]
    assert answer["parameters"] == given
    (job,) = api.jobs()
    assert job.payload["parameters"] == {"OS::Nova::Server": {"fast": True}}


@pytest.mark.parametrize(
    ("more", "status", "text"),
    [
        ({"target_provider_id": None}, 400, "target_provider_id"),
        ({"parameters": {"target_provider_id": PROVIDER}}, 400, "only one"),
        ({"target_provider_id": PROVIDER}, 400, "same bank"),
        ({"target_provider_id": SERVER}, 400, "could not be found"),
        ({"target_provider_id": "x"}, 400, ""),
        ({"plan_id": SERVER}, 404, "plan"),
        ({"plan_id": "x"}, 400, ""),
        ({"checkpoint_id": SERVER}, 404, "checkpoint"),
        ({"parameters": {"OS::Nova::Server": {"strange": 1}}}, 400, "strange"),
        ({"parameters": {"OS::Trove::Instance": {"fast": True}}}, 400, "Trove"),
        ({"parameters": []}, 400, ""),
        ({"strange": 1}, 400, "strange"),
    ],
)
def test_a_wrong_copy_is_refused(api, target, more, status, text):
    plan = api.plan()
    made(api, plan)
    assert text in refused_and_nothing_left(api, status, body(**{"plan_id": plan["id"], **more}))


def test_a_plan_that_was_never_protected_or_is_of_another_provider_is_refused(api, target):
    plan = api.plan()
    assert "no available checkpoint" in refused_and_nothing_left(api, 400, body(plan["id"]))
    made(api, plan)
    elsewhere = f"/providers/{TARGET}/checkpoints/action"
    sent = {"copy": {"plan_id": plan["id"], "target_provider_id": PROVIDER}}
    assert "belongs to the provider" in refused_and_nothing_left(api, 400, sent, path=elsewhere)
    refused_and_nothing_left(api, 404, sent, path=f"/providers/{SERVER}/checkpoints/action")


def test_the_plan_of_another_project_is_not_found(api, target):
    plan = api.plan()
    source = made(api, plan)
    for more in ({}, {"checkpoint_id": source["id"]}):
        refused_and_nothing_left(api, 404, body(plan["id"], **more), project=OTHER_PROJECT)


@pytest.mark.parametrize("status", ["error", "deleted"])
def test_a_checkpoint_that_is_not_available_is_not_copied(api, target, status):
    plan = api.plan()
    made(api, plan)
    other = api.checkpoint(plan, status=status)
    assert status in refused_and_nothing_left(api, 409, body(plan["id"], checkpoint_id=other["id"]))


def test_a_checkpoint_of_another_plan_is_refused(api, target):
    source = made(api)
    plan = api.plan()
    assert "one of the plan" in refused_and_nothing_left(api, 400, body(plan["id"], checkpoint_id=source["id"]))


def test_a_type_that_cannot_be_copied_or_protected_there_is_refused(api, target):
    plan = api.plan()
    made(api, plan)
    put_target(api, copied=())
    assert "cannot copy" in refused_and_nothing_left(api, 501, body(plan["id"]))
    put_target(api, types=("Libvirt::Domain",), copied=("Libvirt::Domain",))
    assert "cannot protect" in refused_and_nothing_left(api, 400, body(plan["id"]))


def test_two_providers_with_one_bank_are_refused(api, target):
    plan = api.plan()
    made(api, plan)
    with api.database.write() as rows:
        rows.providers.set_bank_identity(TARGET, "bank one")
    assert "same bank" in refused_and_nothing_left(api, 400, body(plan["id"]))


def test_nothing_is_copied_from_or_to_a_bank_that_is_gone(api, target):
    plan = api.plan()
    made(api, plan)
    put_target(api, available=False, reason="It is away.")
    assert "It is away." in refused_and_nothing_left(api, 503, body(plan["id"]))


def test_quotas_count_copies_before_they_are_made(api, target):
    plan = api.plan()
    for _ in range(3):
        made(api, plan, logical=1000)
    with api.database.write() as rows:
        rows.quotas.set(api.get("/plans")["plans"][0]["project_id"], {"checkpoints": 5})
    assert "checkpoints allowed (5)" in refused_and_nothing_left(api, 413, body(plan["id"]))
    with api.database.write() as rows:
        rows.quotas.set(api.get("/plans")["plans"][0]["project_id"], {"checkpoints": 6, "logical_bytes": 5999})
    assert "logical bytes allowed (5999)" in refused_and_nothing_left(api, 413, body(plan["id"]))
    with api.database.write() as rows:
        rows.quotas.set(api.get("/plans")["plans"][0]["project_id"], {"logical_bytes": 6000})
    assert len(api.post(PATH, body(plan["id"]))["copy"]["checkpoint_id"]) == 3


def test_a_copy_that_waits_can_be_cancelled_and_asked_for_again(api, target):
    plan = api.plan()
    made(api, plan)
    (pair,) = api.post(PATH, body(plan["id"]))["copy"]["checkpoint_id"]
    copy = f"/providers/{TARGET}/checkpoints/{pair['checkpoint_copy_id']}"
    status, answer = api.send("POST", f"{copy}/action", {"cancel": {}})
    assert (status, answer["checkpoint"]["status"]) == (202, "error")
    (again,) = api.post(PATH, body(plan["id"]))["copy"]["checkpoint_id"]
    assert again["checkpoint_protect_id"] == pair["checkpoint_protect_id"]
    assert uuid.UUID(again["checkpoint_copy_id"]) != uuid.UUID(pair["checkpoint_copy_id"])


def test_a_copy_asked_for_again_under_its_key_is_the_same_copy(api, target):
    plan = api.plan()
    made(api, plan)
    key = {"Idempotency-Key": "5f0d7a43-6a51-4e0e-bb68-0f4c1b0f9d11"}
    first = api.post(PATH, body(plan["id"]), headers=key)
    told, jobs = list(api.workers.told), len(api.jobs())
    assert len(first["copy"]["checkpoint_id"]) == 1 and jobs == 1
    assert api.post(PATH, body(plan["id"]), headers=key) == first
    assert (api.workers.told, len(api.jobs())) == (told, jobs)
    assert api.post(PATH, body(plan["id"]))["copy"]["checkpoint_id"] == []

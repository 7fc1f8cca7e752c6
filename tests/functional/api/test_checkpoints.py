# SPDX-License-Identifier: Apache-2.0
"""Can checkpoints be asked for, watched and removed, and do the rows hold what workers need?"""

import json

import pytest

from karbor.model.checkpoint import Reason, SavedResource, Sizes
from karbor.model.graph import Node, ResourceGraph
from karbor.model.operation import Job
from karbor.model.progress import Progress
from karbor.model.resource import Resource, ResourceKey
from karbor.plugins.resources.server_protection import ServerProtection
from karbor.schema.types import TOLD
from karbor.sdk.options import Options, option
from tests.functional.api.test_plans import schedule
from tests.support.api import COST, OTHER_PROJECT, PROVIDER, SERVER, VOLUME, provider_info

PATH = f"/providers/{PROVIDER}/checkpoints"


def start(api, plan, **more):
    return api.post(PATH, {"checkpoint": {"plan_id": plan["id"], **more}})["checkpoint"]


def test_a_new_checkpoint_is_protecting_and_looks_as_old_clients_expect(api):
    plan = api.plan()
    checkpoint = start(api, plan)
    assert checkpoint["status"] == "protecting"
    assert checkpoint["protection_plan"]["id"] == plan["id"]
    assert checkpoint["protection_plan"]["provider_id"] == PROVIDER
    assert json.loads(checkpoint["resource_graph"]) == [{}, []]
    assert json.loads(checkpoint["extra_info"]) == {"created_by": "manual"}
    assert checkpoint["created_at"].startswith("2026-01-02T03:04:05")
    assert api.get(f"{PATH}/{checkpoint['id']}")["checkpoint"] == checkpoint


def test_the_rows_are_there_before_the_workers_are_told(api):
    plan = api.plan()
    checkpoint = start(api, plan)
    (job,) = api.jobs()
    assert (job.operation, job.checkpoint_id, job.provider_id) == ("protect", checkpoint["id"], PROVIDER)
    assert job.request_id.startswith("req-")
    assert api.workers.told == [job.id]
    log = api.get(f"/operation_logs/{job.id}")["operation_log"]
    assert (log["operation_type"], log["status"]) == ("protect", "protecting")
    assert (log["checkpoint_id"], log["plan_id"], log["provider_id"]) == (checkpoint["id"], plan["id"], PROVIDER)


def test_workers_that_cannot_be_told_find_the_row_themselves(api):
    plan = api.plan()
    api.workers.silent = True
    start(api, plan)
    assert len(api.jobs()) == 1


@pytest.mark.parametrize("spelling", ["extra-info", "extra_info"])
def test_notes_are_kept_in_both_spellings_and_cannot_forge_those_of_the_service(api, spelling):
    notes = {"ticket": "4711", "flag": None, "created_by": "me", "trigger_id": "x"}
    checkpoint = start(api, api.plan(), **{spelling: notes})
    assert json.loads(checkpoint["extra_info"]) == {"ticket": "4711", "flag": None, "created_by": "manual"}


@pytest.mark.parametrize("notes", [{"deep": {}}, [], {"k" * 256: "v"}, {"": "v"}])
def test_notes_are_flat_and_short(api, notes):
    api.refused(400, "POST", PATH, {"checkpoint": {"plan_id": api.plan()["id"], "extra-info": notes}})


def refused_and_nothing_left(api, status, plan_id, path=PATH):
    message = api.refused(status, "POST", path, {"checkpoint": {"plan_id": plan_id}})
    assert api.jobs() == []
    assert api.get("/operation_logs") == {"operation_logs": []}
    assert api.workers.told == []
    return message


def test_an_unknown_plan_is_not_found(api):
    refused_and_nothing_left(api, 404, SERVER)


def test_a_plan_of_another_project_is_not_found(api):
    api.workers.add(OTHER_PROJECT, "OS::Nova::Server", SERVER)
    body = {
        "name": "x",
        "provider_id": PROVIDER,
        "resources": [{"id": SERVER, "type": "OS::Nova::Server", "name": "v"}],
    }
    theirs = api.post("/plans", {"plan": body}, project=OTHER_PROJECT)["plan"]
    refused_and_nothing_left(api, 404, theirs["id"])


def test_an_unknown_provider_is_not_found(api):
    refused_and_nothing_left(api, 404, api.plan()["id"], f"/providers/{SERVER}/checkpoints")


def test_the_provider_must_be_that_of_the_plan(api):
    with api.database.write() as rows:
        rows.providers.put(provider_info(id=VOLUME, name="second"))
    message = refused_and_nothing_left(api, 400, api.plan()["id"], f"/providers/{VOLUME}/checkpoints")
    assert PROVIDER in message


def test_a_provider_whose_bank_is_gone_takes_no_work(api):
    plan = api.plan()
    api.set_provider(available=False, reason="The directory of the bank is missing.")
    assert "The directory of the bank is missing." in refused_and_nothing_left(api, 503, plan["id"])


def test_a_type_that_the_provider_no_longer_knows_is_refused(api):
    plan = api.plan()
    with api.database.write() as rows:
        rows.providers.put(provider_info(types=("Libvirt::Domain",)))
    assert "cannot protect resources of type OS::Nova::Server" in refused_and_nothing_left(api, 400, plan["id"])


@pytest.mark.parametrize("body", [{}, {"plan_id": "x"}, {"plan_id": None}, {"plan_id": SERVER, "status": "available"}])
def test_a_wrong_body_is_refused(api, body):
    api.refused(400, "POST", PATH, {"checkpoint": body})


def test_progress_result_and_reason_are_shown(api):
    checkpoint = start(api, api.plan())
    disk = ResourceKey("Libvirt::Disk", "d", "g")
    guest = ResourceKey("Libvirt::Domain", "g")
    graph = ResourceGraph(
        [
            Node(disk, Resource("Libvirt::Disk", "d", "vda", {"size": 1}, per_parent=True)),
            Node(guest, Resource("Libvirt::Domain", "g", "web1"), (disk,)),
        ]
    )
    with api.database.write() as rows:
        rows.checkpoints.update(
            checkpoint["id"], graph=graph.to_dict(), consistency="filesystem", mode="full", sizes=Sizes(10, 8, 4)
        )
        rows.checkpoints.set_progress(checkpoint["id"], Progress(5, 10, disk.text, "protect", 7))
    shown = api.get(f"{PATH}/{checkpoint['id']}")["checkpoint"]
    assert shown["progress"] == {
        "bytes_done": 5, "bytes_total": 10, "resource": "Libvirt::Disk#d@g", "phase": "protect", "eta_seconds": 7,
    }  # fmt: skip
    assert json.loads(shown["resource_graph"]) == [
        {"0x0": ["Libvirt::Disk", "d", "vda", {"size": 1}], "0x1": ["Libvirt::Domain", "g", "web1", None]},
        [["0x1", ["0x0"]]],
    ]
    assert (shown["consistency"], shown["mode"]) == ("filesystem", "full")
    assert shown["sizes"] == {"logical": 10, "read": 8, "stored": 4}
    api.clock.pass_time(12.5)
    with api.database.write() as rows:
        reason = Reason("Libvirt::Disk#d@g", "protect", "The disk is gone.", "start the guest")
        rows.checkpoints.transition(checkpoint["id"], "error", reason=reason, finished_at=api.clock.now())
    shown = api.get(f"{PATH}/{checkpoint['id']}")["checkpoint"]
    assert shown["reason"]["cause"] == "The disk is gone."
    assert shown["duration"] == 12.5


@pytest.mark.parametrize("status", ["available", "error", "error-deleting", "protecting", "deleting"])
def test_a_checkpoint_that_nobody_works_on_can_be_deleted(api, status):
    checkpoint = api.checkpoint(status=status)
    api.workers.told.clear()
    assert api.send("DELETE", f"{PATH}/{checkpoint['id']}") == (200, {})
    assert api.get(f"{PATH}/{checkpoint['id']}")["checkpoint"]["status"] == "deleting"
    (job,) = api.jobs()
    assert (job.operation, job.checkpoint_id) == ("delete", checkpoint["id"])
    assert api.workers.told == [job.id]
    assert api.get(f"/operation_logs/{job.id}")["operation_log"]["operation_type"] == "delete"


@pytest.mark.parametrize("operation", ["protect", "restore", "delete"])
def test_a_checkpoint_that_something_works_on_cannot_be_deleted(api, operation):
    checkpoint = api.checkpoint()
    with api.database.write() as rows:
        rows.jobs.create(Job(SERVER, operation, "p", PROVIDER, checkpoint_id=checkpoint["id"]))
    assert operation in api.refused(409, "DELETE", f"{PATH}/{checkpoint['id']}")
    assert api.get(f"{PATH}/{checkpoint['id']}")["checkpoint"]["status"] == "available"


def test_a_checkpoint_can_be_deleted_only_once(api):
    checkpoint = api.checkpoint()
    assert api.send("DELETE", f"{PATH}/{checkpoint['id']}")[0] == 200
    api.refused(409, "DELETE", f"{PATH}/{checkpoint['id']}")
    assert len(api.jobs()) == 1


def test_what_is_deleted_can_be_looked_at_but_is_in_no_list(api):
    checkpoint = api.checkpoint(status="deleted")
    assert checkpoint["status"] == "deleted"
    assert api.get(PATH) == {"checkpoints": []}
    api.refused(409, "DELETE", f"{PATH}/{checkpoint['id']}")


def test_lists_are_cut_by_plan_status_and_day(api):
    first, second = api.plan(name="first"), api.plan(name="second")
    one = api.checkpoint(first)
    api.clock.pass_time(86400)
    two = api.checkpoint(second, status="error")

    def ids(**query):
        return [entry["id"] for entry in api.get(PATH, **query)["checkpoints"]]

    assert ids() == [two["id"], one["id"]]
    assert ids(plan_id=first["id"]) == [one["id"]]
    assert ids(plan_id=first["id"].replace("-", "")) == [one["id"]]
    assert ids(status="error") == [two["id"]]
    assert ids(start_date="2026-01-03") == [two["id"]]
    assert ids(end_date="2026-01-02") == [one["id"]]
    assert ids(start_date="2026-01-02", end_date="2026-01-03", sort="created_at:asc") == [one["id"], two["id"]]


@pytest.mark.parametrize("query", [{"start_date": "yesterday"}, {"end_date": "2026-02-30"}, {"plan_id": "x"}])
def test_a_wrong_filter_is_refused(api, query):
    api.refused(400, "GET", PATH, **query)


def test_a_checkpoint_belongs_to_its_provider(api):
    with api.database.write() as rows:
        rows.providers.put(provider_info(id=VOLUME, name="second"))
    checkpoint = api.checkpoint()
    api.refused(404, "GET", f"/providers/{VOLUME}/checkpoints/{checkpoint['id']}")
    api.refused(404, "DELETE", f"/providers/{VOLUME}/checkpoints/{checkpoint['id']}")
    assert api.get(f"/providers/{VOLUME}/checkpoints") == {"checkpoints": []}


def test_a_bank_that_is_gone_is_no_empty_list(api):
    api.set_provider(available=False, reason="The directory of the bank is missing.")
    assert "The directory of the bank is missing." in api.refused(503, "GET", PATH)


def test_known_checkpoints_are_listed_also_while_the_bank_is_gone(api):
    checkpoint = api.checkpoint()
    api.set_provider(available=False, reason="The directory of the bank is missing.")
    assert [entry["id"] for entry in api.get(PATH)["checkpoints"]] == [checkpoint["id"]]
    assert api.get(PATH, status="error") == {"checkpoints": []}


@pytest.mark.parametrize("id_", ["x", "..", "a.b", "%2e%2e", SERVER + "x"])
def test_an_id_that_is_none_is_refused(api, id_):
    api.refused(400, "GET", f"{PATH}/{id_}")


def test_a_provider_that_is_unknown_has_no_list(api):
    api.refused(404, "GET", f"/providers/{SERVER}/checkpoints")


def test_links_lead_to_the_checkpoint_its_provider_and_its_plan(api):
    checkpoint = api.checkpoint()
    found = {link["rel"]: link["href"] for link in checkpoint["links"]}
    assert list(found) == ["self", "provider", "plan"]
    for href in found.values():
        assert api.raw("GET", href.removeprefix("http://localhost")).status_int == 200
    assert api.raw("GET", found["self"].removeprefix("http://localhost")).json["checkpoint"] == checkpoint


def test_across_providers_everything_of_the_project_is_listed(api):
    with api.database.write() as rows:
        rows.providers.put(provider_info(id=VOLUME, name="second"))
    one = api.checkpoint()
    api.clock.pass_time(1)
    two = api.checkpoint(api.plan(provider_id=VOLUME))
    body = {
        "name": "x",
        "provider_id": PROVIDER,
        "resources": [{"id": SERVER, "type": "OS::Nova::Server", "name": "v"}],
    }
    api.workers.add(OTHER_PROJECT, "OS::Nova::Server", SERVER)
    api.clock.pass_time(1)
    plan = api.post("/plans", {"plan": body}, project=OTHER_PROJECT)["plan"]
    sent = {"checkpoint": {"plan_id": plan["id"]}}
    theirs = api.post(PATH, sent, project=OTHER_PROJECT)["checkpoint"]

    def ids(**query):
        return [entry["id"] for entry in api.get("/checkpoints", **query)["checkpoints"]]

    assert ids() == [two["id"], one["id"]]
    assert ids(all_tenants=1) == [theirs["id"], two["id"], one["id"]]
    assert ids(all_tenants=1, project_id=OTHER_PROJECT) == [theirs["id"]]
    assert ids(project_id=OTHER_PROJECT) == [theirs["id"]]  # as the old command line asks
    assert ids(provider_id=VOLUME) == [two["id"]]
    assert ids(plan_id=one["protection_plan"]["id"], start_date="2026-01-02", status="available") == [one["id"]]
    assert ids(limit=1, marker=two["id"]) == [one["id"]]


def test_lineage_and_verification_are_shown(api):
    base = api.checkpoint()
    checkpoint = api.checkpoint(base_id=base["id"], verified_at=api.clock.now(), verified_level="data")
    assert (checkpoint["base_id"], checkpoint["source_id"]) == (base["id"], None)
    assert (checkpoint["verified_at"], checkpoint["verified_level"]) == ("2026-01-02T03:04:05.000000", "data")


def test_a_project_has_no_more_checkpoints_than_it_may(api):
    api.conf.set_override("quota_checkpoints", 1)
    plan = api.plan()
    checkpoint = api.checkpoint(plan)
    sent = {"checkpoint": {"plan_id": plan["id"]}}
    assert "checkpoints allowed (1) exceeded" in api.refused(413, "POST", PATH, sent)
    assert len(api.get(PATH)["checkpoints"]) == 1
    with api.database.write() as rows:
        rows.checkpoints.transition(checkpoint["id"], "deleting")
        rows.checkpoints.transition(checkpoint["id"], "deleted")
    start(api, plan)


@pytest.mark.parametrize("kind", ["logical_bytes", "stored_bytes"])
def test_who_has_all_the_bytes_allowed_cannot_start_another(api, kind):
    api.conf.set_override(f"quota_{kind}", 100)
    plan = api.plan()
    api.checkpoint(plan, sizes=Sizes(99, 99, 99))
    api.checkpoint(plan, sizes=Sizes(1, 1, 1))
    sent = {"checkpoint": {"plan_id": plan["id"]}}
    assert f"{kind.replace('_', ' ')} allowed (100) exceeded" in api.refused(413, "POST", PATH, sent)
    assert len(api.get(PATH)["checkpoints"]) == 2


def test_a_schedule_of_the_plan_is_named_as_the_one_who_asked_and_no_other(api):
    plan = api.plan()
    mine, other = schedule(api, plan), schedule(api, api.plan())
    checkpoint = start(api, plan, extra_info={"scheduled_operation_id": mine, "created_by": "me", "note": "n"})
    notes = json.loads(checkpoint["extra_info"])
    assert (notes["note"], notes["created_by"], notes["scheduled_operation_id"]) == ("n", "operation-engine", mine)
    assert notes["trigger_id"]
    (log,) = api.get("/operation_logs", scheduled_operation_id=mine)["operation_logs"]
    assert log["checkpoint_id"] == checkpoint["id"]
    for name in (other, SERVER, None, 3):
        checkpoint = start(api, plan, extra_info={"scheduled_operation_id": name})
        assert json.loads(checkpoint["extra_info"]) == {"created_by": "manual"}


def test_what_a_run_would_do_is_told_and_nothing_is_begun(api):
    plan = api.plan()
    path = f"/providers/{plan['provider_id']}/checkpoints"
    told = api.post(path, {"checkpoint": {"plan_id": plan["id"], "dry_run": True}})["checkpoint_plan"]
    assert (told["plan_id"], told["provider_id"]) == (plan["id"], plan["provider_id"])
    assert told["chosen"]["resources"][0]["reasons"] == ["named in the plan"]
    assert (told["resources"], told["cost"], told["conflicts"]) == ({"OS::Nova::Server": 1}, [COST], [])
    assert api.workers.asked_with["resources"] == plan["resources"]
    assert api.get(path) == {"checkpoints": []} and api.jobs() == []


def test_a_run_that_is_impossible_is_not_told_of(api):
    plan = api.plan()
    path = f"/providers/{plan['provider_id']}/checkpoints"
    api.set_provider(available=False, reason="the bank is gone")
    api.refused(503, "POST", path, {"checkpoint": {"plan_id": plan["id"], "dry_run": True}})
    api.refused(404, "POST", path, {"checkpoint": {"plan_id": SERVER, "dry_run": True}})


def test_what_was_used_and_chosen_is_shown_with_the_checkpoint(api):
    chosen = {"resources": [{"type": "A::B", "id": "1", "name": "one", "reasons": ["tag=db"]}], "empty": []}
    shown = api.checkpoint(chosen=chosen, cost=[COST])
    assert (shown["chosen"], shown["cost"]) == (chosen, [COST])
    assert (api.checkpoint()["chosen"], api.checkpoint()["cost"]) == (None, [])


def test_users_are_told_of_each_resource_what_its_plug_in_declares_so_and_nothing_else(api):
    class Saved(Options):
        secret_place: str = option("", "Where it lies.")
        skew: float = option(0.0, "How far its disks are apart.", unit="s", told=True)
        later: str = option("", "Nobody wrote this when the checkpoint was made.", told=True)

    checkpoint = api.checkpoint()
    server, disk = ResourceKey("OS::Nova::Server", SERVER), ResourceKey("Libvirt::Domain", VOLUME, SERVER)
    api.set_provider(schemas={**provider_info().schemas, "saved_info_schema": {server.type: Saved.schema()}})
    nodes = (Node(disk, Resource(disk.type, disk.id, "disk", per_parent=True)),)
    graph = ResourceGraph((*nodes, Node(server, Resource(server.type, server.id, "web"), (disk,))))
    told = {"secret_place": "/srv/x", "skew": 0.25}
    with api.database.write() as rows:
        rows.checkpoints.update(checkpoint["id"], graph=graph.to_dict())
        kept = [
            SavedResource(disk.text, "p", {"skew": 1.0}, {"data": "1"}, base_id=PROVIDER, mode="incremental"),
            SavedResource(server.text, "p", told, {}, consistency="filesystem"),
        ]
        rows.checkpoints.save_resources(checkpoint["id"], kept)
    shown = api.get(f"{PATH}/{checkpoint['id']}")["checkpoint"]["resources"]
    assert shown == [
        {
            "type": disk.type, "id": VOLUME, "parent_id": SERVER, "name": "disk", "consistency": "crash",
            "mode": "incremental", "base_id": PROVIDER, "told": {},
        },
        {
            "type": server.type, "id": SERVER, "parent_id": None, "name": "web", "consistency": "filesystem",
            "mode": "full", "base_id": None, "told": {"skew": 0.25},
        },
    ]  # fmt: skip
    assert [entry["resources"] for entry in api.get(PATH)["checkpoints"]] == [None]


def test_what_is_known_of_the_instant_of_a_server_is_told():
    saved = ServerProtection.Saved.schema()["properties"]
    assert {"skew", "frozen", "not_frozen"} <= {name for name, shape in saved.items() if shape.get(TOLD)}
    assert not saved["server"].get(TOLD)

# SPDX-License-Identifier: Apache-2.0
"""Do lists, plans and restores come back from the bank alone when the database is lost?"""

import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from karbor.model import errors
from karbor.model.checkpoint import Checkpoint
from karbor.model.operation import Job
from karbor.model.page import PageRequest
from karbor.model.plan import Plan
from karbor.model.resource import Resource
from karbor.protection.catalog import Rebuild
from karbor.protection.operation import RECORD
from tests.functional.test_copy import OTHER, TwoSites
from tests.functional.test_operations import PROJECT, PROVIDER, House
from tests.samples.sample_file import TYPE

LASTING = ("id", "project_id", "provider_id", "plan_id", "plan", "status", "graph", "extra_info", "consistency", "mode",
           "sizes", "base_id", "source_id", "created_at", "reason")  # fmt: skip


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path)
    yield house
    house.close()


def lose_the_database(house):
    """Stop the worker and begin with an empty database."""
    house.worker.stop(5)
    house.database.dispose()
    path = Path(house.database.engine.url.database)
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    house.database.upgrade()
    house.open()


def provider(house, provider_id=PROVIDER):
    return house._parts.providers.get(provider_id)


def rebuild(house, provider_id=PROVIDER, **how):
    return Rebuild(house.database, provider(house, provider_id), **how).run().to_dict()


def rows_of(house, **request):
    with house.database.read() as rows:
        return rows.checkpoints.list(PageRequest(**request)).items


def lasting(row):
    return {name: getattr(row, name) for name in LASTING}


def saved_plan(house, **changes):
    """A plan that has a row; returns what a checkpoint keeps of it."""
    snapshot = house.plan()
    resources = tuple(Resource.from_dict(entry) for entry in snapshot["resources"])
    plan = replace(Plan(snapshot["id"], PROJECT, "p", PROVIDER, resources), **changes)
    with house.database.write() as rows:
        rows.plans.create(plan)
    return plan.snapshot()


def test_everything_comes_back_after_the_database_is_lost(house):
    plan = saved_plan(house, name="shop", parameters={TYPE: {}})
    made = [house.checkpoint(plan) for _ in range(3)]
    gone = house.checkpoint(plan)
    house.ask("delete", checkpoint_id=gone.id)
    with house.database.read() as rows:
        saved = {one.id: rows.checkpoints.resources(one.id) for one in made}
        usage = rows.quotas.usage(PROJECT)
    lose_the_database(house)
    assert rebuild(house)["counts"] == {"checkpoints restored": 3, "plans restored": 1}
    assert {row.id: lasting(row) for row in rows_of(house)} == {row.id: lasting(row) for row in made}
    with house.database.read() as rows:
        assert {one.id: rows.checkpoints.resources(one.id) for one in made} == saved
        assert rows.plans.get(plan["id"]).snapshot() == plan
        assert rows.quotas.usage(PROJECT) == usage
        assert rows.plans.summaries([plan["id"]])[plan["id"]].last_good_id == made[-1].id
        assert rows.providers.get(PROVIDER).name == "sample"
    restore = house.restore(made[1].id, {TYPE: {"restore_name": "again"}})
    assert restore.status == "success" and (house.files / "again").read_bytes() == b"one" * 100_000
    assert house.checkpoint(plan).status == "available"


def test_a_rebuild_may_run_again_and_beside_a_catalog_that_is_whole(house):
    plan = saved_plan(house)
    made = house.checkpoint(plan)
    before = house.row(made.id)
    for _ in range(2):
        assert rebuild(house) == {"counts": {"checkpoints kept": 1}, "entries": []}
    assert house.row(made.id) == before


def test_a_dry_run_tells_the_same_and_writes_nothing(house):
    house.checkpoint(saved_plan(house))
    lose_the_database(house)
    told = rebuild(house, dry_run=True)
    assert rows_of(house) == ()
    with house.database.read() as rows:
        assert rows.plans.list(PageRequest()).items == rows.providers.list(PageRequest()).items == ()
    assert rebuild(house) == told
    assert {entry["outcome"] for entry in told["entries"]} == {"restored"}


def test_a_plan_comes_back_as_its_newest_checkpoint_has_it(house):
    plan = saved_plan(house, name="old")
    for name in ("middle", "older", "newest"):
        house.checkpoint({**plan, "name": name})
    lose_the_database(house)
    assert rebuild(house)["counts"]["plans restored"] == 1
    with house.database.read() as rows:
        assert rows.plans.get(plan["id"]).name == "newest"


def test_a_plan_that_was_deleted_while_its_checkpoints_stayed_does_not_return(house):
    plan = saved_plan(house)
    house.checkpoint(plan)
    with house.database.write() as rows:
        rows.plans.delete(plan["id"])
    assert rebuild(house)["counts"] == {"checkpoints kept": 1}


def test_a_record_that_vanished_is_told_and_nothing_is_deleted(house):
    made = house.checkpoint()
    house.vault.domain(PROJECT).delete_record(RECORD, made.id)
    (entry,) = rebuild(house)["entries"]
    assert (entry["outcome"], entry["checkpoint"]) == ("vanished", made.id)
    assert house.row(made.id).status == "available"


def test_a_damaged_or_foreign_record_is_told_and_the_others_come_back(house):
    good, damaged = house.checkpoint(), house.checkpoint()
    domain = house.vault.domain(PROJECT)
    domain.put_record(RECORD, "strange", {"version": 99})
    domain.put_record(RECORD, "half", {"version": 1, "checkpoint_id": "half"})
    misplaced = str(uuid.uuid4())
    domain.put_record(RECORD, misplaced, domain.get_record(RECORD, good.id))
    (name,) = [name for name in house.bank.inner.objects if name.endswith(damaged.id)]
    house.bank.inner.objects[name] = house.bank.inner.objects[name][:-1] + b"?"
    lose_the_database(house)
    answer = rebuild(house)
    assert answer["counts"]["checkpoints restored"] == 1
    told = {entry["checkpoint"] for entry in answer["entries"] if entry["outcome"] == "unreadable"}
    assert told == {"strange", "half", misplaced, damaged.id}
    assert [row.id for row in rows_of(house)] == [good.id]


def test_what_a_running_job_works_on_is_left_alone(house):
    made = house.checkpoint()
    with house.database.write() as rows:
        rows.checkpoints.transition(made.id, "deleting")
        rows.jobs.create(Job(str(uuid.uuid4()), "delete", PROJECT, "another provider", checkpoint_id=made.id))
    (entry,) = rebuild(house)["entries"]
    assert entry["outcome"] == "left alone" and "operation" in entry["reason"]
    assert house.row(made.id).status == "deleting"


def test_an_error_that_somebody_noted_stays(house):
    made = house.checkpoint()
    with house.database.write() as rows:
        rows.checkpoints.transition(made.id, "error")
    (entry,) = rebuild(house)["entries"]
    assert entry["outcome"] == "left alone" and "error" in entry["reason"]


def test_a_checkpoint_that_was_committed_unseen_becomes_available(house):
    made = house.checkpoint()
    lost = str(uuid.uuid4())
    record = {**house.vault.domain(PROJECT).get_record(RECORD, made.id), "checkpoint_id": lost}
    house.vault.domain(PROJECT).put_record(RECORD, lost, record)
    with house.database.write() as rows:
        rows.checkpoints.create(Checkpoint(lost, PROJECT, PROVIDER, made.plan_id, made.plan))
    (entry,) = rebuild(house)["entries"]
    assert (entry["outcome"], entry["checkpoint"]) == ("mended", lost)
    assert house.row(lost).status == "available" and house.row(lost).sizes == made.sizes
    assert rebuild(house)["entries"] == []


def test_a_domain_under_another_key_is_told_and_the_others_come_back(house):
    made = house.checkpoint()
    house.bank.inner.objects["d/" + "0" * 32 + "/key/00000001"] = b"KARBWKEY" + bytes(60)
    lose_the_database(house)
    answer = rebuild(house)
    assert answer["counts"] == {"checkpoints restored": 1, "domains unreadable": 1, "plans restored": 1}
    assert house.row(made.id).status == "available"


def test_another_bank_than_before_is_refused(house):
    with house.database.write() as rows:
        rows.providers.put(provider(house).info)
        rows.providers.set_bank_identity(PROVIDER, "another bank")
    with pytest.raises(errors.Conflict, match="not the one"):
        rebuild(house)


def test_a_bank_that_is_away_is_said_to_be_so(house):
    house.bank.fail(1, lasting=True)
    with pytest.raises(errors.BankUnavailable):
        rebuild(house)
    house.bank.heal()


def test_a_copy_comes_back_as_the_copy_it_was(tmp_path):
    sites = TwoSites(tmp_path)
    try:
        copy = sites.copy(sites.checkpoint())
        lose_the_database(sites)
        sites.bank.inner.objects.clear()
        assert rebuild(sites, OTHER)["counts"]["checkpoints restored"] == 1
        assert lasting(sites.row(copy.id)) == lasting(copy)
        assert sites.restore_copy(copy.id, "again").status == "success"
    finally:
        sites.close()

# SPDX-License-Identifier: Apache-2.0
"""Are volumes saved by backups of Cinder and brought back, with nothing left over whatever happens in between?"""

import pytest

from karbor.model import errors
from karbor.model.checkpoint import SavedResource
from karbor.model.resource import Resource
from karbor.plugins.resources.volume_backup import VolumeBackupProtection
from karbor.sdk.environment import Environment
from karbor.sdk.protection import RestorePlan
from karbor.sdk.template import HeatParameter
from karbor.sdk.testing.memorycloud import MemoryCloud
from karbor.sdk.testing.work import TwinWork
from tests.support.clock import TwinClock


class World:
    """A cloud with one volume of a project."""

    def __init__(self, data=b"precious", **settings):
        self.cloud = MemoryCloud(clock=TwinClock())
        self.tenant = self.cloud.open("alpha", pause=self.cloud.clock.pass_time)
        self.volume = self.cloud.volumes.add("alpha", "data", data, volume_type="fast", metadata={"app": "shop"})
        self.resource = Resource("OS::Cinder::Volume", self.volume["id"], "data")
        own = VolumeBackupProtection.Settings(**settings)
        self.plugin = VolumeBackupProtection(own, Environment("here", "/state"))
        self.jobs = 0

    def work(self, operation, options=None, saved=None):
        self.jobs += 1
        kind = {"protect": self.plugin.Protect, "restore": self.plugin.Restore}.get(operation, self.plugin.Verify)
        return TwinWork(
            operation,
            self.resource,
            options=kind.parse(options or {}),
            saved=saved,
            cloud=self.tenant,
            checkpoint_id=f"{self.jobs:08d}-1111-4111-8111-111111111111",
        )

    def prepared(self, **options):
        work = self.work("protect", options)
        work.results["prepare_finish"] = self.plugin.prepare_finish(work)
        return work

    def protected(self, **options):
        """A checkpoint, every step of it run twice."""
        work = self.prepared(**options)
        assert self.plugin.prepare_finish(work) == work.results["prepare_finish"]
        done = self.plugin.protect(work)
        assert self.plugin.protect(work) == done
        self.plugin.complete(work)
        self.plugin.complete(work)
        self.plugin.Saved.parse(done.saved)
        return done, SavedResource(work.key.text, "karbor-volume-protection-plugin", done.saved, {})

    def restored(self, saved, **options):
        work = self.work("restore", options, saved)
        for _ in range(2):
            work.results["restore_prepare"] = self.plugin.restore_prepare(work)
        return work, self.plugin.restore(work)

    def count(self, kind):
        return len(self.cloud.of_project(kind, self.cloud.project("alpha")))


@pytest.fixture
def world():
    return World()


def test_a_backup_is_made_of_a_snapshot_that_does_not_stay(world):
    done, saved = world.protected()
    assert (world.count("backup"), world.count("volume_snapshot")) == (1, 0)
    assert world.cloud.contents[saved.saved["backup_id"]] == b"precious"
    assert (done.mode, done.logical_bytes) == ("full", 1 << 30)


def test_what_changes_after_the_snapshot_is_not_in_the_backup(world):
    work = world.prepared()
    world.cloud.contents[world.volume["id"]] = b"later"
    done = world.plugin.protect(work)
    assert world.cloud.contents[done.saved["backup_id"]] == b"precious"


def test_an_increment_is_made_where_there_is_something_to_build_on(world):
    assert world.protected(backup_mode="incremental")[0].mode == "full"
    assert world.protected(backup_mode="incremental")[0].mode == "incremental"
    assert world.protected(backup_mode="full")[0].mode == "full"


def test_a_volume_in_use_is_backed_up_unless_the_plan_forbids_it(world):
    world.cloud.volumes.attach(world.volume, world.cloud.compute.add("alpha", "web"))
    world.protected()
    with pytest.raises(errors.Conflict, match="in-use"):
        world.prepared(force=False)
    assert world.count("volume_snapshot") == 0


def test_without_snapshots_the_volume_itself_is_backed_up():
    world = World(backup_from_snapshot=False)
    assert "snapshot_id" not in world.prepared().results["prepare_finish"]
    _done, saved = world.protected()
    assert world.cloud.contents[saved.saved["backup_id"]] == b"precious"


def test_a_restore_is_a_volume_like_the_old_one_and_a_parameter_of_the_stack(world):
    _done, saved = world.protected()
    world.cloud.contents[world.volume["id"]] = b"ruined"
    work, back = world.restored(saved)
    volume = world.cloud.things["volume"][back.new_id]
    assert world.cloud.contents[back.new_id] == b"precious"
    assert (volume["volume_type"], volume["metadata"]["app"]) == ("fast", "shop")
    assert volume["name"] == f"{work.checkpoint_id}@{world.volume['id']}"
    assert back.template == (HeatParameter(world.volume["id"], back.new_id, "Volume data"),)
    assert world.plugin.restore(work).new_id == back.new_id
    assert world.count("volume") == 2


def test_a_bootable_volume_is_bootable_again():
    world = World()
    world.volume["bootable"] = "true"
    _done, saved = world.protected()
    _work, back = world.restored(saved, restore_name="root")
    volume = world.cloud.things["volume"][back.new_id]
    assert (volume["bootable"], volume["name"]) == ("true", "root")


@pytest.mark.parametrize("filled", [False, True])
def test_an_abandoned_restore_leaves_no_volume(world, filled):
    _done, saved = world.protected()
    work = world.work("restore", {}, saved)
    work.results["restore_prepare"] = world.plugin.restore_prepare(work)
    if filled:
        world.plugin.restore(work)
    world.plugin.restore_abandon(work)
    world.plugin.restore_abandon(work)
    assert world.count("volume") == 1


def test_a_volume_whose_id_was_not_kept_is_found_and_removed(world):
    _done, saved = world.protected()
    work = world.work("restore", {}, saved)
    world.plugin.restore_prepare(work)
    world.plugin.restore_abandon(work)
    assert world.count("volume") == 1


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_an_abandoned_protect_leaves_nothing(world, steps):
    work = world.work("protect") if not steps else world.prepared()
    if steps == 2:
        world.plugin.protect(work)
    world.plugin.abandon(work)
    world.plugin.abandon(work)
    assert (world.count("backup"), world.count("volume_snapshot"), world.count("volume")) == (0, 0, 1)


def test_a_backup_that_others_are_built_on_goes_with_the_last_of_them(world):
    points = [world.protected(backup_mode="incremental")[1] for _ in range(3)]
    for saved, left in ((points[0], 3), (points[1], 3), (points[2], 0)):
        for _ in range(2):
            world.plugin.delete(world.work("delete", saved=saved))
        assert world.count("backup") == left


def test_an_increment_can_go_before_what_it_is_built_on(world):
    first, second = (world.protected(backup_mode="incremental")[1] for _ in range(2))
    world.plugin.delete(world.work("delete", saved=second))
    assert world.count("backup") == 1
    assert world.plugin.verify(world.work("verify", saved=first))["status"] == "available"


def test_a_backup_that_is_gone_is_told_before_and_during_a_restore(world):
    _done, saved = world.protected()
    world.cloud.things["backup"].clear()
    plan = world.plugin.restore_plan(world.work("restore", saved=saved))
    assert isinstance(plan, RestorePlan)
    assert [type(one) for one in plan.conflicts] == [errors.ResourceNotFound]
    with pytest.raises(errors.ResourceNotFound):
        world.plugin.restore_prepare(world.work("restore", saved=saved))
    with pytest.raises(errors.ResourceNotFound):
        world.plugin.verify(world.work("verify", saved=saved))


def test_a_failed_backup_tells_what_cinder_says_and_can_be_abandoned(world):
    work = world.prepared()
    world.cloud.latency = 60
    world.tenant.block_storage.post("/backups", json={"backup": {"volume_id": world.volume["id"]}})
    backup = next(iter(world.cloud.things["backup"].values()))
    backup["metadata"] = {"karbor": "kept", "karbor_job": work.operation_id, "karbor_resource": world.volume["id"]}
    backup.update(status="error", fail_reason="no room in the store")
    with pytest.raises(errors.StepFailed, match="no room in the store"):
        world.plugin.protect(work)
    world.plugin.abandon(work)
    world.cloud.clock.pass_time(120)
    assert world.count("backup") == 0


def test_a_snapshot_that_cinder_leaves_in_the_middle_is_told_and_not_waited_for():
    """Its backup service does, where it is killed."""
    world = World()
    work = world.prepared()
    (snapshot,) = world.cloud.things["volume_snapshot"].values()
    snapshot["status"] = "backing-up"
    begun = world.cloud.clock.monotonic()
    with pytest.raises(errors.Conflict, match="left the snapshot") as refusal:
        world.plugin.abandon(work)
    assert "administrator" in refusal.value.next_action
    assert world.cloud.clock.monotonic() - begun < 60
    snapshot["status"] = "available"
    world.plugin.abandon(work)
    assert not world.cloud.things["volume_snapshot"]

# SPDX-License-Identifier: Apache-2.0
"""Are volumes saved by volume snapshots of Cinder and left to Heat to be brought back?"""

import pytest

from karbor.model import errors
from karbor.model.checkpoint import SavedResource
from karbor.model.resource import Resource
from karbor.plugins.resources.volume_snapshot import VolumeSnapshotProtection as Plugin
from karbor.sdk.environment import Environment
from karbor.sdk.testing.memorycloud import MemoryCloud
from karbor.sdk.testing.work import TwinWork
from tests.support.clock import TwinClock


class World:
    """A cloud with one volume of a project."""

    def __init__(self):
        self.cloud = MemoryCloud(clock=TwinClock())
        self.tenant = self.cloud.open("alpha", pause=self.cloud.clock.pass_time)
        self.volume = self.cloud.volumes.add("alpha", "data", b"precious", metadata={"app": "shop"})
        self.plugin = Plugin(Plugin.Settings(), Environment("here", "/state"))

    def work(self, operation, options=None, saved=None):
        resource = Resource("OS::Cinder::Volume", self.volume["id"], "data")
        return TwinWork(operation, resource, options=options, saved=saved, cloud=self.tenant)

    def protected(self, **options):
        work = self.work("protect", Plugin.Protect.parse(options))
        for _ in range(2):
            work.results["prepare_finish"] = self.plugin.prepare_finish(work)
        done = self.plugin.protect(work)
        Plugin.Saved.parse(done.saved)
        return work, SavedResource(work.key.text, "karbor-volume-snapshot-plugin", done.saved, {})

    def snapshots(self):
        return list(self.cloud.things["volume_snapshot"].values())


@pytest.fixture
def world():
    return World()


def test_the_snapshot_stays_and_holds_that_moment(world):
    _work, saved = world.protected(snapshot_name="mine", description="before the change")
    world.cloud.contents[world.volume["id"]] = b"later"
    (found,) = world.snapshots()
    assert (found["name"], found["description"]) == ("mine", "before the change")
    assert world.cloud.contents[saved.saved["snapshot_id"]] == b"precious"


def test_heat_is_left_a_volume_like_the_old_one(world):
    _work, saved = world.protected()
    (part,) = world.plugin.restore(world.work("restore", Plugin.Restore.parse({}), saved)).template
    assert (part.original_id, part.type) == (world.volume["id"], "OS::Cinder::Volume")
    assert part.properties["snapshot_id"] == saved.saved["snapshot_id"]
    assert (part.properties["size"], part.properties["metadata"]) == (1, {"app": "shop"})


def test_a_volume_in_use_can_be_left_alone(world):
    world.cloud.volumes.attach(world.volume, world.cloud.compute.add("alpha", "web"))
    with pytest.raises(errors.Conflict, match="in-use"):
        world.protected(force=False)
    assert world.snapshots() == []


def test_an_abandoned_protect_leaves_nothing(world):
    work, _saved = world.protected()
    world.plugin.abandon(work)
    world.plugin.abandon(work)
    assert world.snapshots() == []


def test_deleting_twice_deletes_once(world):
    _work, saved = world.protected()
    for _ in range(2):
        world.plugin.delete(world.work("delete", saved=saved))
    assert world.snapshots() == []


def test_a_snapshot_that_is_gone_is_told(world):
    _work, saved = world.protected()
    world.cloud.things["volume_snapshot"].clear()
    restoring = world.work("restore", Plugin.Restore.parse({}), saved)
    assert [type(one) for one in world.plugin.restore_plan(restoring).conflicts] == [errors.ResourceNotFound]
    for phase in (world.plugin.restore, world.plugin.verify):
        with pytest.raises(errors.ResourceNotFound):
            phase(restoring)

# SPDX-License-Identifier: Apache-2.0
"""Does the data of a volume get into the vault and back, with nothing left in the cloud that only passed?"""

import pytest

from karbor.model import errors
from karbor.model.checkpoint import SavedResource
from karbor.model.resource import Resource
from karbor.plugins.resources.volume_data import VolumeDataProtection as Plugin
from karbor.sdk.environment import Environment
from karbor.sdk.testing.memorycloud import MemoryCloud
from karbor.sdk.testing.work import TwinWork
from tests.support.clock import TwinClock

DATA = bytes(range(256)) * 40


class World:
    """A cloud with one volume of a project."""

    def __init__(self, **volume):
        self.cloud = MemoryCloud(clock=TwinClock())
        self.tenant = self.cloud.open("alpha", pause=self.cloud.clock.pass_time)
        self.volume = self.cloud.volumes.add("alpha", "data", DATA, metadata={"app": "shop"}, **volume)
        self.resource = Resource("OS::Cinder::Volume", self.volume["id"], "data")
        self.plugin = Plugin(Plugin.Settings(), Environment("here", "/state"))
        self.stored = {}

    def work(self, operation, options=None, saved=None):
        return TwinWork(
            operation,
            self.resource,
            options=options,
            saved=saved,
            cloud=self.tenant,
            stored=self.stored,
            checkpoint_id="11111111-1111-4111-8111-111111111111",
        )

    def begun(self):
        work = self.work("protect", Plugin.Protect.parse({}))
        for _ in range(2):
            work.results["prepare_finish"] = self.plugin.prepare_finish(work)
        return work

    def protected(self):
        work = self.begun()
        done = self.plugin.protect(work)
        assert self.plugin.protect(work).saved == done.saved
        self.plugin.complete(work)
        Plugin.Saved.parse(done.saved)
        streams = {name: info.id for name, info in done.streams.items()}
        return SavedResource(work.key.text, "karbor-volume-glance-plugin", done.saved, streams)

    def restoring(self, saved, **options):
        return self.work("restore", Plugin.Restore.parse(options), saved)

    def left(self):
        return {kind: len(self.cloud.things[kind]) for kind in ("volume", "volume_snapshot", "image")}


ONLY_THE_VOLUME = {"volume": 1, "volume_snapshot": 0, "image": 0}


@pytest.fixture
def world():
    return World()


def test_the_data_of_that_moment_is_in_the_vault_and_nothing_else_stays(world):
    work = world.begun()
    world.cloud.contents[world.volume["id"]] = b"later"
    world.plugin.protect(work)
    world.plugin.complete(work)
    assert list(world.stored.values()) == [DATA]
    assert world.left() == ONLY_THE_VOLUME


def test_a_restore_needs_nothing_that_the_cloud_had(world):
    saved = world.protected()
    del world.cloud.things["volume"][world.volume["id"]]
    work = world.restoring(saved, restore_name="back")
    done = world.plugin.restore(work)
    assert world.plugin.restore(work) == done
    volume = world.cloud.things["volume"][done.new_id]
    assert world.cloud.contents[done.new_id] == DATA
    assert (volume["name"], volume["bootable"], volume["metadata"]["app"]) == ("back", "false", "shop")
    assert world.left() == ONLY_THE_VOLUME


def test_a_bootable_volume_is_bootable_again_with_the_properties_of_its_image():
    world = World(bootable=True)
    world.volume["volume_image_metadata"] = {"hw_disk_bus": "scsi", "image_id": "gone", "os_distro": "debian"}
    done = world.plugin.restore(world.restoring(world.protected()))
    volume = world.cloud.things["volume"][done.new_id]
    assert volume["bootable"] == "true"
    assert volume["volume_image_metadata"] == {"hw_disk_bus": "scsi", "os_distro": "debian"}


@pytest.mark.parametrize("far", ["snapshot", "data"])
def test_an_abandoned_protect_leaves_nothing(world, far):
    work = world.begun()
    if far == "data":
        world.plugin.protect(work)
    world.plugin.abandon(work)
    world.plugin.abandon(work)
    assert world.left() == ONLY_THE_VOLUME


def test_an_abandoned_restore_leaves_nothing(world):
    saved = world.protected()
    work = world.restoring(saved)
    world.plugin.restore(work)
    world.plugin.restore_abandon(work)
    world.plugin.restore_abandon(work)
    assert world.left() == ONLY_THE_VOLUME


def test_an_upload_that_broke_off_is_done_again(world):
    saved = world.protected()
    work = world.restoring(saved)
    world.cloud.fail("image", "PUT", r"/file$", 500, times=9)
    with pytest.raises(errors.Unavailable):
        world.plugin.restore(work)
    world.cloud.forgive()
    assert world.cloud.contents[world.plugin.restore(work).new_id] == DATA


def test_a_volume_whose_key_would_stay_behind_is_refused(world):
    world.volume["encrypted"] = True
    with pytest.raises(errors.NotSupported, match="encrypted"):
        world.begun()
    assert world.left() == ONLY_THE_VOLUME


def test_lost_data_is_told_before_anything_is_built(world):
    saved = world.protected()
    world.stored.clear()
    plan = world.plugin.restore_plan(world.restoring(saved))
    assert [type(one) for one in plan.conflicts] == [errors.IntegrityError]

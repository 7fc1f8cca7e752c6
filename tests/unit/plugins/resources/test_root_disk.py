# SPDX-License-Identifier: Apache-2.0
"""Is the root disk of a server read on its host where that can be, and through Glance where it cannot?"""

import json

import pytest

from karbor.model import errors
from karbor.model.checkpoint import SavedResource
from karbor.model.resource import Resource
from karbor.plugins.resources.image_data import ImageDataProtection as Plugin
from karbor.sdk.environment import Environment
from karbor.sdk.protection import EarlierPoint
from karbor.sdk.testing.memory_hypervisor import MemoryDomain, MemoryHypervisor
from karbor.sdk.testing.memorycloud import MemoryCloud
from karbor.sdk.testing.work import TwinWork
from tests.support.clock import TwinClock

IMAGES = ("image", "GET", "/images/{id_}/file")


def disk_of(byte):
    return byte * 4096 + bytes(8192) + b"end!" * 1024


class World:
    """A server whose root disk, beside a volume, is on this host."""

    def __init__(self, *, here=True, name="disk"):
        self.cloud = MemoryCloud(clock=TwinClock())
        self.tenant = self.cloud.open("alpha", pause=self.cloud.clock.pass_time)
        self.image = self.cloud.images.add("alpha", "base", b"as published", hw_disk_bus="virtio")
        self.server = self.cloud.compute.add("alpha", "web", image=self.image)
        self.cloud.contents[self.server["id"]] = b"by nova"
        self.driver, self.id = MemoryHypervisor(), self.server["id"]
        self.root = f"/instances/{self.id}/{name}"
        guest = MemoryDomain("web", {"vda": "/volumes/data", "vdb": self.root}, self.id)
        self.driver.add(guest, {"vda": bytes(4096), "vdb": disk_of(b"a")})
        hypervisors = {"libvirt": self.driver} if here else {}
        self.plugin = Plugin(Plugin.Settings(), Environment("here", "/state", hypervisors=hypervisors))
        self.stored = {}

    def work(self, token="t-1", earlier=(), saved=None, operation="protect", **options):
        declared = Plugin.Protect if operation == "protect" else Plugin.Restore
        return TwinWork(
            operation,
            Resource("OS::Glance::Image", self.image["id"], "base", {"server_id": self.id}, per_parent=True),
            parent=Resource("OS::Nova::Server", self.id, "web"),
            options=declared.parse(options),
            saved=saved,
            earlier=earlier,
            cloud=self.tenant,
            stored=self.stored,
            checkpoint_id=token,
        )

    def protected(self, token="t-1", earlier=(), meanwhile=lambda: None, **options):
        work = self.work(token, earlier, **options)
        begun = self.plugin.prepare_finish(work)
        work.results["prepare_finish"] = json.loads(json.dumps(begun))
        meanwhile()
        done = self.plugin.protect(work)
        for _ in range(2):
            self.plugin.complete(work)
            self.plugin.committed(work)
        Plugin.Saved.parse(done.saved)
        assert work.done == work.expected
        streams = {name: info.id for name, info in done.streams.items()}
        point = SavedResource(work.key.text, "karbor-image-protection-plugin", done.saved, streams)
        return done, EarlierPoint(token, point), work

    def write(self, offset, data):
        found = bytearray(self.driver.files[self.root])
        found[offset : offset + len(data)] = data
        self.driver.files[self.root] = bytes(found)


@pytest.fixture
def world():
    return World()


def test_the_disk_is_read_as_it_was_when_the_view_was_made(world):
    done, point, _work = world.protected(meanwhile=lambda: world.write(0, b"later"))
    assert world.stored[point.saved.streams["image"]] == disk_of(b"a")
    assert (done.mode, done.saved["target"], done.saved["server_id"]) == ("full", "vdb", world.id)
    assert world.driver.captures == {} and list(world.cloud.things["image"]) == [world.image["id"]]


def test_the_next_checkpoint_reads_what_changed(world):
    _done, first, _work = world.protected()
    world.write(4096, b"b" * 4096)
    done, second, work = world.protected("t-2", [first])
    assert (done.mode, done.base_id, work.done) == ("incremental", "t-1", 4096)
    assert world.stored[second.saved.streams["image"]] == world.driver.files[world.root]
    assert [key[2] for key in world.driver.trackers] == ["t-2"]


def test_data_that_is_gone_or_of_another_view_is_no_base(world):
    _done, first, _work = world.protected()
    other = SavedResource(**{**vars(first.saved), "saved": {**first.saved.saved, "view": "another"}})
    done, _point, _work = world.protected("t-2", [EarlierPoint("t-1", other)])
    assert (done.mode, done.saved["why_full"]) == (
        "full",
        "the data of the earlier checkpoint is of another view or size",
    )
    _done, third, _work = world.protected("t-3")
    world.stored.clear()
    done, _point, _work = world.protected("t-4", [third])
    assert done.saved["why_full"] == "the data of the earlier checkpoint is gone"


def test_it_comes_back_as_an_image_like_the_one_the_server_was_made_of(world):
    _done, point, _work = world.protected()
    assert world.plugin.old_names(point.saved) == {}
    done = world.plugin.restore(world.work(saved=point.saved, operation="restore"))
    image = world.cloud.things["image"][done.new_id]
    assert world.cloud.contents[done.new_id] == disk_of(b"a")
    assert (image["disk_format"], image["hw_disk_bus"], image["min_disk"]) == ("raw", "virtio", 1)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"here": False}, "no worker of this service on the compute host of the server has this job"),
        ({"name": "other"}, "the host has no image file of the root disk"),
    ],
)
def test_elsewhere_nova_makes_an_image(given, why):
    world = World(**given)
    done, point, _work = world.protected()
    assert world.stored[point.saved.streams["image"]] == b"by nova"
    assert done.saved["why_glance"] == why
    assert "taken_at" not in world.plugin.prepare_finish(world.work("t-2"))
    with pytest.raises(errors.NotSupported, match="cannot be read on the host"):
        world.protected("t-3", root_disk="host")


def test_whoever_asks_for_glance_gets_it(world):
    done, _point, _work = world.protected(root_disk="glance")
    assert done.saved["why_glance"] == "the plan asks for it" and world.driver.trackers == {}


def test_without_the_image_it_was_made_of_nova_is_asked(world):
    del world.cloud.things["image"][world.image["id"]]
    done, _point, _work = world.protected()
    assert "properties" in done.saved["why_glance"] and world.driver.trackers == {}


def test_an_abandoned_protect_leaves_nothing_on_the_host(world):
    work = world.work()
    work.results["prepare_finish"] = world.plugin.prepare_finish(work)
    assert world.driver.captures
    for _ in range(2):
        world.plugin.abandon(work)
        assert world.driver.captures == world.driver.trackers == {}


def test_another_worker_cannot_go_on_and_the_next_attempt_does(world):
    work = world.work()
    work.results["prepare_finish"] = world.plugin.prepare_finish(work)
    elsewhere = Plugin(Plugin.Settings(), Environment("there", "/state"))
    with pytest.raises(errors.HypervisorUnavailable) as refusal:
        elsewhere.protect(work)
    assert not refusal.value.permanent

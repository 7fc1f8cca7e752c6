# SPDX-License-Identifier: Apache-2.0
"""Do images, and root disks of servers that boot from one, get into the vault and back?"""

import pytest

from karbor.model.checkpoint import SavedResource
from karbor.model.resource import Resource
from karbor.plugins.resources.image_data import ImageDataProtection as Plugin
from karbor.plugins.resources.image_data import root_disk_id
from karbor.sdk.environment import Environment
from karbor.sdk.protection import EarlierPoint
from karbor.sdk.testing.memorycloud import MemoryCloud
from karbor.sdk.testing.work import TwinWork
from tests.support.clock import TwinClock


class World:
    """A cloud with an image, and a server that booted from it."""

    def __init__(self):
        self.cloud = MemoryCloud(clock=TwinClock())
        self.tenant = self.cloud.open("alpha", pause=self.cloud.clock.pass_time)
        self.image = self.cloud.images.add("alpha", "base", b"as published", os_distro="debian", min_disk=1)
        self.server = self.cloud.compute.add("alpha", "web", image=self.image)
        self.cloud.contents[self.server["id"]] = b"as used"
        self.plugin = Plugin(Plugin.Settings(), Environment("here", "/state"))
        self.stored = {}

    def work(self, operation, *, of_server, options=None, saved=None, earlier=(), mapping=None):
        extra = {"server_id": self.server["id"]} if of_server else {}
        return TwinWork(
            operation,
            Resource("OS::Glance::Image", self.image["id"], "base", extra, per_parent=of_server),
            parent=Resource("OS::Nova::Server", self.server["id"], "web") if of_server else None,
            options=options,
            saved=saved,
            earlier=earlier,
            cloud=self.tenant,
            stored=self.stored,
            mapping=mapping,
        )

    def protected(self, *, of_server=False, earlier=()):
        work = self.work("protect", of_server=of_server, options=Plugin.Protect.parse({}), earlier=earlier)
        for _ in range(2):
            begun = self.plugin.prepare_finish(work)
            if begun is not None:
                work.results["prepare_finish"] = begun
        done = self.plugin.protect(work)
        self.plugin.complete(work)
        Plugin.Saved.parse(done.saved)
        streams = {name: info.id for name, info in done.streams.items()}
        return work, SavedResource(work.key.text, "karbor-image-protection-plugin", done.saved, streams)

    def restored(self, saved, *, of_server=False, **options):
        work = self.work("restore", of_server=of_server, options=Plugin.Restore.parse(options), saved=saved)
        done = self.plugin.restore(work)
        assert self.plugin.restore(work) == done
        return work, done


@pytest.fixture
def world():
    return World()


def test_an_image_comes_back_with_its_properties(world):
    _work, saved = world.protected()
    _work, done = world.restored(saved)
    image = world.cloud.things["image"][done.new_id]
    assert world.cloud.contents[done.new_id] == b"as published"
    assert (image["name"], image["os_distro"], image["min_disk"]) == ("base", "debian", 1)
    assert done.template[0].original_id == world.image["id"]


def test_an_image_that_an_earlier_checkpoint_has_is_not_read_again(world):
    first, saved = world.protected()
    reads = world.cloud.calls["image", "GET", "/images/{id_}/file"]
    second, again = world.protected(earlier=[EarlierPoint("c", saved)])
    assert world.cloud.calls["image", "GET", "/images/{id_}/file"] == reads
    assert (first.done, second.done) == (12, 0)
    assert world.stored[again.streams["image"]] == b"as published"


def test_below_a_server_it_is_the_disk_of_the_server(world):
    _work, saved = world.protected(of_server=True)
    assert list(world.cloud.things["image"]) == [world.image["id"]]
    _work, done = world.restored(saved, of_server=True)
    assert world.cloud.contents[done.new_id] == b"as used"
    assert done.template[0].original_id == root_disk_id(world.image["id"], world.server["id"])


def test_an_abandoned_protect_leaves_nothing(world):
    work = world.work("protect", of_server=True, options=Plugin.Protect.parse({}))
    work.results["prepare_finish"] = world.plugin.prepare_finish(work)
    for _ in range(2):
        world.plugin.abandon(work)
    assert list(world.cloud.things["image"]) == [world.image["id"]]


@pytest.mark.parametrize("name", ["", "mine"])
def test_an_abandoned_restore_leaves_nothing_whatever_its_name(world, name):
    _work, saved = world.protected()
    work, _done = world.restored(saved, restore_name=name)
    for _ in range(2):
        world.plugin.restore_abandon(work)
    assert list(world.cloud.things["image"]) == [world.image["id"]]


def test_lost_data_is_told_before_anything_is_built(world):
    _work, saved = world.protected()
    world.stored.clear()
    options = Plugin.Restore.parse({})
    plan = world.plugin.restore_plan(world.work("restore", of_server=False, options=options, saved=saved))
    assert len(plan.conflicts) == 1


@pytest.mark.parametrize("of_server", [False, True])
def test_an_image_that_something_stands_in_for_is_not_made_and_a_root_disk_always(of_server):
    world = World()
    _work, saved = world.protected(of_server=of_server)
    there = world.cloud.images.add("alpha", "published here", b"as published")
    work = world.work(
        "restore",
        of_server=of_server,
        options=Plugin.Restore.parse({}),
        saved=saved,
        mapping={"image": {"*": there["id"]}, "names": {"base": "ground"}},
    )
    before = set(world.cloud.things["image"])
    plan = world.plugin.restore_plan(work)
    done = world.plugin.restore(work)
    (part,) = done.template
    if of_server:
        assert plan.creates and part.value not in before
    else:
        assert [one["place"] for one in plan.keeps] == [there["id"]] == [part.value]
        assert set(world.cloud.things["image"]) == before


def test_a_new_image_has_the_name_that_the_mapping_gives():
    world = World()
    _work, saved = world.protected()
    options = Plugin.Restore.parse({})
    mapping = {"names": {"*": "* again"}}
    work = world.work("restore", of_server=False, options=options, saved=saved, mapping=mapping)
    assert [one["name"] for one in world.plugin.restore_plan(work).creates] == ["base again"]
    assert world.cloud.things["image"][world.plugin.restore(work).new_id]["name"] == "base again"
    assert world.plugin.old_names(saved) == {"image": {world.image["id"]: "base"}}

# SPDX-License-Identifier: Apache-2.0
"""Are the disks of a server on its host read at one instant, and the root disk through Glance where that cannot be?"""

import hashlib
import json

import pytest

from karbor.model import errors
from karbor.model.checkpoint import SavedResource
from karbor.plugins.resources.image_data import ImageDataProtection
from karbor.sdk.environment import Environment
from karbor.sdk.protection import EarlierPoint
from tests.support.hostdisks import HostDisks, disk_of, points


@pytest.fixture
def world():
    return HostDisks()


def saved_with(point, **changed):
    saved = SavedResource(**{**vars(point.saved), "saved": {**point.saved.saved, **changed}})
    return EarlierPoint(point.checkpoint_id, saved)


def test_the_root_disk_is_read_as_it_was_when_the_view_was_made(world):
    done, point, _work = world.protected(meanwhile=lambda: world.write(world.root, 0, b"later"))["image"]
    assert world.stored[point.saved.streams["image"]] == disk_of(b"a")
    assert (done.mode, done.saved["target"], done.saved["server_id"]) == ("full", "vdb", world.id)
    assert world.driver.captures == {} and list(world.cloud.things["image"]) == [world.image["id"]]


def test_the_next_checkpoint_reads_what_changed(world):
    first = world.protected()
    world.write(world.root, 4096, b"b" * 4096)
    done, second, work = world.protected("t-2", points(first))["image"]
    assert (done.mode, done.base_id, work.done) == ("incremental", "t-1", 4096)
    assert world.stored[second.saved.streams["image"]] == world.driver.files[world.root]
    assert [key[2] for key in world.driver.trackers] == ["t-2"]


def test_checkpoints_of_a_release_that_knew_root_disks_only_are_gone_on_with(world):
    first = points(world.protected())
    (server,) = first["server"]
    saved = {key: value for key, value in server.saved.saved.items() if key not in ("tracked", "ephemeral", "not_kept")}
    first["server"] = [EarlierPoint("t-1", SavedResource(**{**vars(server.saved), "saved": saved}))]
    assert world.protected("t-2", first)["image"][0].mode == "incremental"


def test_data_that_is_gone_or_of_another_view_is_no_base(world):
    first = points(world.protected())
    other = {**first, "image": [saved_with(first["image"][0], view="another")]}
    done, _point, _work = world.protected("t-2", other)["image"]
    assert (done.mode, done.saved["why_full"]) == (
        "full",
        "the data of the earlier checkpoint is of another view or size",
    )
    third = points(world.protected("t-3"))
    world.stored.clear()
    assert world.protected("t-4", third)["image"][0].saved["why_full"] == "the data of the earlier checkpoint is gone"


def test_the_root_disk_comes_back_as_an_image_like_the_one_the_server_was_made_of(world):
    _done, point, _work = world.protected()["image"]
    assert world.images.old_names(point.saved) == {}
    done = world.images.restore(world.image_work(saved=point.saved, operation="restore"))
    image = world.cloud.things["image"][done.new_id]
    assert world.cloud.contents[done.new_id] == disk_of(b"a")
    assert (image["disk_format"], image["hw_disk_bus"], image["min_disk"]) == ("raw", "virtio", 1)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"here": False}, "no worker of this service runs on the compute host of the server"),
        ({"root": "other"}, "the host has no image file of the root disk"),
        ({"root": "00000000-0000-4000-8000-000000000000_disk"}, "the host has no image file of the root disk"),
    ],
)
def test_elsewhere_nova_makes_an_image(given, why):
    world = HostDisks(**given)
    done, point, _work = world.protected()["image"]
    assert world.stored[point.saved.streams["image"]] == b"by nova"
    assert done.saved["why_glance"] == why
    assert "taken_at" not in world.begun("t-2")["image"].results["prepare_finish"]
    with pytest.raises(errors.NotSupported, match="cannot be read on the host"):
        world.protected("t-3", root_disk="host")


def test_a_disk_behind_the_id_of_the_server_is_its_own(world):
    world.driver.files[f"/pool/{world.id}_disk"] = world.driver.files.pop(world.root)
    world.guest.disks["vdb"] = f"/pool/{world.id}_disk"
    assert world.protected()["image"][0].saved["target"] == "vdb"


def test_whoever_asks_for_glance_gets_it_and_leaves_nothing_on_the_host(world):
    first = points(world.protected())
    works = world.begun("t-2", first, root_disk="glance")
    assert [key[2] for key in world.driver.trackers] == ["t-1"] and world.driver.captures == {}
    assert works["image"].results["prepare_finish"]["why_glance"] == "the plan asks for it"
    world.protected("t-2", first, root_disk="glance")
    assert [key[2] for key in world.driver.trackers] == ["t-1"], "what came before goes on"


def test_without_the_image_it_was_made_of_nova_is_asked(world):
    del world.cloud.things["image"][world.image["id"]]
    done, _point, _work = world.protected()["image"]
    assert "properties" in done.saved["why_glance"] and world.driver.trackers == {}


def test_an_abandoned_protect_leaves_nothing_on_the_host(world):
    works = world.begun()
    assert world.driver.captures
    for _ in range(2):
        world.images.abandon(works["image"])
        world.servers.abandon(works["server"])
        assert world.driver.captures == world.driver.trackers == world.driver.frozen == {}


def test_a_view_of_a_try_that_was_cut_off_is_not_used_again(world):
    work = world.server_work()
    first = world.servers.prepare_begin(work)["view"]
    world.write(world.root, 0, b"since")
    second = world.servers.prepare_begin(work)["view"]
    assert first["capture"]["view"] != second["capture"]["view"]
    (_capture, content) = next(iter(world.driver.captures.values()))
    assert content["vdb"].startswith(b"since")


def test_another_worker_cannot_go_on_and_the_next_attempt_does(world):
    work = world.begun()["image"]
    elsewhere = ImageDataProtection(ImageDataProtection.Settings(), Environment("there", "/state"))
    with pytest.raises(errors.HypervisorUnavailable) as refusal:
        elsewhere.protect(work)
    assert not refusal.value.permanent


def test_a_disk_that_cannot_be_read_does_not_keep_the_others_from_it():
    world = HostDisks(disks={"vdc": ("disk.eph0", b"")}, ephemeral=1)
    found = world.protected()
    assert found["image"][0].saved["target"] == "vdb"
    assert json.loads(found["server"][0].saved["ephemeral"]) == []
    world.driver.files[world.root] = b""
    assert "no image file" in world.protected("t-2")["image"][0].saved["why_glance"]


def test_their_steps_run_where_nova_has_the_server():
    world = HostDisks()
    project = world.server["tenant_id"]
    world.server["hostId"] = hashlib.sha224(f"{project}compute-2".encode()).hexdigest()
    hosts = ["control", "compute-1", "compute-2"]
    image, glance = world.image_work(), world.image_work(root_disk="glance")
    assert world.servers.host(world.server_work(), hosts) == world.images.host(image, hosts) == "compute-2"
    assert world.servers.host(world.server_work(), hosts[:2]) == world.images.host(glance, hosts) == ""
    del world.cloud.things["server"][world.id]
    assert world.servers.host(world.server_work(), hosts) == ""

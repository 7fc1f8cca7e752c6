# SPDX-License-Identifier: Apache-2.0
"""Is what lies on ephemeral disks of servers kept where it can be, told where it cannot, and does it come back?"""

import json

import pytest

from karbor.model import errors
from karbor.plugins.resources import host_disks
from karbor.plugins.resources.glance import Glance
from karbor.sdk.template import HeatParameter, HeatResource
from karbor.sdk.testing.memory_hypervisor import MemoryHypervisor
from tests.support.hostdisks import HostDisks, disk_of, points

DISKS = {"vdc": ("disk.eph0", disk_of(b"e")), "vdd": ("disk.eph1", disk_of(b"f"))}


@pytest.fixture(params=[False, True], ids=["from an image", "from a volume"])
def world(request):
    return HostDisks(disks=DISKS, ephemeral=2, from_volume=request.param)


def plain(**given):
    return HostDisks(**{"disks": DISKS, "ephemeral": 2, **given})


def path_of(world, name):
    return f"/instances/{world.id}/{name}"


def kept(world, point):
    return {name: world.stored[id_] for name, id_ in point.saved.streams.items()}


def restoring(world, point, **options):
    work = world.server_work("t-9", operation="restore", saved=point.saved, **options)
    work.results["restore_prepare"] = json.loads(json.dumps(world.servers.restore_prepare(work)))
    return work


def volumes(world, parts):
    """The volumes with ephemeral disks, by the name of the disk."""
    given = [part for part in parts if isinstance(part, HeatParameter)]
    return {part.original_id.rpartition(":")[2]: world.cloud.things["volume"][part.value] for part in given}


def passing(world):
    return [one for one in world.cloud.things["image"].values() if one["name"].startswith("karbor-passing")]


def test_they_are_read_as_they_were_in_the_instant_of_all_disks(world):
    done, point, _work = world.protected(meanwhile=lambda: world.write(path_of(world, "disk.eph0"), 0, b"later"))[
        "server"
    ]
    assert kept(world, point) == {"eph0": disk_of(b"e"), "eph1": disk_of(b"f")}
    assert (done.mode, done.logical_bytes, done.saved["not_kept"]) == ("full", 2 * 16384, "")
    assert (done.consistency, done.saved["not_frozen"]) == ("filesystem", "")
    assert len(world.driver.freezes) == 1 and world.driver.captures == {}


def test_there_is_one_view_of_them_and_the_root_disk():
    world = plain()
    works = world.begun()
    ((capture, _content),) = world.driver.captures.values()
    assert sorted(disk.target for disk in capture.disks) == ["vdb", "vdc", "vdd"], "and no swap"
    assert works["image"].results["prepare_finish"]["target"] == "vdb"


def test_the_next_checkpoint_reads_what_changed(world):
    first = world.protected()
    world.write(path_of(world, "disk.eph1"), 8192, b"n" * 4096)
    done, point, work = world.protected("t-2", points(first))["server"]
    assert (done.mode, done.base_id, work.done) == ("incremental", "t-1", 4096)
    assert kept(world, point)["eph1"] == world.driver.files[path_of(world, "disk.eph1")]
    assert [key[2] for key in world.driver.trackers] == ["t-2"]


def test_a_disk_whose_image_keeps_no_bitmap_is_read_in_full_each_time():
    world = plain()
    world.guest.raw = frozenset({"vdc"})
    first = world.protected()
    done, _point, work = world.protected("t-2", points(first))["server"]
    assert [one["why_full"] for one in json.loads(done.saved["ephemeral"])] == ["no tracker", ""]
    assert work.done == 8192 and json.loads(done.saved["tracked"]) == ["vdb", "vdd"]


def test_the_legacy_name_of_the_only_one_is_known():
    world = plain(disks={"vdc": ("disk.local", disk_of(b"l"))})
    assert kept(world, world.protected()["server"][1]) == {"local": disk_of(b"l")}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"here": False}, "The ephemeral disks (2 GiB) are not kept: no worker of this service"),
        ({"disks": {}}, "The ephemeral disks (2 GiB) are not kept: the host has no image files of them."),
        ({"disks": {"vdc": ("disk.eph0", b"")}}, "The ephemeral disks eph0 are not kept: their images cannot be read"),
    ],
)
def test_what_cannot_be_read_is_told(given, why):
    world = plain(**given)
    done, point, _work = world.protected()["server"]
    assert done.saved["not_kept"].startswith(why) and done.streams == {} and done.mode is None
    plan = world.servers.restore_plan(world.server_work("t-9", operation="restore", saved=point.saved))
    assert done.saved["not_kept"] in plan.warnings
    with pytest.raises(errors.StepFailed, match="requires the ephemeral disks"):
        world.begun("t-2", server={"ephemeral_disks": "required"})


class Busy(MemoryHypervisor):
    """Somebody else reads the guest."""

    def begin(self, request):
        raise errors.Conflict("Another backup of this domain is running.")


def test_of_a_guest_of_another_host_that_is_told():
    world = plain()
    del world.driver.guests[world.id]
    found = world.protected()
    assert host_disks.NOT_HERE in found["server"][0].saved["not_kept"]
    assert found["image"][0].saved["why_glance"] == host_disks.NOT_HERE


@pytest.mark.parametrize("root", [disk_of(b"a"), b""], ids=["root disk", "no root disk"])
def test_where_no_view_can_be_made_that_is_told(root):
    world = plain(driver=Busy())
    world.driver.files[world.root] = root
    found = world.protected()
    why = "The ephemeral disks (2 GiB) are not kept: Another backup of this domain is running."
    assert found["server"][0].saved["not_kept"] == why
    assert "Another backup" in found["image"][0].saved["why_glance"]


def test_who_leaves_them_out_is_told_and_nothing_is_read(world):
    done, _point, _work = world.protected(server={"ephemeral_disks": "no"})["server"]
    assert "the plan leaves them out" in done.saved["not_kept"] and done.streams == {}


def test_of_a_server_that_has_none_nothing_is_said():
    world = HostDisks()
    done, point, _work = world.protected()["server"]
    assert done.saved["not_kept"] == "" and done.mode is None
    plan = world.servers.restore_plan(world.server_work("t-9", operation="restore", saved=point.saved))
    assert "ephemeral" not in str(plan.warnings)


def test_checkpoints_of_a_release_that_did_not_know_of_them_say_so():
    world = plain()
    _done, point, _work = world.protected()["server"]
    for name in ("ephemeral", "tracked", "not_kept"):
        del point.saved.saved[name]
    plan = world.servers.restore_plan(world.server_work("t-9", operation="restore", saved=point.saved))
    assert any("did not know of them" in text for text in plan.warnings)


def test_they_come_back_on_volumes_that_are_attached_behind_the_others(world):
    _done, point, _work = world.protected()["server"]
    work = restoring(world, point)
    parts = list(world.servers.restore(work).template)
    assert list(world.servers.restore(work).template) == parts, "also called twice"
    found = volumes(world, parts)
    for name, byte in (("eph0", b"e"), ("eph1", b"f")):
        assert world.cloud.contents[found[name]["id"]].rstrip(b"\0") == disk_of(byte)
        assert (found[name]["name"], found[name]["size"], found[name]["bootable"]) == (f"web-{name}", 1, "false")
    attached = [part for part in parts if isinstance(part, HeatResource) and "Attachment" in part.type]
    assert [part.original_id.rpartition(":")[2] for part in attached][-2:] == ["eph0", "eph1"]
    assert attached[-1].depends_on == [attached[-2].original_id]
    assert passing(world) == [] and len(work.told) > 0


class Killed(Exception):
    """The worker is no more."""


@pytest.mark.parametrize(
    "request_",
    [
        ("image", "POST", "/images$"),
        ("image", "PUT", "/file$"),
        ("block-storage", "POST", "/volumes$"),
        ("block-storage", "POST", "/action$"),
        ("image", "DELETE", "/images/"),
    ],
    ids=" ".join,
)
def test_a_restore_that_is_killed_behind_any_change_is_gone_on_with(request_):
    world = plain()
    _done, point, _work = world.protected()["server"]
    work = restoring(world, point)
    before = set(world.cloud.things["volume"])
    for _ in range(2):  # once for each disk
        world.cloud.fail(*request_, Killed(), after=True)
        with pytest.raises(Killed):
            world.servers.restore(work)
    parts = world.servers.restore(work).template
    found = volumes(world, parts)
    assert set(world.cloud.things["volume"]) - before == {one["id"] for one in found.values()} and len(found) == 2
    assert {world.cloud.contents[one["id"]].rstrip(b"\0") for one in found.values()} == {disk_of(b"e"), disk_of(b"f")}
    assert passing(world) == []


def test_an_abandoned_restore_leaves_no_volume_and_no_image(world):
    _done, point, _work = world.protected()["server"]
    before = set(world.cloud.things["volume"])
    work = restoring(world, point)
    world.servers.restore(work)
    Glance(work, part="eph0").uploaded("passing", work.streams.read("eph0"), {})
    for _ in range(2):
        world.servers.restore_abandon(work)
        assert set(world.cloud.things["volume"]) == before and passing(world) == []


def test_what_a_restore_left_behind_is_found_by_its_marks(world):
    _done, point, _work = world.protected()["server"]
    work = restoring(world, point)
    Glance(work, part="eph0").uploaded("passing", work.streams.read("eph0"), {})
    (made,) = [one for one in passing(world) if world.id in one["name"]]
    assert made["name"].endswith("-eph0")


def test_the_plan_tells_of_the_volumes_and_what_they_use(world):
    _done, point, _work = world.protected()["server"]
    plan = world.servers.restore_plan(world.server_work("t-9", operation="restore", saved=point.saved))
    assert [one["name"] for one in plan.creates] == ["web", "web-eph0", "web-eph1"]
    assert plan.bytes == 2 << 30
    (told,) = [text for text in plan.warnings if "ephemeral" in text]
    assert "web-eph0, web-eph1" in told and "2 gigabytes, 2 volumes" in told


def test_volumes_that_have_no_room_in_the_quotas_are_refused_beforehand(world):
    _done, point, _work = world.protected()["server"]
    world.cloud.quotas["volume"] = len(world.cloud.things["volume"]) + 1
    work = world.server_work("t-9", operation="restore", saved=point.saved)
    assert "do not fit" in world.servers.restore_plan(work).conflicts[0].message
    with pytest.raises(errors.Conflict, match="do not fit"):
        world.servers.restore_prepare(work)
    assert restoring(world, point, ephemeral_disks="blank").results["restore_prepare"]["ephemeral"] == []


def test_a_flavor_that_gives_less_is_told(world):
    _done, point, _work = world.protected()["server"]
    small = world.cloud.compute.flavor("small")["id"]
    work = world.server_work("t-9", operation="restore", saved=point.saved, restore_flavor_id=small)
    assert any("had 2 GiB" in text and "small gives 0" in text for text in world.servers.restore_plan(work).warnings)


def test_data_that_is_gone_is_a_conflict(world):
    _done, point, _work = world.protected()["server"]
    world.stored.clear()
    work = world.server_work("t-9", operation="restore", saved=point.saved)
    assert isinstance(world.servers.restore_plan(work).conflicts[0], errors.IntegrityError)


def test_who_wants_them_blank_gets_no_volume_and_a_word(world):
    _done, point, _work = world.protected()["server"]
    work = restoring(world, point, ephemeral_disks="blank")
    before = set(world.cloud.things["volume"])
    assert volumes(world, world.servers.restore(work).template) == {}
    assert set(world.cloud.things["volume"]) == before
    plan = world.servers.restore_plan(work)
    assert any("stays in the checkpoint" in text for text in plan.warnings)

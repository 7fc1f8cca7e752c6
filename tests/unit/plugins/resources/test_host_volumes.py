# SPDX-License-Identifier: Apache-2.0
"""Are volumes read on the host of their server where that is sound, and through Glance, with the reason, where not?"""

import hashlib
import json

import pytest

from karbor.model import errors
from karbor.plugins.resources import host_volumes
from karbor.plugins.resources.host_disks import NOT_HERE
from karbor.plugins.resources.volume_data import VolumeDataProtection
from karbor.sdk.environment import Environment
from karbor.sdk.testing.memory_hypervisor import MemoryHypervisor
from tests.support.hostdisks import HostDisks, disk_of, points

ROOM = {"disks": {"vdc": ("disk.eph0", disk_of(b"e"))}, "ephemeral": 1}
AUTO = {"read": "auto"}


@pytest.fixture
def world():
    return HostDisks(**ROOM)


def left(world):
    return {kind: len(world.cloud.things[kind]) for kind in ("volume", "volume_snapshot", "image")}


def test_a_volume_is_read_as_it_was_when_the_view_was_made_and_nothing_is_made_in_the_cloud(world):
    later = lambda: world.write("/volumes/data", 0, b"later")  # noqa: E731
    before = left(world)
    found = world.protected(volume=AUTO, meanwhile=later)
    done, point, work = found["volume"]
    assert world.stored[point.saved.streams["volume"]] == disk_of(b"v")
    assert (done.mode, done.saved["target"], done.saved["why_glance"]) == ("full", "vda", "")
    assert (done.saved["size"], done.logical_bytes, work.done) == (1, 16384, 8192)
    assert done.saved["taken_at"] == work.results["prepare_finish"]["taken_at"]
    assert found["server"][0].saved["skew"] == 0.0
    assert left(world) == before and world.driver.captures == {}
    made = [call for call in world.cloud.calls if call[0] == "block-storage" and call[1] != "GET"]
    assert made == []


def test_it_comes_back_like_any_other(world):
    _done, point, work = world.protected(volume=AUTO)["volume"]
    work = world.volume_work()
    work.operation, work.saved, work.options = "restore", point.saved, VolumeDataProtection.Restore.parse({})
    work.streams._ids = point.saved.streams
    done = world.volumes.restore(work)
    assert world.cloud.contents[done.new_id] == disk_of(b"v")


@pytest.mark.parametrize("raw", [True, False])
def test_all_of_it_is_read_every_time_and_nothing_stays_in_it(world, raw):
    world.guest.raw = frozenset({"vda"} if raw else ())
    first = world.protected(volume=AUTO)
    world.write("/volumes/data", 4096, b"b" * 4096)
    again = world.protected("t-2", points(first), volume=AUTO)
    done, point, work = again["volume"]
    assert (done.mode, done.base_id, work.done) == ("full", None, 12288)
    assert world.stored[point.saved.streams["volume"]] == world.driver.files["/volumes/data"]
    assert {target for _view, held in world.driver.trackers.values() for target in held} == {"vdb", "vdc"}
    assert again["image"][0].mode == "incremental"


def _detach(world):
    world.cloud.volumes.detach(world.volume, world.server)


def _elsewhere(world):
    _detach(world)
    world.cloud.volumes.attach(world.volume, world.cloud.compute.add("alpha", "other"))


def _shared(world):
    world.cloud.volumes.attach(world.volume, world.cloud.compute.add("alpha", "other"))


def _changed(**fields):
    return lambda world: world.volume.update(fields)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_detach, "no server uses it"),
        (_shared, "more than one server may use it"),
        (_changed(multiattach=True), "more than one server may use it"),
        (_elsewhere, "the plan does not cover the server that uses it"),
        (_changed(metadata={"readonly": "True"}), "its server may only read it"),
        (_changed(metadata={"attached_mode": "ro"}), "its server may only read it"),
        (_changed(size=0), "the disk on the host is larger than Cinder says: it would not fit into a volume like it"),
        (lambda world: setattr(world.guest, "state", "shut off"), host_volumes.NOT_SHOWN),
        (lambda world: setattr(world.guest, "shared", frozenset({"vda"})), host_volumes.NOT_SHOWN),
        (lambda world: world.serials.clear(), host_volumes.NOT_SHOWN),
        (lambda world: world.driver.files.pop("/volumes/data"), host_volumes.NOT_SHOWN),
        (lambda world: world.driver.guests.clear(), NOT_HERE),
    ],
)
def test_anything_else_goes_through_glance_and_says_why(world, change, why):
    change(world)
    works = world.begun(volume=AUTO)
    begun = works["volume"].results["prepare_finish"]
    assert (begun["why_glance"], "snapshot_id" in begun, "target" in begun) == (why, True, False)
    assert left(world)["volume_snapshot"] == 1
    done = world.volumes.protect(works["volume"])
    world.volumes.complete(works["volume"])
    assert done.saved["why_glance"] == why
    assert (left(world)["volume"], left(world)["volume_snapshot"]) == (1, 0)
    with pytest.raises(errors.NotSupported, match="cannot be read on the host"):
        world.begun("t-2", volume={"read": "host"})


def test_whoever_asks_for_glance_gets_it_and_the_view_is_spared(world):
    works = world.begun(volume={"read": "glance"})
    assert works["volume"].results["prepare_finish"]["why_glance"] == "the plan asks for it"
    ((capture, _content),) = world.driver.captures.values()
    assert sorted(disk.target for disk in capture.disks) == ["vdb", "vdc"]


def test_a_volume_that_cinder_encrypts_is_refused_as_ever(world):
    world.volume["encrypted"] = True
    with pytest.raises(errors.NotSupported, match="encrypted"):
        world.begun(volume=AUTO)


def test_a_volume_that_spoils_the_view_does_not_keep_the_others_from_it():
    class Picky(MemoryHypervisor):
        """Captures nothing that keeps no bitmaps."""

        def begin(self, request):
            if "vda" in request.targets:
                raise errors.StepFailed("That disk cannot be backed up.")
            return super().begin(request)

    world = HostDisks(driver=Picky(), **ROOM)
    works = world.begun(volume=AUTO)
    assert works["volume"].results["prepare_finish"]["why_glance"] == "That disk cannot be backed up."
    done = world.servers.protect(works["server"])
    assert [one["name"] for one in json.loads(done.saved["ephemeral"])] == ["eph0"]
    alone = HostDisks(driver=Picky(), from_volume=True)
    assert "backed up" in alone.begun(volume=AUTO)["volume"].results["prepare_finish"]["why_glance"]


def test_a_view_that_only_a_volume_reads_stands_until_it_was_read():
    world = HostDisks(from_volume=True)
    found = world.protected(volume=AUTO)
    assert found["volume"][0].saved["target"] == "vda" and world.driver.captures == {}
    works = world.begun("t-2", volume=AUTO)
    assert world.driver.captures
    for _ in range(2):
        world.volumes.abandon(works["volume"])
        world.servers.abandon(works["server"])
        assert world.driver.captures == world.driver.frozen == {}


def test_a_view_that_is_lost_or_on_another_host_is_for_another_attempt(world):
    work = world.begun(volume=AUTO)["volume"]
    world.driver.captures.clear()
    with pytest.raises(errors.CaptureLost) as lost:
        world.volumes.protect(work)
    elsewhere = VolumeDataProtection(VolumeDataProtection.Settings(), Environment("there", "/state"))
    with pytest.raises(errors.HypervisorUnavailable) as refusal:
        elsewhere.protect(work)
    assert not lost.value.permanent and not refusal.value.permanent


def test_its_steps_run_where_nova_has_its_server(world):
    told = hashlib.sha224(f"{world.server['tenant_id']}compute-2".encode()).hexdigest()
    world.server["hostId"], hosts = told, ["compute-1", "compute-2"]
    assert world.volumes.host(world.volume_work(), hosts) == "compute-2"
    assert world.volumes.host(world.volume_work(read="glance"), hosts) == ""
    alone = world.volume_work()
    alone.parent_phases.clear()
    assert world.volumes.host(alone, hosts) == ""
    _detach(world)
    assert world.volumes.host(world.volume_work(), hosts) == ""


def test_what_may_pass_is_told_beforehand(world):
    resource = world.volume_work().resource
    parse = VolumeDataProtection.Protect.parse
    assert world.volumes.cost(resource, parse({"read": "host"})) == []
    assert world.volumes.cost(resource, parse({})) == world.volumes.cost(resource, parse({"read": "glance"})) != []


def test_a_volume_that_insists_on_the_host_asks_for_it_in_each_attempt(world):
    asked = {}
    for read in ("auto", "host", "glance"):
        wishes = world.volumes.wishes(world.volume_work().resource, VolumeDataProtection.Protect.parse({"read": read}))
        for attempt in (1, 2):
            work = world.server_work(wishes=wishes)
            work.attempt = attempt
            asked[read, attempt] = bool(host_volumes.asked_for(work))
    assert [name for name, shown in asked.items() if shown] == [("auto", 1), ("host", 1), ("host", 2)]


def test_in_a_later_attempt_a_volume_goes_through_glance_unless_it_insists(world):
    for read, why in (("auto", host_volumes.FAILED), ("glance", "the plan asks for it")):
        work = world.volume_work(read=read)
        work.attempt = 2
        assert world.volumes.prepare_finish(work)["why_glance"] == why

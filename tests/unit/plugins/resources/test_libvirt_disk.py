# SPDX-License-Identifier: Apache-2.0
"""Are disks found below their domains, and is a restore refused where there is no room?"""

import pytest

from karbor.model import errors
from karbor.plugins.resources.libvirt_disk import DiskProtectable, DiskProtection
from karbor.sdk.environment import Environment
from karbor.sdk.streams import Extent, Kind
from karbor.sdk.testing.memory_hypervisor import MemoryDomain
from karbor.sdk.testing.work import TwinWork
from tests.support.libvirt_twin import PROJECT, Cycle, make_guest


@pytest.fixture
def cycle():
    return Cycle()


def protectable(cycle):
    return DiskProtectable(DiskProtectable.Settings.parse({}), cycle.environment)


def test_a_disk_belongs_to_its_domain_and_keeps_its_id(cycle):
    vda = cycle.disks()[0]
    assert (vda.name, vda.per_parent, DiskProtectable.standalone) == ("web/vda", True, False)
    assert vda.extra_info == {
        "target": "vda", "format": "qcow2", "size": 16384, "path": "/images/a", "domain_id": cycle.guest.id
    }  # fmt: skip
    cycle.guest.disks["vda"] = "/images/moved"
    cycle.driver.files["/images/moved"] = b""
    assert cycle.disks()[0].id == vda.id


def test_disks_of_foreign_and_vanished_domains_are_not_there(cycle):
    foreign = make_guest(cycle.driver, "other", project_id="somebody")
    parents = [cycle.protectable().get(PROJECT, cycle.guest.id)]
    unseen = [type(parents[0])(parents[0].type, id_, "x") for id_ in (foreign.id, "gone")]
    assert set(protectable(cycle).children(PROJECT, parents + unseen)) == {cycle.guest.id}
    mine = {disk.id for disk in protectable(cycle).list(PROJECT)}
    assert mine == {disk.id for disk in cycle.disks()}
    for disk in protectable(cycle).list("somebody"):
        if disk.id not in mine:
            with pytest.raises(errors.ResourceNotFound):
                protectable(cycle).get(PROJECT, disk.id)


def test_a_whole_page_of_domains_is_asked_for_at_once(cycle):
    for number in range(12):
        cycle.driver.add(MemoryDomain(f"g{number:02}", {"vda": f"/images/{number}"}), {"vda": b"x"})
    parents = cycle.protectable().list(PROJECT)
    found = protectable(cycle).children(PROJECT, parents)
    assert set(found) == {parent.id for parent in parents}
    ids = [disk.id for disk in protectable(cycle).list(PROJECT)]
    assert ids == sorted(ids) and len(ids) == 14
    assert [disk.id for disk in protectable(cycle).list(PROJECT, after=ids[3], limit=2)] == ids[4:6]


def test_a_place_without_room_is_refused_before_anything_is_written(cycle, tmp_path):
    point = cycle.protect("cp-1")

    class Huge:
        size = 1 << 60

        def extents(self):
            return [Extent(0, self.size, Kind.DATA)]

    place = {"vda": {"path": str(tmp_path / "a.img"), "format": "raw"}}
    work = TwinWork(
        "restore", cycle.disks()[0], saved=point.disks["vda"], stored=cycle.stored,
        parent_results={"restore_prepare": {"disks": place}},
    )  # fmt: skip
    plugin = DiskProtection(DiskProtection.Settings.parse({}), cycle.environment)
    assert plugin.restore_prepare(work) is None
    plan = plugin.restore_plan(work)
    assert plan.creates == ({"name": "web/vda", "place": str(tmp_path / "a.img")},)
    assert (plan.bytes, plan.conflicts) == (16384, ())
    work.streams.read = lambda _name: Huge()
    with pytest.raises(errors.Conflict, match="room"):
        plugin.restore_prepare(work)
    (conflict,) = plugin.restore_plan(work).conflicts
    assert "room" in conflict.message and list(tmp_path.iterdir()) == []


def test_digits_that_the_restore_will_choose_are_not_made_up_in_its_plan(cycle, tmp_path):
    point = cycle.protect("cp-1")
    work = TwinWork("restore", cycle.disks()[0], saved=point.disks["vda"], stored=cycle.stored)
    for name, shown in (
        (f"web-vda-{work.operation_id[:8]}.img", "web-vda-????????.img"),
        ("web-vda.img", "web-vda.img"),
    ):
        place = {"path": str(tmp_path / name), "format": "raw"}
        work.parent_results = {"restore_prepare": {"disks": {"vda": place}}}
        assert cycle.disk.restore_plan(work).creates[0]["place"] == str(tmp_path / shown)
    work.parent_results = {"restore_prepare": {"disks": {}}}  # left out
    assert cycle.disk.restore_plan(work).creates == ()


def test_a_host_without_libvirt_says_so(cycle):
    bare = DiskProtectable(DiskProtectable.Settings.parse({}), Environment("host", "/nonexistent"))
    with pytest.raises(errors.HypervisorUnavailable):
        bare.list(PROJECT)

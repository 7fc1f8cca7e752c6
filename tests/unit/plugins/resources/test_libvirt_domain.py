# SPDX-License-Identifier: Apache-2.0
"""Does a domain with its disks go through protect and restore as the engine walks them?"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor.model import errors
from karbor.plugins.resources.libvirt_disk import DiskProtection
from karbor.plugins.resources.libvirt_domain import DomainProtectable, DomainProtection
from karbor.sdk.testing.memory_hypervisor import MemoryDomain
from tests.support.libvirt_twin import Cycle, make_guest


@pytest.fixture
def cycle():
    return Cycle()


def test_a_restore_beside_the_original_brings_every_disk(cycle):
    point = cycle.protect("cp-1")
    new_id = cycle.restore(point, directory="/restored", restore_name="copy", start=True)
    copy = cycle.driver.guests[new_id]
    assert (copy.name, copy.state, new_id != cycle.guest.id) == ("copy", "running", True)
    assert cycle.content(new_id) == cycle.content(cycle.guest.id)
    assert set(copy.disks.values()) == {"/restored/copy-vda.qcow2", "/restored/copy-vdb.img"}


def test_the_second_point_is_an_increment_and_only_tracked_disks_are_read_so(cycle):
    first = cycle.protect("cp-1")
    cycle.write("vda", 8192, b"new")
    second = cycle.protect("cp-2", [first])
    assert {target: saved.mode for target, saved in second.disks.items()} == {"vda": "incremental", "vdb": "full"}
    assert second.disks["vda"].base_id == "cp-1"
    assert cycle.last_read == {"vda": 4096, "vdb": 4096}
    new_id = cycle.restore(second, restore_name="copy")
    assert cycle.content(new_id) == cycle.content(cycle.guest.id)


def test_a_tracker_of_another_view_than_the_kept_data_is_not_used(cycle):
    first = cycle.protect("cp-1")
    key = (cycle.guest.id, cycle.scope, "cp-1")
    cycle.driver.trackers[key] = ("another", cycle.driver.trackers[key][1])
    second = cycle.protect("cp-2", [first])
    assert second.disks["vda"].mode == "full" and "another view" in second.disks["vda"].saved["why_full"]


def test_a_grown_disk_and_a_lost_base_are_read_in_full(cycle):
    first = cycle.protect("cp-1")
    cycle.driver.files["/images/a"] += bytes(4096)
    assert "size" in cycle.protect("cp-2", [first]).disks["vda"].saved["why_full"]
    again = Cycle()
    first = again.protect("cp-1")
    again.stored.clear()
    assert "gone" in again.protect("cp-2", [first]).disks["vda"].saved["why_full"]


def test_disks_left_out_are_said_so_and_not_restored(cycle):
    point = cycle.protect("cp-1", exclude_disks=" vdb , vdx")
    assert point.disks["vdb"].saved["excluded"] is True
    assert set(cycle.driver.guests[cycle.restore(point, restore_name="copy")].disks) == {"vda"}
    with pytest.raises(errors.InvalidInput):
        cycle.protect("cp-2", exclude_disks="vda,vdb")


def test_an_abandoned_protect_leaves_neither_view_nor_tracker(cycle):
    work = cycle.domain_work("cp-1")
    work.results["prepare_begin"] = cycle.domain.prepare_begin(work)
    assert cycle.domain.prepare_begin(work) == work.results["prepare_begin"]
    cycle.domain.abandon(work)
    cycle.domain.abandon(work)
    assert cycle.driver.captures == {} and cycle.driver.trackers == {}


def test_restore_in_place_needs_the_same_domain_stopped(cycle):
    point = cycle.protect("cp-1")
    with pytest.raises(errors.Conflict, match="running"):
        cycle.restore(point, new_uuid=False)
    cycle.guest.state = "shut off"
    old_paths = set(cycle.guest.disks.values())
    assert cycle.restore(point, new_uuid=False) == cycle.guest.id
    assert not old_paths & set(cycle.driver.guests[cycle.guest.id].disks.values())
    cycle.guest.state, cycle.driver.guests[cycle.guest.id] = "shut off", cycle.guest
    cycle.guest.project_id = "another"
    with pytest.raises(errors.Conflict):
        cycle.restore(point, new_uuid=False)


def test_a_name_that_is_taken_is_refused_before_anything_is_written(cycle):
    point, before = cycle.protect("cp-1"), dict(cycle.driver.files)
    with pytest.raises(errors.Conflict, match="restore_name"):
        try:
            cycle.restore(point)
        except errors.Conflict as fault:
            raise errors.Conflict(fault.operator_text()) from fault
    assert cycle.driver.files == before


def test_an_abandoned_restore_removes_what_it_made_and_nothing_else(cycle):
    point, before = cycle.protect("cp-1"), dict(cycle.driver.files)
    cycle.restore(point, restore_name="copy", abandon=True)
    assert cycle.driver.files == before and list(cycle.driver.guests) == [cycle.guest.id]
    cycle.guest.state = "shut off"
    cycle.restore(point, new_uuid=False, abandon="before define")
    assert cycle.driver.files == before and cycle.driver.guests == {cycle.guest.id: cycle.guest}


def overwriting(cycle, point, **options):
    return cycle.restore(point, new_uuid=False, overwrite_disks=True, **options)


def test_the_disks_of_a_stopped_guest_can_be_set_back_where_they_are(cycle):
    point, before = cycle.protect("cp-1"), dict(cycle.driver.files)
    cycle.write("vda", 4096, b"since then")
    cycle.write("vdb", 8192, bytes(4096))
    with pytest.raises(errors.Conflict, match="running"):
        overwriting(cycle, point)
    cycle.guest.state = "shut off"
    assert overwriting(cycle, point) == cycle.guest.id
    assert cycle.driver.files == before
    assert cycle.driver.guests == {cycle.guest.id: cycle.guest} and cycle.guest.state == "shut off"
    overwriting(cycle, point, start=True)
    assert cycle.guest.state == "running"


def test_disks_that_are_overwritten_outlive_a_failed_restore(cycle):
    point, before = cycle.protect("cp-1"), dict(cycle.driver.files)
    cycle.guest.state = "shut off"
    overwriting(cycle, point, abandon=True)
    assert cycle.driver.files == before and cycle.driver.guests == {cycle.guest.id: cycle.guest}


def test_disks_are_overwritten_by_those_of_their_size_and_format_only(cycle):
    point = cycle.protect("cp-1")
    cycle.guest.state = "shut off"
    for wrong in ({"restore_name": "copy"}, {"directory": "/restored"}, {"disk_format": "raw"}, {"new_uuid": True}):
        with pytest.raises(errors.InvalidInput):
            cycle.restore(point, **{"new_uuid": False, "overwrite_disks": True, **wrong})
    cycle.driver.files["/images/a"] += bytes(4096)
    cycle.guest.disks.pop("vdb")
    work = cycle.restore_work(point, new_uuid=False, overwrite_disks=True)
    conflicts = cycle.domain.restore_plan(work).conflicts
    assert ["vda" in conflicts[0].message, "vdb" in conflicts[1].message, len(conflicts)] == [True, True, 2]
    with pytest.raises(errors.Conflict, match="vda"):
        overwriting(cycle, point)


def test_the_format_of_restored_disks_can_be_chosen(cycle):
    new_id = cycle.restore(cycle.protect("cp-1"), restore_name="copy", disk_format="raw")
    assert cycle.driver.guests[new_id].raw == {"vda", "vdb"}


def test_domains_without_owner_are_seen_by_everybody_or_by_the_default_project(cycle):
    mine = make_guest(cycle.driver, "mine", project_id="p1")
    cycle.driver.guests[mine.id].disks.clear()

    def seen(project, default=""):
        return {resource.name for resource in DomainProtectable.list(cycle.protectable(default), project)}

    assert seen("p1") == {"web", "mine"} and seen("p2") == {"web"}
    assert seen("p1", "p2") == {"mine"} and seen("p2", "p2") == {"web"}
    with pytest.raises(errors.ResourceNotFound):
        cycle.protectable().get("p2", mine.id)
    assert cycle.protectable().get("p1", mine.id).extra_info == {"state": "running", "disks": 0}


def test_lists_of_domains_are_paged_in_order_of_id(cycle):
    for number in range(3):
        cycle.driver.add(MemoryDomain(f"g{number}", {}), {})
    ids = sorted(cycle.driver.guests)
    assert [found.id for found in cycle.protectable().list("p", after=ids[0], limit=2)] == ids[1:3]


def test_a_checkpoint_without_the_domain_is_damage(cycle):
    work = cycle.domain_work("cp-1")
    work.options = DomainProtection.Restore.parse({})
    with pytest.raises(errors.IntegrityError):
        cycle.domain.restore_prepare(work)


def test_options_and_saved_values_are_plain_leaves():
    for plugin in (DomainProtection, DiskProtection):
        for declared in (plugin.Protect, plugin.Restore, plugin.Saved):
            kinds = {entry["type"] for entry in declared.schema()["properties"].values()}
            assert kinds <= {"string", "integer", "boolean"}


NAMES = st.sampled_from([None, "web", "other", "new"])
STATES = st.sampled_from(["running", "shut off", "paused"])


@settings(max_examples=80)
@given(
    options=st.fixed_dictionaries(
        {
            "restore_name": NAMES,
            "new_uuid": st.booleans(),
            "keep_macs": st.booleans(),
            "directory": st.sampled_from([None, "/restored", "/full"]),
            "disk_format": st.sampled_from(["same", "qcow2", "raw"]),
            "overwrite_disks": st.booleans(),
        }
    ),
    state=STATES,
    owner=st.sampled_from(["", "a" * 32, "another"]),
    there=st.booleans(),
    renamed=st.booleans(),
)
def test_what_a_plan_finds_in_the_way_is_what_the_restore_refuses(options, state, owner, there, renamed):
    cycle = Cycle()
    point = cycle.protect("cp-1")
    make_guest(cycle.driver, "other")
    cycle.driver.files["/full/web-vda.qcow2"] = b""
    cycle.guest.state, cycle.guest.project_id = state, owner
    if renamed:
        cycle.guest.name = "renamed"
    if not there:
        cycle.driver.undefine(cycle.guest.id)
    before = (dict(cycle.driver.files), dict(cycle.driver.guests))
    work = cycle.restore_work(point, **options)
    plan = cycle.domain.restore_plan(work)
    assert (cycle.driver.files, cycle.driver.guests) == before
    try:
        decided = cycle.domain.restore_prepare(work)
    except errors.KarborError as refusal:
        assert (type(refusal), refusal.message) == (type(plan.conflicts[0]), plan.conflicts[0].message)
        return
    assert not plan.conflicts
    assert (decided["name"], decided["disks"]) == (plan.decided["name"], plan.decided["disks"])
    assert bool(plan.replaces) == (there and not options["new_uuid"]) == (not plan.creates)
    assert [entry["name"] for entry in (*plan.creates, *plan.replaces)] == [decided["name"]]
    new_id = cycle.restore(point, **options)
    assert (new_id == cycle.guest.id) == (not options["new_uuid"])
    assert {entry["place"] for entry in plan.keeps} <= cycle.driver.files.keys()


def test_kept_macs_are_worth_a_word_while_the_original_is_there(cycle):
    work = cycle.restore_work(cycle.protect("cp-1"), restore_name="copy", keep_macs=True)
    (warning,) = cycle.domain.restore_plan(work).warnings
    assert "MAC" in warning and "web" in warning
    cycle.guest.project_id = "another"
    assert not cycle.domain.restore_plan(work).warnings
    cycle.driver.undefine(cycle.guest.id)
    assert not cycle.domain.restore_plan(work).warnings

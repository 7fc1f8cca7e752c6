# SPDX-License-Identifier: Apache-2.0
"""Are servers frozen over all their snapshots, by a worker on their host, and always thawed again? Do their disks on
that host come back?

Real database, vault, worker and plug-ins; the cloud and the hypervisor are the ones in memory.
"""

import json
from contextlib import contextmanager
from dataclasses import replace

import pytest

from karbor.model import errors
from karbor.model.checkpoint import RECORD, CheckpointRecord
from karbor.plugins.resources.cloudtypes import PROJECT
from karbor.plugins.resources.host_volumes import FAILED
from karbor.plugins.resources.image import ImageProtectable
from karbor.plugins.resources.project import ProjectProtectable
from karbor.plugins.resources.project_protection import ProjectProtection
from karbor.plugins.resources.server import ServerProtectable
from karbor.plugins.resources.volume import VolumeProtectable
from karbor.plugins.resources.volume_data import VolumeDataProtection
from karbor.plugins.resources.volume_snapshot import VolumeSnapshotProtection
from karbor.protection.protectables import ProtectableRegistry
from karbor.protection.providers import Provider
from karbor.sdk.environment import Environment
from karbor.sdk.testing.memory_hypervisor import MemoryDomain, MemoryHypervisor
from tests.functional.test_cloud import SERVER, CloudHouse
from tests.functional.test_operations import PROVIDER, OneProvider

ROOT = b"root of web, as its host has it".ljust(8192, b"\0")
#: Ephemeral disks, by the name of the server.
SCRATCH = {name: f"scratch of {name}".encode().ljust(16384, b"\0") for name in ("web", "database")}
AS_IT_WAS = {
    "web": [ROOT, b"data of pages", SCRATCH["web"]],
    "database": [b"data of root", b"data of tables", SCRATCH["database"]],
}


class Impatient(MemoryHypervisor):
    """Thaws at once, as the watchdog of a real one does when its time is over."""

    def freeze(self, domain_id, token):
        found = super().freeze(domain_id, token)
        self.frozen.clear()
        return found


class Forgetful(MemoryHypervisor):
    """Loses the first view that somebody reads, as when a guest is stopped."""

    lost = 0

    @contextmanager
    def source(self, capture, target, *, full=False):
        if not self.lost:
            self.lost += 1
            raise errors.CaptureLost
        with super().source(capture, target, full=full) as found:
            yield found


def volumes_of(house, server):
    """What a host shows of the volumes of a server: paths, serials and contents by target."""
    attached = house.cloud.things["server"][server]["os-extended-volumes:volumes_attached"]
    serials = {f"vd{letter}": one["id"] for letter, one in zip("mno", attached, strict=False)}
    paths = {target: f"/volumes/{id_}" for target, id_ in serials.items()}
    return paths, serials, {target: house.cloud.contents[id_] for target, id_ in serials.items()}


class HostHouse(CloudHouse):
    """The worker is on the compute host of the servers, of which each has an ephemeral disk."""

    def __init__(self, root, driver, volumes=VolumeSnapshotProtection, **given):
        super().__init__(root, volumes, hypervisors={"libvirt": driver}, **given)
        self.driver = driver
        web, database = self.servers
        for id_, name, drives in ((web, "web", {"vda": ROOT}), (database, "database", {})):
            self.cloud.things["server"][id_]["flavor"]["ephemeral"] = 1
            paths = {**dict.fromkeys(drives, f"/instances/{id_}/disk"), "vdb": self.scratch(id_)}
            places, serials, contents = volumes_of(self, id_)
            guest = MemoryDomain(name, {**paths, **places}, id_, raw=frozenset(serials), serials=serials)
            driver.add(guest, {**drives, "vdb": SCRATCH[name], **contents})

    def scratch(self, server):
        """The image of the ephemeral disk of a server."""
        return f"/instances/{server}/disk.eph0"

    def saved(self, checkpoint):
        """What the record in the bank keeps of each server, by name."""
        found = self.vault.holder(self.project, RECORD, checkpoint.id).get_record(RECORD, checkpoint.id)
        names = {f"{SERVER}#{id_}": guest.name for id_, guest in self.driver.guests.items()}
        return {names[one.key]: one for one in CheckpointRecord.from_dict(found).resources if one.key in names}


def made(house):
    """What the cloud was asked for beside questions, but for logins."""
    return [call for call in house.cloud.calls if call[0] != "identity" and call[1] != "GET"]


@pytest.fixture
def house(tmp_path):
    running = HostHouse(tmp_path, MemoryHypervisor())
    yield running
    running.close()


def test_servers_are_frozen_over_all_their_snapshots(house):
    checkpoint = house.checkpoint()
    assert (checkpoint.status, checkpoint.consistency) == ("available", "filesystem"), checkpoint.reason
    assert sorted(house.driver.freezes) == sorted(house.servers) and house.driver.frozen == {}
    saved = house.saved(checkpoint)
    assert {name: one.consistency for name, one in saved.items()} == dict.fromkeys(("web", "database"), "filesystem")
    assert all(one.saved["frozen"] > 0 and one.saved["not_frozen"] == "" for one in saved.values())


def _comes_back(house, checkpoint):
    house.disaster()
    restore = house.restore_as_tenant(checkpoint.id)
    assert restore.status == "success", restore.resources_reason
    assert house.disks() == AS_IT_WAS
    return restore


def test_root_and_ephemeral_disks_come_back_as_the_host_had_them(house):
    restore = _comes_back(house, house.checkpoint())
    volumes = [key for key in restore.resources_status if key.startswith("OS::Cinder::Volume#")]
    assert len(volumes) == 3 + 2, "with those of the ephemeral disks"
    names = {one["name"] for one in house.cloud.things["volume"].values()}
    assert names >= {"web-eph0", "database-eph0"}
    assert house.driver.captures == {}


def test_volumes_are_read_on_the_host_at_the_same_instant_and_nothing_is_made_in_the_cloud(tmp_path):
    house = HostHouse(tmp_path, MemoryHypervisor(), VolumeDataProtection)
    try:
        house.cloud.calls.clear()
        checkpoint = house.checkpoint()
        assert (checkpoint.status, checkpoint.consistency) == ("available", "filesystem"), checkpoint.reason
        assert made(house) == []
        assert {one.saved["skew"] for one in house.saved(checkpoint).values()} == {0.0}
        assert house.driver.captures == house.driver.frozen == {}
        _comes_back(house, checkpoint)
    finally:
        house.close()


class WholeHouse(HostHouse):
    """What is protected is the project: volumes lie below it and below their servers."""

    def __init__(self, root, driver):
        super().__init__(root, driver, VolumeDataProtection)
        self.worker.stop(5)
        known, environment = self._parts.providers.get(PROVIDER), Environment("here", str(root))
        plugins = {type_: one for one in known.protections for type_ in one.resource_types}
        plugins[PROJECT] = ProjectProtection(ProjectProtection.Settings(), environment)
        provider = Provider(
            known.info, self.bank, plugins, dict.fromkeys(plugins, "sample"), open_vault=lambda _bank: self.vault
        )
        kinds = (ProjectProtectable, ServerProtectable, ImageProtectable, VolumeProtectable)
        seen = ProtectableRegistry([kind(kind.Settings(), environment) for kind in kinds])
        self._parts = replace(self._parts, providers=OneProvider(provider), protectables=seen)
        self.open()

    def plan(self, resources=None):
        return {**super().plan(), "resources": [{"type": PROJECT, "id": self.project, "name": "alpha"}]}


def _why_glance(house, checkpoint):
    """Of each volume of a checkpoint by its id."""
    with house.database.read() as rows:
        kept = rows.checkpoints.resources(checkpoint.id)
    volumes = (one for one in kept if one.key.startswith("OS::Cinder::Volume#"))
    return {one.key.split("#")[1]: one.saved["why_glance"] for one in volumes}


def test_of_a_whole_project_what_servers_use_is_read_on_the_host_and_the_rest_through_glance(tmp_path):
    house = WholeHouse(tmp_path, MemoryHypervisor())
    try:
        apart = house.cloud.volumes.add("alpha", "apart", b"used by none")
        house.cloud.calls.clear()
        checkpoint = house.checkpoint()
        assert checkpoint.status == "available", checkpoint.reason
        assert house.cloud.calls["block-storage", "POST", "/snapshots"] == 1
        why = _why_glance(house, checkpoint)
        assert why.pop(apart["id"]) == "no server uses it"
        assert list(why.values()) == ["", "", ""]
    finally:
        house.close()


def test_volumes_whose_view_is_lost_go_through_glance_in_the_next_attempt(tmp_path):
    house = WholeHouse(tmp_path, Forgetful())
    try:
        checkpoint = house.checkpoint()
        assert (checkpoint.status, house.driver.lost) == ("available", 1), checkpoint.reason
        assert list(_why_glance(house, checkpoint).values()) == [FAILED] * 3
        assert house.driver.captures == {}
    finally:
        house.close()


def test_ephemeral_disks_come_back_where_there_is_no_heat(tmp_path):
    house = HostHouse(tmp_path, MemoryHypervisor(), without=("orchestration",))
    try:
        _comes_back(house, house.checkpoint())
    finally:
        house.close()


def test_of_disks_on_the_host_only_what_changed_is_read_the_next_time(house):
    house.checkpoint()
    path = house.scratch(house.servers[0])
    house.driver.files[path] = house.driver.files[path][:4096] + b"n" * 4096 + bytes(8192)
    second = house.checkpoint()
    saved = house.saved(second)["web"]
    assert (second.mode, saved.mode) == ("incremental", "incremental")
    assert second.sizes.read == 4096
    house.disaster()
    assert house.restore_as_tenant(second.id).status == "success"
    assert house.disks()["web"][2] == house.driver.files[path]


def test_a_view_that_is_lost_is_made_anew_by_another_attempt(tmp_path):
    house = HostHouse(tmp_path, Forgetful())
    try:
        checkpoint = house.checkpoint()
        assert (checkpoint.status, house.driver.lost) == ("available", 1), checkpoint.reason
        assert house.driver.captures == {} and {key[2] for key in house.driver.trackers} == {checkpoint.id}
        _comes_back(house, checkpoint)
    finally:
        house.close()


def test_a_restore_that_fails_leaves_no_volume_of_an_ephemeral_disk(house):
    checkpoint = house.checkpoint()
    before = set(house.cloud.things["volume"])
    house.cloud.quotas["server"] = 1
    restore = house.restore_as_tenant(checkpoint.id)
    assert restore.status == "fail" and "Quota exceeded" in json.dumps(dict(restore.resources_reason))
    assert set(house.cloud.things["volume"]) == before
    assert not [one for one in house.cloud.things["image"].values() if one["name"].startswith("karbor")]


def test_a_guest_that_was_thawed_too_early_makes_a_crash_copy_that_says_why(tmp_path):
    house = HostHouse(tmp_path, Impatient())
    try:
        checkpoint = house.checkpoint()
        assert (checkpoint.status, checkpoint.consistency) == ("available", "crash"), checkpoint.reason
        assert "thawed before" in house.saved(checkpoint)["web"].saved["not_frozen"]
    finally:
        house.close()


def test_a_snapshot_that_fails_leaves_no_guest_frozen(house):
    house.cloud.fail("block-storage", "POST", "/snapshots$", 400, times=1000)
    checkpoint = house.checkpoint()
    assert checkpoint.status == "error"
    assert house.driver.freezes and house.driver.frozen == {}
    assert house.driver.captures == house.driver.trackers == {}

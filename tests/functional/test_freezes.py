# SPDX-License-Identifier: Apache-2.0
"""Are servers frozen over all their snapshots, by a worker on their host, and always thawed again?

Real database, vault, worker and plug-ins; the cloud and the hypervisor are the ones in memory.
"""

import pytest

from karbor.model.checkpoint import RECORD, CheckpointRecord
from karbor.plugins.resources.volume_snapshot import VolumeSnapshotProtection
from karbor.sdk.testing.memory_hypervisor import MemoryDomain, MemoryHypervisor
from tests.functional.test_cloud import SERVER, CloudHouse

ROOT = b"root of web, as its host has it".ljust(8192, b"\0")


class Impatient(MemoryHypervisor):
    """Thaws at once, as the watchdog of a real one does when its time is over."""

    def freeze(self, domain_id, token):
        found = super().freeze(domain_id, token)
        self.frozen.clear()
        return found


class HostHouse(CloudHouse):
    """The worker is on the compute host of the servers."""

    def __init__(self, root, driver):
        super().__init__(root, VolumeSnapshotProtection, hypervisors={"libvirt": driver})
        self.driver = driver
        web, database = self.servers
        driver.add(MemoryDomain("web", {"vda": f"/instances/{web}/disk"}, web), {"vda": ROOT})
        driver.add(MemoryDomain("database", {}, database), {})

    def saved(self, checkpoint):
        """What the record in the bank keeps of each server, by name."""
        found = self.vault.holder(self.project, RECORD, checkpoint.id).get_record(RECORD, checkpoint.id)
        names = {f"{SERVER}#{id_}": guest.name for id_, guest in self.driver.guests.items()}
        return {names[one.key]: one for one in CheckpointRecord.from_dict(found).resources if one.key in names}


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


def test_the_root_disk_comes_back_as_the_host_had_it(house):
    checkpoint = house.checkpoint()
    house.disaster()
    restore = house.restore_as_tenant(checkpoint.id)
    assert restore.status == "success", restore.resources_reason
    assert house.disks()["web"] == [ROOT, b"data of pages"]


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

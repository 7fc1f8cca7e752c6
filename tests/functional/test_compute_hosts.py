# SPDX-License-Identifier: Apache-2.0
"""Are servers frozen and read by the workers on their compute hosts, whichever worker has the job?

Real database, vault, workers and plug-ins; the cloud and the hypervisors are the ones in memory. The job is done by a
worker on a host without a hypervisor; each server is on a compute host of its own.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from karbor.common.clock import Clock
from karbor.model.checkpoint import RECORD, CheckpointRecord
from karbor.model.service import WORKER
from karbor.plugins.resources.volume_data import VolumeDataProtection
from karbor.plugins.resources.volume_snapshot import VolumeSnapshotProtection
from karbor.protection.hosts import Hosts
from karbor.protection.hostwork import HostWork
from karbor.protection.providers import Provider
from karbor.sdk.environment import Environment
from karbor.sdk.testing.memory_hypervisor import MemoryDomain, MemoryHypervisor
from karbor.vault.keys import MasterKey
from karbor.vault.vault import Vault
from tests.functional.test_cloud import SERVER, CloudHouse
from tests.functional.test_freezes import AS_IT_WAS, ROOT, SCRATCH, made, volumes_of
from tests.functional.test_operations import PROVIDER, OneProvider

SECONDS = 60


class ComputeHost:
    """A worker that has one server, and does nothing but what needs it."""

    def __init__(self, house, name, root, server_id, server, drives):
        self.name, self.driver = name, MemoryHypervisor()
        scratch = f"/instances/{server_id}/disk.eph0"
        paths = {**dict.fromkeys(drives, f"/instances/{server_id}/disk"), "vdb": scratch}
        places, serials, contents = volumes_of(house, server_id)
        guest = MemoryDomain(server, {**paths, **places}, server_id, raw=frozenset(serials), serials=serials)
        self.driver.add(guest, {**drives, "vdb": SCRATCH[server], **contents})
        environment = Environment(name, str(root), hypervisors={"libvirt": self.driver})
        known = house._parts.providers.get(PROVIDER)
        made = [type(plugin)(plugin.settings, environment) for plugin in known.protections]
        plugins = {type_: plugin for plugin in made for type_ in plugin.resource_types}
        key = MasterKey(b"k" * 32)
        self.vault = Vault(house.bank, master_key=key, cache_dir=root / f"cache-{name}", clock=Clock())
        provider = Provider(
            known.info, house.bank, plugins, dict.fromkeys(plugins, "sample"), open_vault=lambda _bank: self.vault
        )
        self.executor = ThreadPoolExecutor(2)
        parts = replace(house._parts, providers=OneProvider(provider))
        self.work = HostWork(parts, self.executor, host=name, owner=name, lease=5, poll=0.05)
        self.work.start()

    def close(self):
        self.work.stop(5)
        self.executor.shutdown()
        self.vault.close()


class Spread(CloudHouse):
    """Two servers on two compute hosts; the worker is on neither."""

    def __init__(self, root, volumes=VolumeSnapshotProtection):
        super().__init__(root, volumes)
        self.worker.stop(5)
        hosts = Hosts(self.database, "here", Clock(), down=SECONDS, lease=5, begin=SECONDS)
        self._parts = replace(self._parts, hosts=hosts)
        self.open()
        self.hosts = {}
        for id_, name, drives in ((self.servers[0], "web", {"vda": ROOT}), (self.servers[1], "database", {})):
            host = f"compute-{name}"
            server = self.cloud.things["server"][id_]
            server["flavor"]["ephemeral"] = 1
            server["hostId"] = hashlib.sha224(f"{server['tenant_id']}{host}".encode()).hexdigest()
            self.hosts[name] = ComputeHost(self, host, root, id_, name, drives)
            with self.database.write() as rows:
                rows.services.heartbeat(binary=WORKER, host=host)

    def saved(self, checkpoint):
        """What the record in the bank keeps of each server, by name."""
        found = self.vault.holder(self.project, RECORD, checkpoint.id).get_record(RECORD, checkpoint.id)
        kept = {one.key: one for one in CheckpointRecord.from_dict(found).resources}
        return {name: kept[f"{SERVER}#{id_}"] for id_, name in zip(self.servers, ("web", "database"), strict=True)}

    def close(self):
        for host in self.hosts.values():
            host.close()
        super().close()


@pytest.fixture
def house(tmp_path):
    running = Spread(tmp_path)
    yield running
    running.close()


def test_each_server_is_frozen_and_read_on_its_own_host_and_all_comes_back(house):
    checkpoint = house.checkpoint()
    assert (checkpoint.status, checkpoint.consistency) == ("available", "filesystem"), checkpoint.reason
    for number, host in enumerate(house.hosts.values()):
        assert host.driver.freezes == [house.servers[number]]
        assert host.driver.frozen == {} == host.driver.captures
    assert all(one.saved["not_frozen"] == "" == one.saved["not_kept"] for one in house.saved(checkpoint).values())
    house.disaster()
    restore = house.restore_as_tenant(checkpoint.id)
    assert restore.status == "success", restore.resources_reason
    assert house.disks() == AS_IT_WAS


def test_volumes_are_read_on_the_hosts_of_their_servers_or_through_glance_where_that_is_gone(tmp_path):
    house = Spread(tmp_path, VolumeDataProtection)
    try:
        house.cloud.calls.clear()
        checkpoint = house.checkpoint()
        assert (checkpoint.status, checkpoint.consistency) == ("available", "filesystem"), checkpoint.reason
        assert made(house) == []
        with house.database.write() as rows:
            (service,) = rows.services.list(host="compute-web")
            rows.services.set_enabled(service.id, False)
        again = house.checkpoint()
        assert (again.status, again.consistency) == ("available", "crash"), again.reason
        snapshots = house.cloud.calls["block-storage", "POST", "/snapshots"]
        assert snapshots == 1, "of the volume whose host is gone"
        for checkpoint_id in (checkpoint.id, again.id):
            house.disaster()
            house.cloud.things["volume"].clear()
            restore = house.restore_as_tenant(checkpoint_id)
            assert restore.status == "success", restore.resources_reason
        assert house.disks()["database"][:2] == AS_IT_WAS["database"][:2]
    finally:
        house.close()


def test_the_next_checkpoint_holds_what_changed(house):
    house.checkpoint()
    again = house.checkpoint()
    assert (again.status, again.mode) == ("available", "incremental"), again.reason
    assert again.sizes.read < len(ROOT)


def test_a_server_whose_host_is_gone_is_kept_as_far_as_that_goes_without(house):
    with house.database.write() as rows:
        (service,) = rows.services.list(host="compute-web")
        rows.services.set_enabled(service.id, False)
    checkpoint = house.checkpoint()
    assert (checkpoint.status, checkpoint.consistency) == ("available", "crash"), checkpoint.reason
    saved = house.saved(checkpoint)
    assert saved["web"].saved["not_frozen"] and saved["web"].saved["not_kept"]
    assert saved["database"].saved["not_frozen"] == "" == saved["database"].saved["not_kept"]


def test_what_fails_in_the_cloud_leaves_no_guest_frozen_on_any_host(house):
    house.cloud.fail("block-storage", "POST", "/snapshots$", 400, times=1000)
    checkpoint = house.checkpoint()
    assert checkpoint.status == "error"
    for host in house.hosts.values():
        assert host.driver.frozen == {} == host.driver.captures

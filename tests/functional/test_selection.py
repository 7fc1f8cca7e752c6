# SPDX-License-Identifier: Apache-2.0
"""Is what a plan chooses found anew at each run, and does the checkpoint say what that was and why?"""

import pytest

from karbor.model.checkpoint import CheckpointRecord
from karbor.plugins.resources.libvirt_disk import DiskProtectable
from karbor.plugins.resources.libvirt_domain import DomainProtectable
from karbor.plugins.resources.volume_snapshot import VolumeSnapshotProtection
from karbor.protection.protectables import ProtectableRegistry
from karbor.sdk.environment import Environment
from karbor.sdk.testing.memory_hypervisor import MemoryDomain, MemoryHypervisor
from tests.functional.test_cloud import SERVER, CloudHouse


class ChoosingHouse(CloudHouse):
    """The plan of its tenant chooses what has the tag."""

    def plan(self, resources=None):
        return {**super().plan(), "resources": [], "selection": [{"type": SERVER, "tags": ["db"]}]}


@pytest.fixture
def house(tmp_path):
    running = ChoosingHouse(tmp_path, VolumeSnapshotProtection)
    yield running
    running.close()


def _servers(checkpoint):
    return {entry["id"] for entry in checkpoint.chosen["resources"]}


def test_a_new_server_joins_by_itself_and_the_checkpoint_says_why(house):
    web, database = house.servers
    house.cloud.things["server"][web]["tags"] = ["db"]
    first = house.checkpoint()
    assert first.status == "available" and _servers(first) == {web}
    new = house.cloud.compute.add("alpha", "another", tags=["db"])
    second = house.checkpoint()
    assert second.status == "available" and _servers(second) == {web, new["id"]}
    (shown,) = [entry for entry in second.chosen["resources"] if entry["id"] == new["id"]]
    assert shown == {"type": SERVER, "id": new["id"], "name": "another", "reasons": ["tag=db"]}
    assert database not in _servers(second)


def test_the_record_in_the_bank_says_it_too(house):
    house.cloud.things["server"][house.servers[0]]["tags"] = ["db"]
    checkpoint = house.checkpoint()
    domain = house.vault.holder(house.project, "checkpoint", checkpoint.id)
    record = CheckpointRecord.from_dict(domain.get_record("checkpoint", checkpoint.id))
    assert record.chosen == checkpoint.chosen
    assert record.plan["selection"] == [{"type": SERVER, "tags": ["db"]}]


def test_a_run_that_finds_nothing_fails_and_says_what_it_looked_for(house):
    checkpoint = house.checkpoint()
    assert checkpoint.status == "error"
    assert "There is nothing that the plan chooses: OS::Nova::Server with tag=db" in checkpoint.reason.cause
    assert "tag" in checkpoint.reason.next_action


def test_guests_of_a_host_are_chosen_by_their_names(tmp_path):
    hypervisor = MemoryHypervisor()
    for name in ("web-1", "web-2", "db"):
        hypervisor.add(MemoryDomain(name, {"vda": f"/{name}"}), {"vda": b"disk"})
    environment = Environment("here", str(tmp_path), hypervisors={"libvirt": hypervisor})
    found = [kind(kind.Settings(), environment) for kind in (DomainProtectable, DiskProtectable)]
    plan = {"resources": [], "selection": [{"type": "Libvirt::Domain", "name": "web-*"}]}
    chosen = ProtectableRegistry(found).choose("p", plan)
    assert sorted(one.name for one in chosen.roots) == ["web-1", "web-2"]
    assert len(ProtectableRegistry(found).graph_below("p", chosen.roots)) == 4

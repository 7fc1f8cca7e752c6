# SPDX-License-Identifier: Apache-2.0
"""Does an application come back in another project, by a mapping, and is what cannot be named before anything is built?

The world of test_cloud.py, with networks; the cloud is the one in memory.
"""

import json
import uuid
from dataclasses import replace

import pytest

from karbor.clients.openstack import CloudSettings
from karbor.common.clock import Clock
from karbor.model.restore import Restore
from karbor.plugins.resources.volume_data import VolumeDataProtection
from karbor.protection.clouds import Clouds
from karbor.protection.restoreplan import plan_restore
from karbor.sdk.testing.memorycloud import MemoryCloud
from tests.functional.test_cloud import AS_IT_WAS, CloudHouse
from tests.functional.test_operations import PROVIDER

MAPPING = "OS::Karbor::Mapping"


class InProject:
    """Whoever has the trust is let into one project of one cloud."""

    def __init__(self, cloud, project):
        self._cloud, self._project = cloud, project

    def session_for_trust(self, trust_id):
        return self._cloud.session(self._project)


class MovingHouse(CloudHouse):
    """Its tenant has another project, with a network of the same addresses."""

    def __init__(self, root):
        super().__init__(root, VolumeDataProtection)
        self.other = self.cloud.project("other")
        self.net = self.cloud.networks.add("other", "networks", name="mine")
        self.subnet = self.cloud.networks.add("other", "subnets", network_id=self.net["id"], cidr="10.1.0.0/24")
        (self.old_net,) = [one for one in self.cloud.things["network"].values() if one["name"] == "inner"]

    def move(self, cloud, project):
        """From here on, work is done in that project."""
        self.worker.stop(5)
        self._parts = replace(self._parts, clouds=Clouds(InProject(cloud, project), CloudSettings()))
        self.open()

    def open_site(self, site):
        """From here on, a sealed login leads to the project ``far`` of another cloud."""
        self.worker.stop(5)
        self.asked = []

        def log_in(purpose, sealed):
            self.asked.append((purpose, sealed))
            return site.session("far"), {}

        clouds = Clouds(InProject(self.cloud, "alpha"), CloudSettings(), log_in)
        self._parts = replace(self._parts, clouds=clouds)

    def booked_elsewhere(self, checkpoint_id, mapping, *, sealed="sealed"):
        """A restore into another cloud, as the API books it; nobody works yet."""
        restore = Restore(
            str(uuid.uuid4()),
            self.project,
            PROVIDER,
            checkpoint_id,
            parameters={MAPPING: mapping},
            restore_target="http://site.invalid/v3",
        )
        job_id = self.book("restore", checkpoint_id=checkpoint_id, restore=restore)
        with self.database.write() as rows:
            rows.connection.exec_driver_sql("UPDATE jobs SET trust_id = NULL")
            if sealed:
                rows.restores.keep_login(restore.id, sealed)
        return restore.id, job_id

    def told(self, checkpoint_id, mapping, cloud=None, project="other"):
        """What a dry run there tells."""
        tenant = (cloud or self.cloud).open(project)
        return plan_restore(
            self._parts.providers.get(PROVIDER),
            project_id=self.project,
            checkpoint_id=checkpoint_id,
            parameters={MAPPING: mapping},
            clock=Clock(),
            open_cloud=lambda: tenant,
        )

    def of(self, project, kind):
        return self.cloud.of_project(kind, self.cloud.project(project))


@pytest.fixture
def house(tmp_path):
    running = MovingHouse(tmp_path)
    yield running
    running.close()


def in_the_way(plan):
    return {(one["type"], one["id"]): one for one in plan["conflicts"]}


def test_an_application_comes_back_in_another_project_by_a_mapping(house):
    checkpoint = house.checkpoint()
    house.disaster()
    mapping = {"network": {"inner": "mine"}, "names": {"*": "recovered-*"}}
    plan = house.told(checkpoint.id, mapping)
    assert plan["conflicts"] == []
    assert "recovered-web" in {one["name"] for one in plan["creates"]}
    house.move(house.cloud, "other")
    restore = house.restore_as_tenant(checkpoint.id, {MAPPING: mapping})
    assert restore.status == "success", restore.resources_reason
    assert house.disks() == {f"recovered-{name}": disks for name, disks in AS_IT_WAS.items()}
    assert {one["name"] for one in house.of("other", "server")} == {"recovered-web", "recovered-database"}
    assert {one["name"] for one in house.of("other", "volume")} >= {"recovered-pages", "recovered-tables"}
    ports = house.of("other", "port")
    assert {port["network_id"] for port in ports} == {house.net["id"]}
    assert {at["subnet_id"] for port in ports for at in port["fixed_ips"]} == {house.subnet["id"]}
    assert not house.of("alpha", "server")


def test_a_dry_run_names_everything_that_leads_nowhere_and_the_restore_builds_nothing(house):
    for volume in house.cloud.things["volume"].values():
        volume.update(volume_type="fast" if volume["name"] == "pages" else "rbd")
    for server in house.cloud.things["server"].values():
        server["OS-EXT-AZ:availability_zone"] = "north"
    checkpoint = house.checkpoint()
    house.disaster()
    house.cloud.choices["volume_type"] = {"rbd", "slow"}
    mapping = {"flavor": {"m1.nano": "m9.gone"}, "keypair": {"never": ""}}
    plan = house.told(checkpoint.id, mapping)
    reasons = [one["reason"] for one in plan["conflicts"]]
    assert in_the_way(plan)[MAPPING, "flavor/m1.nano"]["reason"].endswith("there is none of that id or name.")
    assert "There is no volume type 'fast' here." in reasons
    assert "There is no availability zone 'north' here." in reasons
    assert "web needs the network inner, which is not here" in " ".join(reasons)
    advice = " ".join(one["next_action"] for one in plan["conflicts"])
    for entry in ("volume_type", "fast"), ("availability_zone", "north"), ("network", "inner"):
        assert json.dumps({entry[0]: {entry[1]: "..."}}) in advice
    assert plan["template"] is None
    assert [one["id"] for one in plan["warnings"] if one["type"] == MAPPING] == ["keypair/never"]

    before = {kind: set(things) for kind, things in house.cloud.things.items()}
    house.move(house.cloud, "other")
    restore = house.restore_as_tenant(checkpoint.id, {MAPPING: mapping})
    assert restore.status == "fail"
    for one in plan["conflicts"]:
        assert one["reason"] in restore.resources_reason[f"{one['type']}#{one['id']}"]
    assert {kind: set(things) for kind, things in house.cloud.things.items()} == before

    mapping = {
        "volume_type": {"fast": "slow"},
        "availability_zone": {"*": ""},
        "network": {"*": house.net["id"]},
    }
    plan = house.told(checkpoint.id, mapping)
    assert plan["conflicts"] == []
    assert [one["id"] for one in plan["warnings"] if one["type"] == MAPPING] == []
    assert len(plan["template"]["resources"]) > 2


@pytest.fixture
def site():
    """Another cloud, in which things have other names."""
    cloud = MemoryCloud()
    cloud.choices.update(volume_type={"ceph"}, volume_zone={"west"}, server_zone={"west"})
    cloud.compute.flavor("large", ram=4096, vcpus=4, disk=40)
    cloud.compute.flavor("small", ram=128, vcpus=1, disk=5)
    net = cloud.networks.add("far", "networks", name="lan")
    cloud.networks.add("far", "subnets", network_id=net["id"], cidr="192.168.7.0/24")
    return cloud


def test_an_application_comes_back_in_another_cloud_and_its_login_is_gone_then(house, site):
    checkpoint = house.checkpoint()
    mapping = {
        "volume_type": {"rbd": "ceph"},
        "availability_zone": {"nova": "west"},
        "network": {house.old_net["id"]: "lan"},
    }
    assert house.told(checkpoint.id, mapping, site, "far")["conflicts"] == []
    before = {kind: set(things) for kind, things in house.cloud.things.items()}
    house.open_site(site)
    restore_id, job_id = house.booked_elsewhere(checkpoint.id, mapping)
    house.open()
    house.ended(job_id)
    with house.database.read() as rows:
        restore, login = rows.restores.get(restore_id), rows.restores.login(restore_id)
    assert (restore.status, login) == ("success", None), restore.resources_reason
    assert set(house.asked) == {(restore_id, "sealed")}
    assert {kind: set(things) for kind, things in house.cloud.things.items()} == before
    servers = site.of_project("server", site.project("far"))
    assert {one["flavor"]["original_name"] for one in servers} == {"small"}
    assert {one["volume_type"] for one in site.of_project("volume", site.project("far"))} == {"ceph"}
    house.cloud = site
    assert house.disks() == AS_IT_WAS


def test_a_restore_into_another_cloud_never_goes_into_this_one(house, site):
    checkpoint = house.checkpoint()
    before = {kind: set(things) for kind, things in house.cloud.things.items()}
    house.open_site(site)
    restore_id, job_id = house.booked_elsewhere(checkpoint.id, {}, sealed="")
    house.open()
    assert house.ended(job_id).state == "failed"
    with house.database.read() as rows:
        assert rows.restores.get(restore_id).status == "fail"
    assert {kind: set(things) for kind, things in house.cloud.things.items()} == before

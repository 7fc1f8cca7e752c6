# SPDX-License-Identifier: Apache-2.0
"""Does an application in a cloud come back whole: protected, deleted entirely, restored through Heat?

Real database, vault, worker and plug-ins; the cloud is the one in memory, spoken to over HTTP.
"""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
import yaml
from cryptography.fernet import Fernet

from karbor.clients.openstack import CloudSettings
from karbor.clients.sealedlogins import LoginSeal
from karbor.clients.sealedparameters import sealed
from karbor.common.clock import Clock
from karbor.common.retrying import Policy
from karbor.db.database import Database
from karbor.model.checkpoint import Checkpoint
from karbor.model.operation import Job, OperationLog
from karbor.model.provider import ProviderInfo
from karbor.model.restore import Restore
from karbor.plugins.resources.image import ImageProtectable
from karbor.plugins.resources.image_data import ImageDataProtection
from karbor.plugins.resources.server import ServerProtectable
from karbor.plugins.resources.server_protection import ServerProtection
from karbor.plugins.resources.volume import VolumeProtectable
from karbor.plugins.resources.volume_backup import VolumeBackupProtection
from karbor.plugins.resources.volume_data import VolumeDataProtection
from karbor.plugins.resources.volume_snapshot import VolumeSnapshotProtection
from karbor.protection.clouds import Clouds
from karbor.protection.operation import Parts
from karbor.protection.protectables import ProtectableRegistry
from karbor.protection.providers import Provider
from karbor.sdk.environment import Environment
from karbor.sdk.testing.memory_bank import MemoryBank
from karbor.sdk.testing.memorycloud import MemoryCloud
from karbor.vault.keys import MasterKey
from karbor.vault.vault import Vault
from tests.functional.test_operations import PROVIDER, House, OneProvider

SERVER = "OS::Nova::Server"
VOLUMES = [VolumeDataProtection, VolumeBackupProtection, VolumeSnapshotProtection]


class TrustsOfMemory:
    """Whoever has a trust of the one tenant is let into its cloud."""

    def __init__(self, cloud):
        self._cloud = cloud

    def session_for_trust(self, trust_id):
        assert trust_id == "trust"
        return self._cloud.session("alpha")


class CloudHouse(House):
    """A worker with a cloud in which a tenant has an application of two servers."""

    def __init__(self, root, volumes, *, without=(), hypervisors=None):
        self.cloud = MemoryCloud(without=without)
        self.project = self.cloud.project("alpha")
        clock, environment = Clock(), Environment("here", str(root), hypervisors=hypervisors or {})
        plugins = [
            plugin(plugin.Settings(), environment) for plugin in (ServerProtection, ImageDataProtection, volumes)
        ]
        by_type = {type_: plugin for plugin in plugins for type_ in plugin.resource_types}
        self.bank = MemoryBank(MemoryBank.Settings())
        self.bank.initialise()
        self.vault = Vault(self.bank, master_key=MasterKey(b"k" * 32), cache_dir=root / "cache", clock=clock)
        provider = Provider(
            ProviderInfo(PROVIDER, "cloud", acts_in_cloud=True),
            self.bank,
            by_type,
            dict.fromkeys(by_type, "sample"),
            open_vault=lambda _bank: self.vault,
        )
        found = [p(p.Settings(), environment) for p in (ServerProtectable, ImageProtectable, VolumeProtectable)]
        self.database = Database(f"sqlite:///{root}/db.sqlite", clock=clock)
        self.database.upgrade()
        settings = CloudSettings(retries=Policy(attempts=5, backoff=0.05))
        self.key = Fernet.generate_key()
        self.seal = LoginSeal([self.key])
        clouds = Clouds(TrustsOfMemory(self.cloud), settings, secrets=self.seal.open)
        self._parts = Parts(self.database, OneProvider(provider), ProtectableRegistry(found), clock, clouds)
        self.executor = ThreadPoolExecutor(2)
        self.open()
        self._application()

    def _application(self):
        cloud = self.cloud
        image = cloud.images.add("alpha", "base", b"as published", min_disk=1)
        net = cloud.networks.add("alpha", "networks", name="inner")
        cloud.networks.add("alpha", "subnets", network_id=net["id"], cidr="10.1.0.0/24")
        web = cloud.compute.add("alpha", "web", image=image, metadata={"role": "front"})
        cloud.contents[web["id"]] = b"root of web, as used"
        database = cloud.compute.add("alpha", "database")
        for server, names in ((web, ["pages"]), (database, ["root", "tables"])):
            for name in names:
                cloud.volumes.add("alpha", name, f"data of {name}".encode(), server=server, bootable=name == "root")
            cloud.networks.add("alpha", "ports", network_id=net["id"], device_id=server["id"])
        self.servers = [web["id"], database["id"]]

    def plan(self, resources=None):
        roots = [{"type": SERVER, "id": id_, "name": "s"} for id_ in self.servers]
        return {"id": str(uuid.uuid4()), "name": "app", "provider_id": PROVIDER, "resources": roots, "parameters": {}}

    def book(self, operation, *, checkpoint_id, restore=None, plan=None):
        """As in House, for the tenant and with the trust that the API would have made."""
        job_id = str(uuid.uuid4())
        with self.database.write() as rows:
            if plan is not None:
                now = datetime.now(UTC)
                rows.checkpoints.create(
                    Checkpoint(checkpoint_id, self.project, PROVIDER, plan["id"], plan, created_at=now)
                )
            if operation == "delete":
                rows.checkpoints.transition(checkpoint_id, "deleting")
            if restore is not None:
                rows.restores.create(restore)
            rows.operation_logs.create(OperationLog(job_id, self.project, operation))
            restore_id = restore.id if restore else None
            job = Job(job_id, operation, self.project, PROVIDER, checkpoint_id=checkpoint_id, restore_id=restore_id)
            rows.jobs.create(job)
            rows.connection.exec_driver_sql("UPDATE jobs SET trust_id = 'trust'")
        self.worker.wake()
        return job_id

    def restore_as_tenant(self, checkpoint_id, parameters=None):
        """Have it restored; the row as it ended. Secrets among the parameters are sealed, as the API does."""
        id_ = str(uuid.uuid4())
        given = sealed(parameters or {}, id_, self.seal)
        restore = Restore(id_, self.project, PROVIDER, checkpoint_id, parameters=given)
        self.ask("restore", checkpoint_id=checkpoint_id, restore=restore)
        with self.database.read() as rows:
            return rows.restores.get(restore.id)

    def disaster(self):
        """Servers, their ports and volumes are gone, and the image too."""
        for kind in ("server", "port", "image"):
            self.cloud.things[kind].clear()
        kept = {one["volume_id"] for one in self.cloud.things["volume_snapshot"].values()}
        for id_ in list(self.cloud.things["volume"]):
            if id_ not in kept:
                del self.cloud.things["volume"][id_]

    def disks(self):
        """The content of every disk by the name of its server, root first."""
        found = {}
        for server in self.cloud.things["server"].values():
            root = [self.cloud.contents[server["image"]["id"]]] if server["image"] else []
            attached = [one["id"] for one in server["os-extended-volumes:volumes_attached"]]
            found[server["name"]] = root + [self.cloud.contents[id_] for id_ in attached]
        return found

    def left_over(self):
        """How much of each kind of passing thing is in the cloud."""
        return {kind: len(self.cloud.things[kind]) for kind in ("image", "volume_snapshot", "backup", "stack")}


@pytest.fixture(params=VOLUMES, ids=lambda plugin: plugin.__name__)
def house(request, tmp_path):
    running = CloudHouse(tmp_path, request.param)
    yield running
    running.close()


@pytest.fixture
def vault_house(tmp_path):
    running = CloudHouse(tmp_path, VolumeDataProtection)
    yield running
    running.close()


@pytest.fixture(params=VOLUMES, ids=lambda plugin: plugin.__name__)
def house_without_heat(request, tmp_path):
    running = CloudHouse(tmp_path, request.param, without=("orchestration",))
    yield running
    running.close()


AS_IT_WAS = {
    "web": [b"root of web, as used", b"data of pages"],
    "database": [b"data of root", b"data of tables"],
}


def protected(house):
    checkpoint = house.checkpoint()
    assert checkpoint.status == "available", checkpoint.reason
    return checkpoint


def _comes_back(house):
    """The application that was lost, with every disk."""
    checkpoint = protected(house)
    house.disaster()
    restore = house.restore_as_tenant(checkpoint.id)
    assert restore.status == "success", restore.resources_reason
    assert house.disks() == AS_IT_WAS
    shown = {key.split("#")[0] for key in restore.resources_status}
    assert shown >= {SERVER, "OS::Cinder::Volume", "OS::Glance::Image"}
    assert set(restore.resources_status.values()) == {"available"}


def test_a_lost_application_comes_back_with_every_disk(house):
    _comes_back(house)


def test_a_lost_application_comes_back_where_there_is_no_heat(house_without_heat):
    _comes_back(house_without_heat)


def test_without_heat_a_restore_that_cannot_be_built_is_explained_and_undone(house_without_heat):
    house = house_without_heat
    checkpoint = protected(house)
    before = {kind: set(things) for kind, things in house.cloud.things.items()}
    house.cloud.quotas["server"] = 3
    restore = house.restore_as_tenant(checkpoint.id)
    assert restore.status == "fail"
    assert "Quota exceeded for instances" in json.dumps(dict(restore.resources_reason))
    left = {kind: set(things) for kind, things in house.cloud.things.items() if kind != "flavor"}
    assert left == {kind: ids for kind, ids in before.items() if kind != "flavor"}


def test_whoever_insists_on_heat_is_refused_before_anything_is_built(tmp_path):
    house = CloudHouse(tmp_path, VolumeDataProtection, without=("orchestration",))
    try:
        checkpoint = protected(house)
        house.cloud.calls.clear()
        restore = house.restore_as_tenant(checkpoint.id, {"OS::Heat::Stack": {"engine": "heat"}})
        assert restore.status == "fail"
        assert "This cloud has no Heat" in json.dumps(dict(restore.resources_reason))
        asked = {method for (service, method, _path) in house.cloud.calls if service != "identity"}
        assert asked <= {"GET"}
    finally:
        house.close()


def test_deleting_the_checkpoint_leaves_nothing_of_it_in_the_cloud(house):
    before = house.left_over()
    checkpoint = protected(house)
    house.ask("delete", checkpoint_id=checkpoint.id)
    assert house.left_over() == before


def test_a_restore_that_heat_cannot_build_is_explained_and_undone(house):
    checkpoint = protected(house)
    before = {kind: set(things) for kind, things in house.cloud.things.items()}
    house.cloud.quotas["server"] = 1
    restore = house.restore_as_tenant(checkpoint.id)
    assert restore.status == "fail"
    assert "Quota exceeded for instances" in json.dumps(dict(restore.resources_reason))
    left = {kind: set(things) for kind, things in house.cloud.things.items() if kind not in ("stack", "flavor")}
    assert left == {kind: ids for kind, ids in before.items() if kind not in ("stack", "flavor")}


def test_what_failed_can_be_kept_to_be_looked_at(vault_house):
    house = vault_house
    checkpoint = protected(house)
    house.cloud.quotas["server"] = 1
    restore = house.restore_as_tenant(checkpoint.id, {"OS::Heat::Stack": {"on_failure": "keep"}})
    assert restore.status == "fail"
    (stack,) = house.cloud.things["stack"].values()
    assert stack["stack_status"] == "CREATE_FAILED"
    assert any("kept as it was" in reason for reason in restore.resources_reason.values())


def test_one_volume_alone_gets_into_a_server_that_is_there(house):
    checkpoint = protected(house)
    (pages,) = [id_ for id_, one in house.cloud.things["volume"].items() if one["name"] == "pages"]
    database = house.servers[1]
    parameters = {
        "OS::Karbor::Restore": {"only": pages},
        f"OS::Cinder::Volume#{pages}": {"attach_to": database, "restore_name": "pages again"},
    }
    restore = house.restore_as_tenant(checkpoint.id, parameters)
    assert restore.status == "success", restore.resources_reason
    assert {key.split("#")[0] for key in restore.resources_status} == {"OS::Cinder::Volume"}
    assert house.disks()["database"] == [*AS_IT_WAS["database"], b"data of pages"]
    assert "pages again" in [one["name"] for one in house.cloud.things["volume"].values()]


def test_a_template_without_a_stack_names_everything_that_was_restored(vault_house):
    house = vault_house
    checkpoint = protected(house)
    exported = {"OS::Heat::Stack": {"export_to": "templates/app.yaml", "build": "no"}}
    restore = house.restore_as_tenant(checkpoint.id, exported)
    assert restore.status == "success", restore.resources_reason
    assert not house.cloud.things["stack"]
    template = yaml.safe_load(house.cloud.contents[f"{house.project}/templates/app.yaml"])
    types = sorted(part["type"] for part in template["resources"].values())
    assert types.count(SERVER) == 2
    assert all(one["default"] in (*house.cloud.things["volume"], *house.cloud.things["image"])
               for one in template["parameters"].values())  # fmt: skip

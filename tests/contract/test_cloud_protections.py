# SPDX-License-Identifier: Apache-2.0
"""Do the plug-ins of a cloud keep the contract of a protection, on the cloud in memory?"""

from karbor.model.resource import Resource, ResourceKey
from karbor.plugins.resources.database import DatabaseProtectable
from karbor.plugins.resources.database_protection import DatabaseProtection
from karbor.plugins.resources.image import ImageProtectable
from karbor.plugins.resources.image_data import ImageDataProtection, root_disk_id
from karbor.plugins.resources.network import NetworkProtectable
from karbor.plugins.resources.network_protection import NetworkProtection
from karbor.plugins.resources.project import ProjectProtectable
from karbor.plugins.resources.project_protection import ProjectProtection
from karbor.plugins.resources.server import ServerProtectable
from karbor.plugins.resources.server_protection import ServerProtection
from karbor.plugins.resources.share import ShareProtectable
from karbor.plugins.resources.share_protection import ShareProtection
from karbor.plugins.resources.volume import VolumeProtectable
from karbor.plugins.resources.volume_backup import VolumeBackupProtection
from karbor.plugins.resources.volume_data import VolumeDataProtection
from karbor.plugins.resources.volume_snapshot import VolumeSnapshotProtection
from karbor.sdk.environment import Environment
from karbor.sdk.template import HeatParameter
from karbor.sdk.testing.memory_hypervisor import MemoryDomain, MemoryHypervisor
from karbor.sdk.testing.memorycloud import MemoryCloud
from karbor.sdk.testing.protection_suite import ProtectionSuite, Trial
from karbor.sdk.testing.work import TwinWork
from tests.support.clock import TwinClock
from tests.support.heat import built
from tests.support.networking import PREFIX, Networking

HERE = Environment("here", "/state")
ATTACHED = "os-extended-volumes:volumes_attached"


class CloudSuite(ProtectionSuite):
    """A cloud with a tenant ``alpha``. Subclasses put something into it."""

    protectable: type
    protection: type
    environment = HERE

    def make(self, tmp_path):
        self.memory = MemoryCloud(clock=TwinClock())
        self.tenant = self.memory.open("alpha", pause=self.memory.clock.pass_time)
        self.project_id = self.memory.project("alpha")
        protectable = self.protectable(self.protectable.Settings(), HERE).in_cloud(lambda: self.tenant)
        protection = self.protection(self.protection.Settings(), self.environment)
        resource = self.put()
        return Trial(
            protectable,
            protection,
            resource,
            self.project_id,
            self.fingerprint,
            restore=self.restore,
            cloud=self.tenant,
            children=self.children(),
            build=self.build,
        )

    restore = {}  # noqa: RUF012 - never changed

    def children(self):
        return ()

    def build(self, parts):
        return built(self.memory, self.tenant, parts)

    def thing(self, kind, id_):
        return self.memory.things[kind].get(id_)


class OfVolumes(CloudSuite):
    """One volume with data."""

    protectable = VolumeProtectable

    def put(self):
        volume = self.memory.volumes.add("alpha", "data", b"precious" * 100, metadata={"app": "shop"})
        return Resource("OS::Cinder::Volume", volume["id"], "data")

    def fingerprint(self, id_):
        volume = self.thing("volume", id_)
        return volume and (self.memory.contents[id_], volume["size"], volume["metadata"].get("app"))


class TestVolumeBackup(OfVolumes):
    """By backups of Cinder."""

    protection = VolumeBackupProtection


class TestVolumeSnapshot(OfVolumes):
    """By volume snapshots of Cinder."""

    protection = VolumeSnapshotProtection


class TestVolumeData(OfVolumes):
    """By data in the vault."""

    protection = VolumeDataProtection


class TestImageData(CloudSuite):
    """An image."""

    protectable, protection = ImageProtectable, ImageDataProtection

    def put(self):
        image = self.memory.images.add("alpha", "base", b"bytes of an image", min_disk=1)
        return Resource("OS::Glance::Image", image["id"], "base")

    def fingerprint(self, id_):
        image = self.thing("image", id_)
        return image and (self.memory.contents[id_], image["min_disk"], image["disk_format"])


class TestServer(CloudSuite):
    """A server that booted from an image, in a network; its root disk is for the plug-in of images."""

    protectable, protection = ServerProtectable, ServerProtection

    def put(self):
        self.image = self.memory.images.add("alpha", "base", b"disk")
        self.server = self.memory.compute.add("alpha", "web", image=self.image, metadata={"app": "shop"})
        net = self.memory.networks.add("alpha", "networks", name="net")
        self.memory.networks.add("alpha", "subnets", network_id=net["id"], cidr="10.0.0.0/24")
        given = {"network_id": net["id"], "device_id": self.server["id"], "device_owner": "compute:nova"}
        self.memory.networks.add("alpha", "ports", **given)
        return Resource("OS::Nova::Server", self.server["id"], "web")

    def children(self):
        extra = {"server_id": self.server["id"]}
        root = Resource("OS::Glance::Image", self.image["id"], "base", extra, per_parent=True)
        return ((ResourceKey(root.type, root.id, self.server["id"]), root),)

    def build(self, parts):
        root = HeatParameter(root_disk_id(self.image["id"], self.server["id"]), self.image["id"])
        return super().build([*parts, root])

    def fingerprint(self, id_):
        server = self.thing("server", id_)
        ports = [port for port in self.memory.things["port"].values() if port["device_id"] == id_]
        return server and (server["name"], server["metadata"], server["flavor"], len(ports))


class TestServerOnItsHost(TestServer):
    """The same with an ephemeral disk, which a driver on its host can read."""

    scratch = b"scratch".ljust(8192, b"\0")

    def put(self):
        resource = super().put()
        self.path = f"/instances/{resource.id}/disk.eph0"
        guest = MemoryDomain("web", {"vda": f"/instances/{resource.id}/disk", "vdb": self.path}, resource.id)
        self.driver.add(guest, {"vda": b"root".ljust(4096, b"\0"), "vdb": self.scratch})
        return resource

    def make(self, tmp_path):
        self.driver = MemoryHypervisor()
        self.environment = Environment("here", "/state", hypervisors={"libvirt": self.driver})
        return super().make(tmp_path)

    def fingerprint(self, id_):
        found = super().fingerprint(id_)
        if id_ == self.server["id"]:
            return found and (found, self.driver.files[self.path])
        volumes = [one["id"] for one in (self.thing("server", id_) or {}).get(ATTACHED, ())]
        return found and (found, *(self.memory.contents[one] for one in volumes))


class TestNetwork(CloudSuite):
    """Networks of every kind, which are made anew beside the old ones under other names."""

    protectable, protection = NetworkProtectable, NetworkProtection
    restore = {"existing": "new", "restore_name": "copy"}  # noqa: RUF012 - never changed

    def put(self):
        outside = {"name": "outside", "shared": True, "router:external": True}
        external = self.memory.networks.add("admin", "networks", **outside)["id"]
        self.networking = Networking(self.tenant, external).make()
        return Resource("OS::Neutron::Network", self.project_id, "Network Topology")

    def build(self, parts):
        super().build(parts)
        return {self.project_id: "copy"}

    def fingerprint(self, id_):
        resource = Resource("OS::Neutron::Network", self.project_id, "Network Topology")
        found = self.networking.found(TwinWork("protect", resource, cloud=self.tenant))
        wanted = f"copy-{PREFIX}" if id_ == "copy" else PREFIX
        names = lambda kind: [one["name"] for one in found[kind] if one["name"].startswith(wanted)]  # noqa: E731
        return {
            kind: sorted(name.removeprefix("copy-") for name in names(kind)) for kind in found if kind != "floating"
        }


class TestShare(CloudSuite):
    """A share."""

    protectable, protection = ShareProtectable, ShareProtection

    def put(self):
        share = self.memory.shares.add("alpha", "files", size=2, metadata={"app": "shop"})
        return Resource("OS::Manila::Share", share["id"], "files")

    def fingerprint(self, id_):
        share = self.thing("share", id_)
        return share and (share["size"], share["share_proto"], share["metadata"])


class TestDatabase(CloudSuite):
    """A database instance."""

    protectable, protection = DatabaseProtectable, DatabaseProtection

    def put(self):
        instance = self.memory.databases.add("alpha", "books")
        return Resource("OS::Trove::Instance", instance["id"], "books")

    def fingerprint(self, id_):
        instance = self.thing("instance", id_)
        return instance and (instance["volume"], instance["datastore"])


class TestProject(CloudSuite):
    """A project, of which nothing is restored."""

    protectable, protection = ProjectProtectable, ProjectProtection

    def put(self):
        return Resource("OS::Keystone::Project", self.project_id, "alpha")

    def fingerprint(self, id_):
        return "alpha" if id_ == self.project_id else None

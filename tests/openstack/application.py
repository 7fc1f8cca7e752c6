# SPDX-License-Identifier: Apache-2.0
"""Which application of a tenant is protected, deleted and brought back on the real cloud?

Two servers, ``web`` booted from an image and ``db`` booted from a volume; with the two volumes they have besides, three
volumes; a private network with a router and security groups.
"""

import contextlib

from karbor.model import errors
from tests.openstack.guest import Guest

SECONDS = 1800.0  # longest wait for anything of the cloud, on a machine that does much else
#: Where Cinder puts backups in Swift unless it is told otherwise, as the user who asks for them.
BACKUP_CONTAINER = "volumebackups"
#: What every file of is compared, by server: root disk and volume.
PLACES = {"web": ("/data", "/mnt/vdb"), "db": ("/data", "/mnt/vdb")}
#: Lists of a tenant's things: service, path, key, what says whose they are.
_KINDS = (
    ("compute", "/servers/detail", "servers"),
    ("block_storage", "/volumes/detail", "volumes"),
    ("block_storage", "/snapshots/detail", "snapshots"),
    ("block_storage", "/backups/detail", "backups"),
    ("image", "/images", "images"),
    ("network", "/networks", "networks"),
    ("network", "/subnets", "subnets"),
    ("network", "/routers", "routers"),
    ("network", "/security-groups", "security_groups"),
    ("network", "/ports", "ports"),
    ("orchestration", "/stacks", "stacks"),
)


class Application:
    """``cloud`` is the tenant's, ``admin`` an administrator's. ``ids`` by name; ``guests`` by name of the server."""

    def __init__(self, cloud, admin, prefix):
        self.cloud, self.admin, self.prefix = cloud, admin, prefix
        self.ids, self.guests = {}, {}

    def make(self):
        """Make all of it and boot it."""
        self._network()
        image = self._named("image", "/images", "images", "ministack-fast")
        self._volume("boot", imageRef=image)
        self._volume("web-data")
        self._volume("db-data")
        root = {
            "boot_index": 0,
            "uuid": self.ids["boot"],
            "source_type": "volume",
            "destination_type": "volume",
            "delete_on_termination": False,
        }
        self._server("web", imageRef=image)
        self._server("db", block_device_mapping_v2=[root])
        for name in self.guests:
            self._attach(name, f"{name}-data")
        for name, guest in self.guests.items():
            guest.wait_until_up()
            guest.format("vdb")
            self.write(name, "first", 4)
        return self

    def write(self, server, name, mebibytes):
        """One more file on each disk of a server."""
        for place in PLACES[server]:
            self.guests[server].write(place, name, mebibytes)

    def hashes(self):
        """{server: {path: SHA-256}} of all files."""
        return {name: guest.hashes(*PLACES[name]) for name, guest in self.guests.items()}

    def resources(self):
        """What a plan names: both servers and the networks."""
        servers = [
            {"id": guest.id, "type": "OS::Nova::Server", "name": f"{self.prefix}-{name}"}
            for name, guest in self.guests.items()
        ]
        network = {"id": self.cloud.project_id, "type": "OS::Neutron::Network", "name": "Network Topology"}
        return [*servers, network]

    def remove(self):
        """Delete every part of it, servers first; may be called again."""
        for guest in self.guests.values():
            remove_server(self.cloud, guest.id)
        self.guests = {}
        for name in ("boot", "web-data", "db-data"):
            if name in self.ids:
                remove_volume(self.cloud, self.ids[name])
        network = self.cloud.network
        with contextlib.suppress(errors.NotFound, KeyError):
            body = {"subnet_id": self.ids["subnet"]}
            network.put(f"/routers/{self.ids['router']}/remove_router_interface", json=body)
        for name, path in (("router", "routers"), ("net", "networks"), ("group", "security-groups")):
            with contextlib.suppress(errors.NotFound, KeyError):
                network.delete(f"/{path}/{self.ids[name]}")
        self.ids = {}

    def _network(self):
        network = self.cloud.network
        net = network.post("/networks", json={"network": {"name": f"{self.prefix}-net"}}).json()["network"]["id"]
        subnet = {
            "name": f"{self.prefix}-subnet",
            "network_id": net,
            "cidr": "10.95.0.0/24",
            "ip_version": 4,
            "enable_dhcp": False,
        }
        router = {"name": f"{self.prefix}-router"}
        group = {"name": f"{self.prefix}-group", "description": "of the shop"}
        self.ids.update(
            net=net,
            subnet=network.post("/subnets", json={"subnet": subnet}).json()["subnet"]["id"],
            router=network.post("/routers", json={"router": router}).json()["router"]["id"],
            group=network.post("/security-groups", json={"security_group": group}).json()["security_group"]["id"],
        )
        network.put(f"/routers/{self.ids['router']}/add_router_interface", json={"subnet_id": self.ids["subnet"]})
        rule = {
            "security_group_id": self.ids["group"],
            "direction": "ingress",
            "protocol": "tcp",
            "port_range_min": 443,
            "port_range_max": 443,
        }
        network.post("/security-group-rules", json={"security_group_rule": rule})

    def _volume(self, name, **source):
        body = {"volume": {"size": 1, "name": f"{self.prefix}-{name}", "metadata": {"role": name}, **source}}
        api = self.cloud.block_storage
        self.ids[name] = api.post("/volumes", json=body).json()["volume"]["id"]
        wait_volume(self.cloud, self.ids[name], "available")

    def _server(self, name, **source):
        flavor = self._named("compute", "/flavors", "flavors", "m1.micro")
        body = {
            "name": f"{self.prefix}-{name}",
            "flavorRef": flavor,
            "networks": [{"uuid": self.ids["net"]}],
            "security_groups": [{"name": f"{self.prefix}-group"}],
            "metadata": {"role": name},
            "tags": [name],
            **source,
        }
        made = self.cloud.compute.post("/servers", json={"server": body}).json()["server"]["id"]
        self.guests[name] = Guest(self.admin, made)
        wait_server(self.cloud, made, "ACTIVE")

    def _attach(self, server, volume):
        body = {"volumeAttachment": {"volumeId": self.ids[volume], "device": "/dev/vdb"}}
        self.cloud.compute.post(f"/servers/{self.guests[server].id}/os-volume_attachments", json=body)
        wait_volume(self.cloud, self.ids[volume], "in-use")

    def _named(self, service, path, key, name):
        (found,) = [one for one in getattr(self.cloud, service).get(path).json()[key] if one["name"] == name]
        return found["id"]


def wait_volume(cloud, id_, status):
    _wait(lambda: cloud.block_storage.get(f"/volumes/{id_}").json()["volume"], status, cloud)


def wait_server(cloud, id_, status):
    _wait(lambda: cloud.compute.get(f"/servers/{id_}").json()["server"], status, cloud)


def _wait(look, status, cloud):
    def reached(found):
        assert not found["status"].lower().startswith("error"), found
        return found["status"] == status

    cloud.wait(look, reached, what=f"status {status}", deadline=SECONDS)


def remove_server(cloud, id_):
    """Delete a server and wait until it is gone; may be called again."""
    path = f"/servers/{id_}"
    with contextlib.suppress(errors.NotFound):
        cloud.compute.delete(path)
    cloud.wait_gone(lambda: cloud.compute.get(path), what="server gone", deadline=SECONDS)


def remove_volume(cloud, id_):
    """Delete a volume that nothing uses any more, with its snapshots, and wait until it is gone."""
    path, api = f"/volumes/{id_}", cloud.block_storage
    with contextlib.suppress(errors.NotFound):
        wait_volume(cloud, id_, "available")
        api.delete(path)
    cloud.wait_gone(lambda: api.get(path), what="volume gone", deadline=SECONDS)


def remove_stack(cloud, name):
    """Delete a stack and wait until it is gone."""
    path = f"/stacks/{name}"
    with contextlib.suppress(errors.NotFound):
        cloud.orchestration.delete(path)

    def look():
        found = cloud.orchestration.get(path).json()["stack"]
        assert found["stack_status"] != "DELETE_FAILED", found
        return None if found["stack_status"] == "DELETE_COMPLETE" else found

    cloud.wait_gone(look, what="stack gone", deadline=SECONDS)


def inventory(cloud):
    """{kind: {id: name}} of what a tenant has, to find what was left over; of objects, those of backups of Cinder."""
    found = {"objects": _backed_up(cloud)}
    for service, path, key in _KINDS:
        items = getattr(cloud, service).get(path).json()[key]
        found[key] = {
            one["id"]: one.get("name") or one.get("stack_name")
            for one in items
            if one.get("project_id", cloud.project_id) == cloud.project_id
            and one.get("owner", cloud.project_id) == cloud.project_id
        }
    return found


def _backed_up(cloud):
    try:
        objects = cloud.object_store.get(f"/{BACKUP_CONTAINER}", params={"format": "json"}).json()
    except errors.NotFound:
        return {}
    return {one["name"]: BACKUP_CONTAINER for one in objects}

# SPDX-License-Identifier: Apache-2.0
"""How are networks, subnets, routers, ports and floating addresses built without Heat?

Neutron takes tags only in a request of their own. So the mark stands in the description first, with which a thing is
made; when it is a tag, the description becomes what it shall be.
"""

import contextlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from karbor.heat.kinds import Item, Kind, Marked, Relation
from karbor.model import errors

if TYPE_CHECKING:
    from karbor.clients.service import Service


class NetworkKind(Marked):
    """One collection of Neutron. ``renamed``: properties that its requests name otherwise, or not at all."""

    path: ClassVar[str]
    key: ClassVar[str]
    renamed: ClassVar[Mapping[str, str]] = {}

    @property
    def api(self) -> "Service":
        return self.cloud.network

    def listed(self) -> Iterable[Item]:
        # An administrator would be shown those of every project.
        mine = self.cloud.project_id
        return self.api.each(self.path, f"{self.key}s", project_id=mine, sort_key="id", sort_dir="asc")

    def marks(self, item: Item) -> Iterable[str]:
        return (*item["tags"], str(item.get("description") or ""))

    def one(self, id_: str) -> Item:
        found: Item = self.api.get(f"{self.path}/{id_}").json()[self.key]
        return found

    def body(self, properties: Item) -> dict[str, Any]:
        """The properties as Neutron takes them."""
        plain = {name: value for name, value in properties.items() if name not in ("value_specs", "tags")}
        plain.update(properties.get("value_specs") or {})
        return {self.renamed.get(name, name): value for name, value in plain.items()}

    def make(self, mark: str, properties: Item) -> Item:
        body = {**self.body(properties), "description": mark}
        found: Item = self.api.post(self.path, json={self.key: body}).json()[self.key]
        return found

    def finish(self, item: Item, mark: str, properties: Item) -> None:
        own = f"{self.path}/{item['id']}"
        if mark not in item["tags"]:
            self.api.put(f"{own}/tags", json={"tags": [*(properties.get("tags") or ()), mark]})
            self.reached("tagged")
        if item.get("description") == mark:
            body = {self.key: {"description": str(self.body(properties).get("description") or "")}}
            self.api.put(own, json=body)
            self.reached("described")

    def is_ready(self, id_: str) -> bool:
        return True

    def remove(self, id_: str) -> bool:
        try:
            self.api.delete(f"{self.path}/{id_}")
        except errors.NotFound:
            return True
        except errors.Conflict:
            if self.look(id_) is None:
                return True
            raise
        return self.look(id_) is None


class Net(NetworkKind):
    """Networks."""

    path, key = "/networks", "network"


class Subnet(NetworkKind):
    """Subnets."""

    path, key = "/subnets", "subnet"
    renamed: ClassVar[Mapping[str, str]] = {"network": "network_id"}

    def body(self, properties: Item) -> dict[str, Any]:
        """No gateway is an empty text in a template; what says nothing else is of IPv4 there."""
        found = {"ip_version": 4, **super().body(properties)}
        return {**found, "gateway_ip": found["gateway_ip"] or None} if "gateway_ip" in found else found


class Router(NetworkKind):
    """Routers."""

    path, key = "/routers", "router"

    def body(self, properties: Item) -> dict[str, Any]:
        found = super().body(properties)
        gateway = dict(found.get("external_gateway_info") or {})
        if gateway:
            found["external_gateway_info"] = {"network_id": gateway.pop("network"), **gateway}
        return found


class Port(NetworkKind):
    """Ports."""

    path, key = "/ports", "port"
    renamed: ClassVar[Mapping[str, str]] = {"network": "network_id"}

    def body(self, properties: Item) -> dict[str, Any]:
        found = super().body(properties)
        if "fixed_ips" in found:
            found["fixed_ips"] = [
                {{"subnet": "subnet_id"}.get(name, name): value for name, value in one.items()}
                for one in found["fixed_ips"]
            ]
        return found


class FloatingIP(NetworkKind):
    """Floating addresses."""

    path, key = "/floatingips", "floatingip"
    renamed: ClassVar[Mapping[str, str]] = {"floating_network": "floating_network_id"}


class RouterInterface(Kind):
    """Interfaces of routers. Also one that only a subnet was named for is made through a port of its own, because a
    port can be marked."""

    def __init__(self, cloud: Any, restore_id: str) -> None:
        super().__init__(cloud, restore_id)
        self._ports = Port(cloud, restore_id)

    def ensure(self, name: str, properties: Item) -> str:
        port_id = properties.get("port") or self._ports.ensure(name, self._port(properties))
        if self._ports.one(port_id)["device_id"] != properties["router"]:
            path = f"/routers/{properties['router']}/add_router_interface"
            self.cloud.network.put(path, json={"port_id": port_id})
        return f"{properties['router']}:port_id={port_id}"

    def find(self, name: str, properties: Item) -> str:
        port_id = properties.get("port") or self._ports.find(name, {})
        return f"{properties['router']}:port_id={port_id}" if port_id and self._ports.look(port_id) else ""

    def is_ready(self, id_: str) -> bool:
        return True

    def remove(self, id_: str) -> bool:
        """A port that is no interface yet goes by itself."""
        router_id, port_id = id_.split(":port_id=")
        port = self._ports.look(port_id)
        if port is None:
            return True
        if port["device_id"] != router_id:
            return not port["device_id"] and self._ports.remove(port_id)
        self.cloud.network.put(f"/routers/{router_id}/remove_router_interface", json={"port_id": port_id})
        return self._ports.look(port_id) is None

    def _port(self, properties: Item) -> dict[str, Any]:
        subnet = self.cloud.network.get(f"/subnets/{properties['subnet']}").json()["subnet"]
        return {
            "network": subnet["network_id"],
            "fixed_ips": [{"subnet": subnet["id"], "ip_address": subnet["gateway_ip"]}],
        }


class ExtraRouteSet(Relation):
    """Routes of a router of this restore."""

    def find(self, name: str, properties: Item) -> str:
        now = self.cloud.network.get(f"/routers/{properties['router']}").json()["router"]["routes"]
        wanted = {(one["destination"], one["nexthop"]) for one in properties["routes"]}
        return str(properties["router"]) if wanted <= {(one["destination"], one["nexthop"]) for one in now} else ""

    def join(self, name: str, properties: Item) -> str:
        body = {"router": {"routes": properties["routes"]}}
        self.cloud.network.put(f"/routers/{properties['router']}", json=body)
        return str(properties["router"])

    def remove(self, id_: str) -> bool:
        with contextlib.suppress(errors.NotFound):
            self.cloud.network.put(f"/routers/{id_}", json={"router": {"routes": []}})
        return True


class FloatingIPAssociation(Relation):
    """A floating address that leads to a port of this restore."""

    def find(self, name: str, properties: Item) -> str:
        found = self.cloud.network.get(f"/floatingips/{properties['floatingip_id']}").json()["floatingip"]
        return str(properties["floatingip_id"]) if found.get("port_id") == properties["port_id"] else ""

    def join(self, name: str, properties: Item) -> str:
        given = {key: value for key, value in properties.items() if key in ("port_id", "fixed_ip_address")}
        self.cloud.network.put(f"/floatingips/{properties['floatingip_id']}", json={"floatingip": given})
        return str(properties["floatingip_id"])

    def remove(self, id_: str) -> bool:
        with contextlib.suppress(errors.NotFound):
            self.cloud.network.put(f"/floatingips/{id_}", json={"floatingip": {"port_id": None}})
        return True

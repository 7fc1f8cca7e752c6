# SPDX-License-Identifier: Apache-2.0
"""What must be kept of the networks of a project to make others like them, and what of them is there now?

A topology is JSON: lists of ``networks``, ``subnets``, ``routers`` (with their interfaces and gateway),
``security_groups`` (with their rules), ``floating`` addresses and ``ports`` that belong to no server, each in order of
id and with nothing in it that changes by itself; and ``foreign``, what of others these refer to.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from karbor.model import errors
from karbor.sdk.marks import tags_without_marks
from karbor.sdk.protection import Work

Item = Mapping[str, Any]
Topology = dict[str, list[dict[str, Any]]]

#: Collection in the URL -> its name in answers.
_LISTS = {
    "networks": "networks",
    "subnets": "subnets",
    "routers": "routers",
    "ports": "ports",
    "security-groups": "security_groups",
    "floatingips": "floatingips",
}
_SHARED = ("networks", "subnets")
_NETWORK = ("id", "name", "description", "admin_state_up", "mtu", "port_security_enabled", "dns_domain",
            "availability_zone_hints", "tags")  # fmt: skip
_SUBNET = ("id", "name", "description", "network_id", "cidr", "ip_version", "gateway_ip", "enable_dhcp",
           "allocation_pools", "dns_nameservers", "host_routes", "ipv6_ra_mode", "ipv6_address_mode", "service_types",
           "tags")  # fmt: skip
_ROUTER = ("id", "name", "description", "admin_state_up", "availability_zone_hints", "routes", "tags")
_GROUP = ("id", "name", "description", "stateful", "tags")
_RULE = ("id", "direction", "ethertype", "protocol", "port_range_min", "port_range_max", "remote_ip_prefix",
         "remote_group_id", "remote_address_group_id", "description")  # fmt: skip
_PORT = ("id", "name", "description", "network_id", "mac_address", "admin_state_up", "fixed_ips", "security_groups",
         "allowed_address_pairs", "port_security_enabled", "tags")  # fmt: skip
_INTERFACE = (
    "network:router_interface",
    "network:router_interface_distributed",
    "network:ha_router_replicated_interface",
)


class Neutron:
    """Neutron as one step of a work sees it. Reading everything costs six lists, whatever is in them."""

    def __init__(self, work: Work) -> None:
        self._api = work.cloud.network
        self._project = work.cloud.project_id
        self._seen: dict[str, list[Item]] = {}

    def visible(self, collection: str) -> Sequence[Item]:
        """All of one kind, networks and subnets also of others who share them; asked for once."""
        if collection not in self._seen:
            # An administrator would be shown those of every project.
            mine = {} if collection in _SHARED else {"project_id": self._project}
            query: dict[str, Any] = {"sort_key": "id", "sort_dir": "asc", **mine}
            self._seen[collection] = list(self._api.each(f"/{collection}", _LISTS[collection], **query))
        return self._seen[collection]

    def own(self, collection: str) -> list[Item]:
        """What of it belongs to the project."""
        return [one for one in self.visible(collection) if one["project_id"] == self._project]

    def topology(self) -> Topology:
        """Everything that is kept."""
        own_networks = {one["id"] for one in self.own("networks")}
        ports = self.own("ports")
        found: Topology = {
            "networks": [_fields(one, _NETWORK) for one in self.own("networks")],
            "subnets": [_fields(one, _SUBNET) for one in self.visible("subnets") if one["network_id"] in own_networks],
            "routers": [_router(one, ports) for one in self.own("routers")],
            "security_groups": [_group(one) for one in self.own("security-groups")],
            "floating": [_floating(one, ports) for one in self.own("floatingips")],
            "ports": [_port(one) for one in ports if not one["device_id"] and not one["device_owner"]],
        }
        used = _used_networks(found, ports) - own_networks
        found["foreign"] = [
            {
                "id": network["id"],
                "name": network["name"],
                "external": bool(network.get("router:external")),
                "subnets": [_fields(one, ("id", "cidr", "gateway_ip")) for one in self._subnets_of(network["id"])],
            }
            for network in self.visible("networks")
            if network["id"] in used
        ]
        return found

    def _subnets_of(self, network_id: str) -> list[Item]:
        return [one for one in self.visible("subnets") if one["network_id"] == network_id]

    def same_subnet(self, network_id: str, cidr: str) -> str:
        """The id of the subnet with these addresses in a network; empty where it has none, or several."""
        found = [one["id"] for one in self._subnets_of(network_id) if one["cidr"] == cidr]
        return str(found[0]) if len(found) == 1 else ""

    def room(self) -> Mapping[str, int]:
        """How many more of each kind the quota of the project allows; a kind without a limit, or whose limit the cloud
        does not tell, is not in it."""
        try:
            told = self._api.get(f"/quotas/{self._project}/details.json").json()["quota"]
        except (errors.NotFound, errors.Forbidden):
            return {}
        return {
            kind: one["limit"] - one["used"] - int(one.get("reserved") or 0)
            for kind, one in told.items()
            if one["limit"] >= 0
        }


def _fields(one: Item, names: Iterable[str]) -> dict[str, Any]:
    found = {name: one[name] for name in names if one.get(name) is not None}
    return {**found, "tags": tags_without_marks(found["tags"])} if "tags" in found else found


def _router(router: Item, ports: Sequence[Item]) -> dict[str, Any]:
    gateway = router.get("external_gateway_info") or {}
    return {
        **_fields(router, _ROUTER),
        "gateway": gateway.get("network_id") or "",
        "gateway_addresses": [one["ip_address"] for one in gateway.get("external_fixed_ips") or ()],
        "interfaces": [
            {"subnet_id": one["subnet_id"], "network_id": port["network_id"], "ip_address": one["ip_address"]}
            for port in ports
            if port["device_id"] == router["id"] and port["device_owner"] in _INTERFACE
            for one in port["fixed_ips"]
        ],
    }


def _group(group: Item) -> dict[str, Any]:
    rules = sorted((_fields(one, _RULE) for one in group["security_group_rules"]), key=lambda rule: str(rule["id"]))
    return {**_fields(group, _GROUP), "rules": rules}


def _floating(one: Item, ports: Sequence[Item]) -> dict[str, Any]:
    devices = {port["id"]: port["device_id"] for port in ports}
    return {
        **_fields(one, ("id", "description", "port_id", "fixed_ip_address", "tags")),
        "network_id": one["floating_network_id"],
        "address": one["floating_ip_address"],
        "device_id": devices.get(one.get("port_id"), ""),
    }


def _port(port: Item) -> dict[str, Any]:
    return {**_fields(port, _PORT), "vnic_type": port.get("binding:vnic_type") or "normal"}


def _used_networks(found: Topology, ports: Sequence[Item]) -> set[str]:
    """The networks that anything refers to, also a port of a server."""
    used = {one["network_id"] for one in (*found["floating"], *ports)}
    used |= {one["gateway"] for one in found["routers"]}
    return used - {""}

# SPDX-License-Identifier: Apache-2.0
"""Which networks does an application have in these tests, in the real cloud and in its twin, and are two alike?"""

import contextlib

from karbor.model import errors
from karbor.plugins.resources.neutron import Neutron

PREFIX = "shopnet"


class Networking:
    """All that a tenant can make in Neutron, once of each kind, under names that begin with ``prefix``.

    ``external``: the id of a network of others that leads outside.
    """

    def __init__(self, cloud, external, prefix=PREFIX):
        self.cloud, self.external, self.prefix = cloud, external, prefix
        self.ids = {}

    def _made(self, collection, key, name, **given):
        body = {key: {"name": f"{self.prefix}-{name}", **given} if name else given}
        made = self.cloud.network.post(f"/{collection}", json=body).json()[key]
        self.ids[name or key] = made["id"]
        return made["id"]

    def make(self):
        """Make it; ``ids`` by name."""
        network = self.cloud.network
        net = self._made("networks", "network", "net", description="of the shop", mtu=1400)
        network.put(f"/networks/{net}/tags", json={"tags": ["shop"]})
        near = self._made(
            "subnets", "subnet", "near", network_id=net, cidr="10.91.0.0/24", ip_version=4, gateway_ip="10.91.0.254",
            allocation_pools=[{"start": "10.91.0.10", "end": "10.91.0.99"}], dns_nameservers=["192.0.2.53"],
            host_routes=[{"destination": "10.92.0.0/24", "nexthop": "10.91.0.5"}], enable_dhcp=False,
        )  # fmt: skip
        far = self._made(
            "subnets", "subnet", "far", network_id=net, cidr="10.93.0.0/24", ip_version=4, gateway_ip=None,
            enable_dhcp=False,
        )  # fmt: skip
        gateway = {"network_id": self.external}
        router = self._made("routers", "router", "router", description="outwards", external_gateway_info=gateway)
        network.put(f"/routers/{router}/add_router_interface", json={"subnet_id": near})
        fixed = [{"subnet_id": far, "ip_address": "10.93.0.7"}]
        leg = network.post("/ports", json={"port": {"network_id": net, "fixed_ips": fixed}}).json()["port"]["id"]
        network.put(f"/routers/{router}/add_router_interface", json={"port_id": leg})
        routes = [{"destination": "10.94.0.0/24", "nexthop": "10.91.0.20"}]
        network.put(f"/routers/{router}", json={"router": {"routes": routes}})
        self._groups()
        port = self._made(
            "ports", "port", "address", network_id=net, fixed_ips=[{"subnet_id": near, "ip_address": "10.91.0.50"}],
            mac_address="fa:16:3e:00:91:50", security_groups=[self.ids["web"]],
            allowed_address_pairs=[{"ip_address": "10.91.0.51", "mac_address": "fa:16:3e:00:91:50"}],
        )  # fmt: skip
        floating = {"floating_network_id": self.external, "port_id": port, "description": f"{self.prefix} outside"}
        self._made("floatingips", "floatingip", "", **floating)
        return self

    def _groups(self):
        """Two groups that refer to each other, and to themselves; one that may send nothing."""
        web = self._made("security-groups", "security_group", "web", description="front")
        data = self._made("security-groups", "security_group", "data")
        quiet = self._made("security-groups", "security_group", "quiet")
        for group, rule in (
            (web, {"protocol": "tcp", "port_range_min": 443, "port_range_max": 443, "remote_ip_prefix": "0.0.0.0/0"}),
            (web, {"protocol": "tcp", "port_range_min": 22, "port_range_max": 22, "description": "for people"}),
            (web, {"remote_group_id": data}),
            (data, {"protocol": "tcp", "port_range_min": 3306, "port_range_max": 3306, "remote_group_id": web}),
            (data, {"remote_group_id": data, "ethertype": "IPv6"}),
        ):
            body = {"security_group_id": group, "direction": "ingress", **rule}
            self.cloud.network.post("/security-group-rules", json={"security_group_rule": body})
        for rule in self.cloud.network.get(f"/security-groups/{quiet}").json()["security_group"][
            "security_group_rules"
        ]:
            self.cloud.network.delete(f"/security-group-rules/{rule['id']}")

    def found(self, work):
        """What is there now, in a form that is the same for two of the same make: names in the place of ids."""
        topology = Neutron(work).topology()
        names = {one["id"]: one["name"] for kind in topology.values() for one in kind if one.get("name")}
        return {
            kind: sorted((_plain(one, names) for one in things if self._is_ours(one)), key=repr)
            for kind, things in topology.items()
            if kind != "foreign"
        }

    def _is_ours(self, one):
        return self.prefix in one.get("name", "") or self.prefix in one.get("description", "")

    def remove(self):
        """Remove all of these names, also what a restore made."""
        network = self.cloud.network

        def get(path, key):
            own = network.get(f"/{path}", params={"project_id": self.cloud.project_id})
            return own.json()[key]

        nets = {one["id"] for one in get("networks", "networks") if one["name"].startswith(self.prefix)}
        for one in get("floatingips", "floatingips"):
            if self.prefix in one["description"]:
                network.delete(f"/floatingips/{one['id']}")
        for router in get("routers", "routers"):
            if not router["name"].startswith(self.prefix):
                continue
            network.put(f"/routers/{router['id']}", json={"router": {"routes": []}})
            for port in get("ports", "ports"):
                if port["device_id"] == router["id"] and port["network_id"] in nets:
                    network.put(f"/routers/{router['id']}/remove_router_interface", json={"port_id": port["id"]})
            network.delete(f"/routers/{router['id']}")
        for port in get("ports", "ports"):
            if port["network_id"] in nets:
                with contextlib.suppress(errors.NotFound):
                    network.delete(f"/ports/{port['id']}")
        for id_ in nets:
            network.delete(f"/networks/{id_}")
        for group in get("security-groups", "security_groups"):
            if group["name"].startswith(self.prefix):
                network.delete(f"/security-groups/{group['id']}")


def _plain(value, names):
    """Without ids, names in the place of those that are referred to; what a cloud chooses by itself left out."""
    if isinstance(value, dict):
        chosen = ("id", "gateway_addresses", "address")
        return {key: _plain(one, names) for key, one in sorted(value.items()) if key not in chosen and one != ""}
    if isinstance(value, list):
        return sorted((_plain(one, names) for one in value), key=repr)
    return names.get(value, value) if isinstance(value, str) else value

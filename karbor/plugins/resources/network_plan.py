# SPDX-License-Identifier: Apache-2.0
"""Of which parts of a template do networks that come back consist?

Only what was decided to be made is a part of it; what is there already, or stands in for something by the mapping of
the user, is referred to by its id. Security groups are in ``group_plan``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from karbor.plugins.resources import group_plan
from karbor.plugins.resources.neutron import Item, Topology
from karbor.sdk.protection import Work
from karbor.sdk.template import HeatParameter, HeatResource, reference

NET, SUBNET, ROUTER = "OS::Neutron::Net", "OS::Neutron::Subnet", "OS::Neutron::Router"
INTERFACE, PORT, FLOATING = "OS::Neutron::RouterInterface", "OS::Neutron::Port", "OS::Neutron::FloatingIP"
ROUTES = "OS::Neutron::ExtraRouteSet"


class Plan:
    """The template of a topology. ``decided`` is what ``restore_prepare`` chose: ``made`` ids, ``interfaces`` to make,
    the ``stand_ins`` of others, new ``names``, and ``mtu``, whether that can be asked for."""

    def __init__(self, work: Work, old: Topology, decided: Mapping[str, Any]) -> None:
        self._work, self._old, self._decided = work, old, decided
        self._made = frozenset(decided["made"])
        self._interfaces_made = frozenset(decided["interfaces"])
        self._own = frozenset(one["id"] for one in old["networks"])
        self._ports = frozenset(one["id"] for one in old["ports"])
        others = (subnet for network in old["foreign"] for subnet in network["subnets"])
        self._gateways = {one["id"]: one.get("gateway_ip") for one in (*old["subnets"], *others)}

    def parts(self) -> Sequence[HeatResource | HeatParameter]:
        """All of them."""
        groups = [self._named(one) for one in self._of("security_groups")]
        return [
            *(HeatParameter(old, new, "Used in the place of a network or subnet") for old, new in self._stand_ins()),
            *(HeatResource(one["id"], NET, self._net(one)) for one in self._of("networks")),
            *(HeatResource(one["id"], SUBNET, self._subnet(one)) for one in self._of("subnets")),
            *group_plan.parts(groups, lambda id_: self._ref("security_group", id_)),
            *(HeatResource(one["id"], ROUTER, self._router(one)) for one in self._of("routers")),
            *(part for one in self._old["routers"] for part in self._interfaces(one)),
            *(part for one in self._of("routers") for part in self._routes(one)),
            *(HeatResource(one["id"], PORT, self._port(one)) for one in self._of("ports")),
            *(self._floating(one) for one in self._of("floating")),
        ]

    def _of(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self._old[kind] if one["id"] in self._made]

    def _stand_ins(self) -> list[tuple[str, str]]:
        return sorted(self._decided["stand_ins"].items())

    def _ref(self, kind: str, id_: str) -> dict[str, Any]:
        return reference(id_, or_else=self._work.mapped(kind, id_))

    def _named(self, one: Item) -> dict[str, Any]:
        return {**one, "name": self._decided["names"].get(one["id"], one.get("name", ""))}

    def _common(self, one: Item) -> dict[str, Any]:
        """What every kind has; Heat hands ``value_specs`` to Neutron as they are. Without a name it would make one; an
        empty one it leaves as it is."""
        more = _given(
            admin_state_up=one.get("admin_state_up"),
            tags=one.get("tags"),
            value_specs=_given(description=one.get("description")),
        )
        return {"name": self._named(one)["name"], **more}

    def _net(self, one: Item) -> dict[str, Any]:
        found = self._common(one)
        specs = {
            **found.pop("value_specs", {}),
            **({"mtu": one["mtu"]} if self._decided["mtu"] and "mtu" in one else {}),
        }
        more = _given(
            port_security_enabled=one.get("port_security_enabled"), dns_domain=one.get("dns_domain"), value_specs=specs
        )
        return {**found, **more}

    def _subnet(self, one: Item) -> dict[str, Any]:
        found = self._common(one)
        specs = {**found.pop("value_specs", {}), **_given(service_types=one.get("service_types"))}
        more = _given(
            cidr=one["cidr"],
            ip_version=one["ip_version"],
            enable_dhcp=one["enable_dhcp"],
            allocation_pools=one.get("allocation_pools"),
            dns_nameservers=one.get("dns_nameservers"),
            host_routes=one.get("host_routes"),
            ipv6_ra_mode=one.get("ipv6_ra_mode"),
            ipv6_address_mode=one.get("ipv6_address_mode"),
            value_specs=specs,
        )
        # No gateway is an empty text for Heat; leaving it out would make one.
        return {
            **found,
            **more,
            "network": self._ref("network", one["network_id"]),
            "gateway_ip": one.get("gateway_ip", ""),
        }

    def _router(self, one: Item) -> dict[str, Any]:
        found = self._common(one)
        if one["gateway"]:
            found["external_gateway_info"] = {"network": self._ref("network", one["gateway"])}
        return found

    def _interfaces(self, router: Item) -> list[HeatResource]:
        """Those at the gateway address of their subnet are asked for by the subnet, others by a port of their own."""
        found = []
        for one in router["interfaces"]:
            id_ = interface_id(router, one)
            if id_ not in self._interfaces_made:
                continue
            subnet = self._ref("subnet", one["subnet_id"])
            place: dict[str, Any] = {"subnet": subnet}
            if self._gateways.get(one["subnet_id"]) != one["ip_address"]:
                wanted = self._address(one["network_id"], one)
                properties = {"network": self._ref("network", one["network_id"]), "fixed_ips": [wanted]}
                found.append(HeatResource(f"{id_}:port", PORT, properties, shown=False))
                place = {"port": reference(f"{id_}:port")}
            properties = {"router": self._ref("router", router["id"]), **place}
            found.append(HeatResource(id_, INTERFACE, properties, shown=False))
        return found

    def _routes(self, router: Item) -> list[HeatResource]:
        if not router.get("routes"):
            return []
        properties = {"router": reference(router["id"]), "routes": router["routes"]}
        needed = tuple(interface_id(router, one) for one in router["interfaces"])
        return [HeatResource(f"{router['id']}:routes", ROUTES, properties, needed, shown=False)]

    def _port(self, one: Item) -> dict[str, Any]:
        """In a network of others one may not choose addresses."""
        addresses = [self._address(one["network_id"], at) for at in one.get("fixed_ips") or ()]
        more: dict[str, Any] = {"network": self._ref("network", one["network_id"])}
        if one.get("port_security_enabled", True):
            more["security_groups"] = [self._ref("security_group", id_) for id_ in one.get("security_groups") or ()]
            more.update(_given(allowed_address_pairs=one.get("allowed_address_pairs")))
        else:
            more["port_security_enabled"] = False
        if one["vnic_type"] != "normal":
            more["binding:vnic_type"] = one["vnic_type"]
        return {
            **self._common(one),
            **more,
            **_given(
                fixed_ips=addresses, mac_address=one.get("mac_address") if one["network_id"] in self._own else None
            ),
        }

    def _address(self, network_id: str, at: Item) -> dict[str, Any]:
        own = {"ip_address": at["ip_address"]} if network_id in self._own else {}
        return {"subnet": self._ref("subnet", at["subnet_id"]), **own}

    def _floating(self, one: Item) -> HeatResource:
        """Which port of a server it leads to is for the server to say."""
        properties: dict[str, Any] = {"floating_network": self._ref("network", one["network_id"])}
        properties.update(_given(value_specs=_given(description=one.get("description"))))
        if self._work.options.floating_addresses == "same":
            properties["floating_ip_address"] = one["address"]
        if one.get("port_id") in self._ports:
            properties["port_id"] = reference(one["port_id"], or_else=one["port_id"])
            properties.update(_given(fixed_ip_address=one.get("fixed_ip_address")))
        # A port can be led to only when a router reaches it.
        needed = [router["id"] for router in self._old["routers"] if router["gateway"] == one["network_id"]]
        needed += [
            interface_id(router, at)
            for router in self._old["routers"]
            if router["id"] in needed
            for at in router["interfaces"]
        ]
        return HeatResource(one["id"], FLOATING, properties, tuple(needed))


def interface_id(router: Item, interface: Item) -> str:
    """What stands for the original id of an interface, which has none of its own."""
    return f"{router['id']}:{interface['subnet_id']}:{interface['ip_address']}"


def _given(**values: Any) -> dict[str, Any]:
    """Without what says nothing; False says something."""
    return {key: value for key, value in values.items() if value is False or value not in (None, "", [], {})}

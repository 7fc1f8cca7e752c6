# SPDX-License-Identifier: Apache-2.0
"""Which ports, with which addresses, can a server that comes back have?"""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from karbor.plugins.resources.cloudtypes import NETWORK
from karbor.sdk.protection import Work


def decide_ports(work: Work, old: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """The ports to make: their fixed addresses are those that can be had again; what cannot be is told."""
    options = work.options
    if options.restore_net_id:
        first = old["ports"][0] if old["ports"] else {"id": "0", "name": "", "security_groups": []}
        port = {
            "allowed_address_pairs": [],
            "port_security_enabled": True,
            "vnic_type": "normal",
            **first,
            "network_id": options.restore_net_id,
            "fixed_ips": [],
        }
        return [port], []
    found, told = [], []
    networks = {one["id"]: one for one in work.cloud.network.get("/networks").json()["networks"]}
    for port in old["ports"]:
        wanted = list(port["fixed_ips"]) if options.addresses != "new" else []
        network = networks.get(work.mapped("network", port["network_id"]))
        if wanted and network is not None and network["project_id"] != work.cloud.project_id:
            told.append(f"Only its owner may choose addresses in the network {network['name']}: the server gets any.")
            wanted = []
        elif wanted and network is not None and network["id"] != port["network_id"] and NETWORK not in work.types:
            wanted, lost = _moved(work, network, wanted)
            told += lost
        if wanted and network is not None:  # a network that is gone comes back with nothing in it
            used = _used(work, network["id"], [one["ip_address"] for one in wanted])
            told += [f"The address {address} is in use: the server gets another one." for address in sorted(used)]
            wanted = [one for one in wanted if one["ip_address"] not in used]
        found.append({**port, "fixed_ips": wanted})
    return found, told


def _moved(
    work: Work, network: Mapping[str, Any], wanted: Sequence[Mapping[str, Any]]
) -> tuple[list[Mapping[str, Any]], list[str]]:
    """The same addresses in the subnets of a network that stands in for the old one, where the mapping does not name
    these; what none of them holds is told."""
    subnets = work.cloud.network.get("/subnets", params={"network_id": network["id"]}).json()["subnets"]
    found, told = [], []
    for one in wanted:
        address = ipaddress.ip_address(one["ip_address"])
        if work.mapped("subnet", one["subnet_id"]) != one["subnet_id"]:
            found.append(one)
            continue
        holding = [subnet["id"] for subnet in subnets if address in ipaddress.ip_network(subnet["cidr"])]
        if holding:
            found.append({**one, "subnet_id": holding[0]})
        else:
            told.append(f"The network {network['name']} has no subnet with {address}: the server gets another address.")
    return found, told


def _used(work: Work, network_id: str, addresses: Sequence[str]) -> set[str]:
    """Those addresses that a port of the network has, as far as the tenant may see."""
    ports = work.cloud.network.get("/ports", params={"network_id": network_id}).json()["ports"]
    return {one["ip_address"] for port in ports for one in port["fixed_ips"]} & set(addresses)


def free_floating(
    work: Work, old: Mapping[str, Any], ports: Sequence[Mapping[str, Any]]
) -> Sequence[Mapping[str, Any]]:
    """Floating addresses of the old server that the project still has and nothing uses, or that come back with it."""
    if not old["floating"] or work.options.restore_net_id:
        return []
    wanted = [one for one in old["floating"] if any(port["id"] == one["port_id"] for port in ports)]
    known = {one["id"]: one for one in work.cloud.network.get("/floatingips").json()["floatingips"]} if wanted else {}
    found = []
    for one in wanted:
        free = one["id"] in known and not known[one["id"]].get("port_id")
        if free or (one["id"] not in known and NETWORK in work.types):
            found.append({**one, "port": f"{work.key.id}:{one['port_id']}"})
    return found

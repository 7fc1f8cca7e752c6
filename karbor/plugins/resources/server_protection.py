# SPDX-License-Identifier: Apache-2.0
"""How is a server of Nova kept, and handed to Heat to be built again?

Its disks are resources below it, with plug-ins of their own. What is kept of the server itself is everything that its
tenant can see and set: flavor, devices, ports with their addresses, groups, metadata.
"""

import ipaddress
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from karbor.model import errors
from karbor.model.checkpoint import SavedResource
from karbor.plugins.resources import server_freeze
from karbor.plugins.resources.cinder import saved_of
from karbor.plugins.resources.cloudtypes import IMAGE, NETWORK, SERVER, VOLUME
from karbor.plugins.resources.nova import Nova, described, fitting_flavor
from karbor.plugins.resources.server_plan import parts, root_volume, user_data_text
from karbor.sdk.mapping import OldNames
from karbor.sdk.options import Options, option, required
from karbor.sdk.protection import Protected, Protection, Restored, RestorePlan, Work


class ServerProtection(Protection):
    """Servers of Nova."""

    resource_types = (SERVER,)
    acts_in_cloud = True
    through_heat = True

    class Protect(Options):
        """Parameters of a plan."""

        quiesce: Literal["required", "try", "no"] = option(
            "try",
            "Freeze the file systems in the guest while the snapshots of its disks are taken: insist, go on without, "
            "or do not. It takes a worker on the compute host of the server.",
        )

    class Restore(Options):
        """Parameters of a restore. The names are those of the old service."""

        restore_name: str = option("", "Name of the new server. Empty: that of the old one.")
        restore_net_id: str = option("", "Put the server into this network, with one new port, and none of its old.")
        restore_flavor_id: str = option("", "Flavor of the new server. Empty: as the old one.")
        addresses: Literal["try", "keep", "new"] = option(
            "try",
            "try: the old fixed addresses where nothing has them now; keep: those, or no restore; new: any.",
        )

    class Saved(Options):
        """What the checkpoint keeps of a server."""

        server: str = required("What another server like it needs (JSON).")
        skew: float = option(
            0.0, "Time between the first and the last of its disks, by what the cloud says.", unit="s", told=True
        )
        frozen: float = option(0.0, "How long its guest was frozen.", unit="s", told=True)
        not_frozen: str = option("", "Why its disks do not show it frozen at one instant; empty: they do.", told=True)

    def prepare_begin(self, work: Work) -> Mapping[str, Any]:
        """Look at everything, refuse what could not come back, and freeze it."""
        found = described(Nova(work), work.key.id)
        held = {key.type for key, _child in work.children}
        if found["image_id"] and IMAGE not in held:
            raise errors.NotSupported(
                f"The root disk of {work.resource.name} would not be kept: the provider protects no images.",
                next_action="let the operator add karbor-image-protection-plugin to the provider",
            )
        if root_volume(found) is not None and VOLUME not in held:
            raise errors.NotSupported(
                f"The volume that {work.resource.name} boots from would not be kept: the provider protects no volumes.",
                next_action="let the operator add a plug-in for volumes to the provider",
            )
        return {"server": found, "freeze": server_freeze.hold(self.environment, work)}

    def prepare_finish(self, work: Work) -> Mapping[str, Any]:
        """All its disks are taken: thaw it, and see what they show."""
        return server_freeze.let_go(self.environment, work)

    def protect(self, work: Work) -> Protected:
        """All that is known was seen before."""
        found, instant = work.results["prepare_begin"]["server"], work.results["prepare_finish"]
        saved = {
            "server": json.dumps(found, sort_keys=True),
            "skew": instant["skew"],
            "frozen": instant["held"],
            "not_frozen": instant["not_frozen"],
        }
        return Protected(saved, consistency=instant["consistency"])

    def abandon(self, work: Work) -> None:
        """Whatever failed, the guest goes on."""
        server_freeze.thaw(self.environment, work)

    def restore_prepare(self, work: Work) -> Mapping[str, Any]:
        """Decide about flavor, key pair and addresses. Raises InvalidInput, Conflict where that cannot be."""
        decided, conflicts, _warnings = _decide(work)
        if conflicts:
            raise conflicts[0]
        return decided

    def restore(self, work: Work) -> Restored:
        """Leave it to Heat."""
        old = json.loads(saved_of(work)["server"])
        return Restored("", {}, parts(work, old, work.results["restore_prepare"]))

    def old_names(self, saved: SavedResource) -> OldNames:
        """Those of the networks and security groups of its ports; checkpoints of earlier releases do not hold them."""
        found: OldNames = json.loads(saved.saved["server"]).get("names") or {}
        return found

    def restore_plan(self, work: Work) -> RestorePlan:
        """A new server, and what would not be as it was."""
        decided, conflicts, warnings = _decide(work)
        place = decided.get("flavor_name", "")
        old = json.loads(saved_of(work)["server"])
        return RestorePlan(
            [{"name": decided["name"], "place": place}],
            conflicts=conflicts,
            warnings=warnings,
            decided=decided,
            template=() if conflicts else parts(work, old, decided),
        )


def _decide(work: Work) -> tuple[dict[str, Any], Sequence[errors.KarborError], Sequence[str]]:
    """What the new server will be; what stands against it; what people should know."""
    nova, options, old = Nova(work), work.options, json.loads(saved_of(work)["server"])
    conflicts: list[errors.KarborError] = []
    warnings: list[str] = []
    decided: dict[str, Any] = {
        "name": options.restore_name or work.mapped("names", old["name"]),
        "key_name": "",
        "group_id": "",
    }
    wanted = options.restore_flavor_id or work.mapped("flavor", old["flavor"]["original_name"])
    try:
        flavor, told = fitting_flavor(nova.flavors(), wanted, old["flavor"])
        decided.update(flavor_id=flavor["id"], flavor_name=flavor["name"])
        warnings += [told] if told else []
    except errors.InvalidInput as refusal:
        conflicts.append(refusal)
    if old["key_name"]:
        name = work.mapped("keypair", old["key_name"])
        if name and nova.has_keypair(name):
            decided["key_name"] = name
        elif name:
            warnings.append(f"There is no key pair {name!r}: the server keeps the keys on its disk and gets none.")
    if old["group"]:
        decided["group_id"] = work.mapped("server_group", old["group"]["id"])
        if decided["group_id"] and not _has_group(work, decided["group_id"]):
            decided["group_id"] = ""
            warnings.append(f"The server group {old['group']['name']!r} is gone: the server is in none.")
    if old["user_data"] is None:
        warnings.append("What user data the server was made with is not known: only administrators may see it.")
    elif old["user_data"] and not user_data_text(old["user_data"]):
        warnings.append("The user data that the server was made with is no text: no template can hold it.")
    held = {child.id for key, child in work.children if key.type == VOLUME}
    missing = [one["volume_id"] for one in old["volumes"] if one["volume_id"] not in held]
    warnings += [f"The volume {id_} is not in the checkpoint and will not be attached." for id_ in missing]
    decided["ports"], told_ports = _decide_ports(work, old)
    if options.addresses == "keep" and told_ports:
        conflicts.append(errors.Conflict(told_ports[0], next_action="free the address, or let addresses be new"))
    warnings += told_ports
    decided["floating"] = _free_floating(work, old, decided["ports"])
    return decided, conflicts, warnings


def _decide_ports(work: Work, old: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
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


def _free_floating(
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


def _has_group(work: Work, group_id: str) -> bool:
    try:
        work.cloud.compute.get(f"/os-server-groups/{group_id}")
    except errors.NotFound:
        return False
    return True

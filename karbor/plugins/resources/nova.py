# SPDX-License-Identifier: Apache-2.0
"""What must be kept of a server of Nova to make another like it, and which flavor comes next to a given one?"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from karbor.model import errors
from karbor.plugins.resources.pages import Pages
from karbor.sdk.marks import tags_without_marks
from karbor.sdk.protection import Work

Item = Mapping[str, Any]


class Nova:
    """Nova, and the ports that Neutron has for its servers, as one step of a work sees them."""

    def __init__(self, work: Work) -> None:
        self._api = work.cloud.compute
        self._pages = Pages(work)

    def server(self, server_id: str) -> Item:
        """One server. Raises NotFound."""
        return self._pages.server(server_id)

    def attachments(self, server_id: str) -> Sequence[Item]:
        """Its volumes with their devices, as Nova orders them."""
        return self._pages.attachments(server_id)

    def ports(self, server_id: str) -> Sequence[Item]:
        """Its ports with their addresses, in the order in which the server sees them as far as that is known."""
        return sorted(self._pages.ports(server_id), key=lambda port: (str(port.get("created_at")), str(port["id"])))

    def floating(self, port_ids: Sequence[str]) -> Sequence[Item]:
        """The floating addresses that lead to these ports."""
        if not port_ids:
            return []
        return [one for one in self._pages.floating() if one.get("port_id") in port_ids]

    def group_of(self, server_id: str) -> Item | None:
        """The server group it is in."""
        return next((group for group in self._pages.groups() if server_id in group["members"]), None)

    def names(self, ports: Sequence[Item]) -> dict[str, dict[str, str]]:
        """The names of the networks and security groups of these ports, by the words of mappings."""
        networks = {port["network_id"] for port in ports}
        groups = {id_ for port in ports for id_ in port["security_groups"]}
        return {
            "network": {id_: name for id_, name in self._pages.network_names().items() if id_ in networks},
            "security_group": {id_: name for id_, name in self._pages.group_names().items() if id_ in groups},
        }

    def flavors(self) -> Sequence[Item]:
        """Every flavor that the project may use."""
        return list(self._api.each("/flavors/detail", "flavors", sort_key="flavorid", sort_dir="asc"))

    def has_keypair(self, name: str) -> bool:
        """Whether the user who gave the permission has a key pair of that name."""
        try:
            self._api.get(f"/os-keypairs/{quote(name, safe='')}")
        except errors.NotFound:
            return False
        return True


def described(nova: Nova, server_id: str) -> dict[str, Any]:
    """Everything about a server that a tenant can see and set again. Costs three questions, and four for all servers
    of a job; for many servers of one job altogether as many as their lists have pages."""
    server, ports = nova.server(server_id), nova.ports(server_id)
    group = nova.group_of(server_id)
    return {
        "name": server["name"],
        "description": server.get("description") or "",
        "flavor": {key: value for key, value in server["flavor"].items() if key != "links"},
        "image_id": (server.get("image") or {}).get("id") or "",
        "availability_zone": server.get("OS-EXT-AZ:availability_zone") or "",
        "key_name": server.get("key_name") or "",
        "metadata": dict(server.get("metadata") or {}),
        "tags": tags_without_marks(server.get("tags")),
        "config_drive": bool(server.get("config_drive")),
        # Only administrators may see it: a tenant's own request gets none.
        "user_data": server.get("OS-EXT-SRV-ATTR:user_data"),
        "group": {"id": group["id"], "name": group["name"]} if group else None,
        "status": server["status"],
        "volumes": [
            {
                "volume_id": one["volumeId"],
                "device": one.get("device") or "",
                "delete_on_termination": bool(one.get("delete_on_termination")),
                "tag": one.get("tag"),
            }
            for one in nova.attachments(server_id)
        ],
        "ports": [
            {
                "id": port["id"],
                "name": port.get("name") or "",
                "network_id": port["network_id"],
                "mac_address": port["mac_address"],
                "fixed_ips": [dict(one) for one in port["fixed_ips"]],
                "security_groups": list(port["security_groups"]),
                "allowed_address_pairs": [dict(one) for one in port.get("allowed_address_pairs") or ()],
                "port_security_enabled": port.get("port_security_enabled", True),
                "vnic_type": port.get("binding:vnic_type") or "normal",
            }
            for port in ports
        ],
        "names": nova.names(ports) if ports else {},
        "floating": [
            {"id": one["id"], "port_id": one["port_id"], "address": one["floating_ip_address"]}
            for one in nova.floating([port["id"] for port in ports])
        ],
    }


def fitting_flavor(flavors: Sequence[Item], wanted: str, old: Mapping[str, Any]) -> tuple[Item, str]:
    """The flavor named ``wanted`` (its name or id), else the smallest that has what ``old`` had; and a word for people
    where it is another one. Raises InvalidInput where none is large enough."""
    for flavor in flavors:
        if wanted in (flavor["id"], flavor["name"]):
            return flavor, ""
    enough = [
        flavor
        for flavor in flavors
        if flavor["vcpus"] >= old["vcpus"] and flavor["ram"] >= old["ram"] and flavor["disk"] >= old["disk"]
    ]
    if not enough:
        raise errors.InvalidInput(
            f"There is no flavor {wanted!r}, and none with {old['vcpus']} CPUs, {old['ram']} MiB, {old['disk']} GiB.",
            next_action="name a flavor in restore_flavor_id or in the mapping of the restore",
        )
    nearest = min(enough, key=lambda flavor: (flavor["ram"], flavor["vcpus"], flavor["disk"], flavor["name"]))
    return nearest, f"There is no flavor {wanted!r} here; {nearest['name']} is the smallest that has as much."

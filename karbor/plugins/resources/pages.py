# SPDX-License-Identifier: Apache-2.0
"""How do the steps of a protect look at servers and volumes without asking for each?

Where a job has many of them, the lists of the whole project are asked for once, and serve every step. So what a step
sees may be as old as the attempt; a few are asked for one by one, and are as they are now.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from karbor.clients.service import PAGE
from karbor.plugins.resources.cloudtypes import LIST_FROM, SERVER, VOLUME
from karbor.sdk.protection import Work

Item = Mapping[str, Any]
Found = TypeVar("Found")


class Pages:
    """What the project has, as one step of a work sees it. What is not in a list that was made before is asked for by
    itself, which raises NotFound where it is gone."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._cloud = work.cloud

    def server(self, server_id: str) -> Item:
        """One server with everything that its tenant may see."""
        if self._many(SERVER):
            found = self._shared("servers", self._servers).get(server_id)
            if found is not None:
                return found
        one: Item = self._cloud.compute.get(f"/servers/{server_id}").json()["server"]
        return one

    def attachments(self, server_id: str) -> Sequence[Item]:
        """The volumes of a server with their devices, in the order in which Nova has them.

        Of many servers what Cinder tells of its volumes is used: it does not know the tags of devices.
        """
        if not self._many(SERVER):
            path = f"/servers/{server_id}/os-volume_attachments"
            found: list[Item] = self._cloud.compute.get(path).json()["volumeAttachments"]
            return found
        attached = []
        for one in self.server(server_id).get("os-extended-volumes:volumes_attached") or ():
            volume = self._shared("volumes", self._volumes).get(one["id"], {})
            here = [place for place in volume.get("attachments") or () if place.get("server_id") == server_id]
            device = here[0].get("device") if here else None
            attached.append({"volumeId": one["id"], "device": device, "tag": None, **_ends(one)})
        return attached

    def ports(self, server_id: str) -> Sequence[Item]:
        """The ports of a server, in no order."""
        if not self._many(SERVER):
            asked = self._cloud.network.get("/ports", params={"device_id": server_id})
            found: list[Item] = asked.json()["ports"]
            return found
        return self._shared("ports", self._ports).get(server_id, ())

    def floating(self) -> Sequence[Item]:
        """Every floating address of the project."""
        return self._shared("floating", lambda: list(self._listed("network", "/floatingips", "floatingips")))

    def groups(self) -> Sequence[Item]:
        """Every server group of the project."""
        return self._shared("groups", self._groups)

    def network_names(self) -> Mapping[str, str]:
        """The names of all networks that the project may use, by id."""
        return self._shared("network names", lambda: _names(self._listed("network", "/networks", "networks")))

    def group_names(self) -> Mapping[str, str]:
        """The names of the security groups of the project, by id."""
        listed = "/security-groups", "security_groups"
        return self._shared("security group names", lambda: _names(self._listed("network", *listed)))

    def volume(self, volume_id: str) -> Item:
        """One volume."""
        if self._many(VOLUME):
            found = self._shared("volumes", self._volumes).get(volume_id)
            if found is not None:
                return found
        one: Item = self._cloud.block_storage.get(f"/volumes/{volume_id}").json()["volume"]
        return one

    def _many(self, type_: str) -> bool:
        return self._work.operation == "protect" and len(self._work.together(type_)) >= LIST_FROM

    def _shared(self, name: str, find: Callable[[], Found]) -> Found:
        return self._work.shared(f"cloud {name}", find)

    def _servers(self) -> dict[str, Item]:
        listed = self._cloud.compute.each("/servers/detail", "servers", sort_key="uuid", sort_dir="asc")
        return _by_id(listed)

    def _volumes(self) -> dict[str, Item]:
        return _by_id(self._cloud.block_storage.each("/volumes/detail", "volumes", sort="id:asc"))

    def _ports(self) -> dict[str, list[Item]]:
        found: dict[str, list[Item]] = {}
        for port in self._listed("network", "/ports", "ports"):
            found.setdefault(port["device_id"], []).append(port)
        return found

    def _groups(self) -> list[Item]:
        found: list[Item] = []
        while True:  # Nova counts offsets here
            query = {"limit": PAGE, "offset": len(found)}
            page = self._cloud.compute.get("/os-server-groups", params=query).json()["server_groups"]
            found += page
            if len(page) < PAGE:
                return found

    def _listed(self, service: str, path: str, key: str) -> Iterable[Item]:
        listed: Iterable[Item] = getattr(self._cloud, service).each(path, key, sort_key="id", sort_dir="asc")
        return listed


def _by_id(items: Iterable[Item]) -> dict[str, Item]:
    return {item["id"]: item for item in items}


def _names(items: Iterable[Item]) -> dict[str, str]:
    return {item["id"]: item.get("name") or "" for item in items}


def _ends(attached: Item) -> dict[str, Any]:
    return {"delete_on_termination": bool(attached.get("delete_on_termination"))}

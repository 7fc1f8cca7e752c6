# SPDX-License-Identifier: Apache-2.0
"""What is there, by its id or its name, in the cloud that a checkpoint comes back to?"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from karbor.model import errors
from karbor.model.mapping import KINDS, MAPPING_TYPE

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud

#: Kind -> collection of Neutron, and whether those of others that are shared count as well.
_NETWORKING = {
    "network": ("networks", True),
    "subnet": ("subnets", True),
    "security_group": ("security-groups", False),
    "router": ("routers", False),
    "port": ("ports", False),
    "floating_ip": ("floatingips", False),
}
#: Kinds whose things are asked for by name; all others by id.
_BY_NAME = frozenset({"volume_type", "share_type", "availability_zone", "keypair"})
_SERVER = "OS::Nova::"
#: What the service itself is not there, or does not tell tenants.
_SILENT = (errors.NotSupported, errors.Forbidden, errors.NotFound)


class Target:
    """Asks a cloud for each kind at most once. Errors of the cloud pass through; a list that it does not give to
    tenants is unknown, and nothing is said about what is in it."""

    def __init__(self, open_cloud: "Callable[[], Cloud]") -> None:
        self._open_cloud = open_cloud
        self._seen: dict[str, list[Mapping[str, Any]] | None] = {}

    def resolve(self, kind: str, wanted: str) -> str:
        """What services take for the thing that the user calls ``wanted``, its id or its name.

        Raises InvalidInput where there is none of that id or name, or several of that name.
        """
        if not wanted:
            return ""
        if kind == "keypair":
            return self._keypair(wanted)
        known = self._all(kind)
        if known is None:
            return wanted
        same = [one for one in known if one["id"] == wanted] or [one for one in known if _is_called(one, wanted)]
        if len({one["id"] for one in same}) > 1:
            raise errors.InvalidInput(
                f"There are several of the kind {kind} with the name {wanted!r}.",
                next_action=f'give the id instead of the name under "{kind}" in {MAPPING_TYPE}',
            )
        if not same:
            raise errors.InvalidInput(
                f"The mapping names the {_word(kind)} {wanted!r}, and there is none of that id or name.",
                next_action=f'mend the entry under "{kind}" in {MAPPING_TYPE}',
            )
        return str(same[0]["name"] if kind in _BY_NAME else same[0]["id"])

    def has(self, kind: str, value: str, type_: str = "") -> bool:
        """Whether there is such a thing here, by what services take for it. ``type_``: the resource that needs it,
        for servers and volumes have availability zones of their own."""
        if kind == "availability_zone":
            zones = self._zones("server" if type_.startswith(_SERVER) else "volume")
            return zones is None or any(one["id"] == value for one in zones)
        known = self._all(kind)
        return known is None or any(value in (one["id"], one["name"] if kind in _BY_NAME else None) for one in known)

    def named(self, kind: str, name: str) -> str:
        """The id of the one thing of that name that the project has; empty where it has none, or several."""
        known = self._all(kind) or []
        same = {str(one["id"]) for one in known if one["name"] == name}
        return same.pop() if len(same) == 1 else ""

    def _all(self, kind: str) -> list[Mapping[str, Any]] | None:
        if kind not in self._seen:
            try:
                self._seen[kind] = [_plain(one) for one in self._ask(kind)]
            except _SILENT:
                self._seen[kind] = None
        return self._seen[kind]

    def _ask(self, kind: str) -> Iterator[Mapping[str, Any]] | Sequence[Mapping[str, Any]]:
        cloud = self._open_cloud()
        if kind in _NETWORKING:
            collection, shared = _NETWORKING[kind]
            mine: dict[str, Any] = {} if shared else {"project_id": cloud.project_id}
            key = collection.replace("-", "_")
            return cloud.network.each(f"/{collection}", key, sort_key="id", sort_dir="asc", **mine)
        if kind == "flavor":
            return cloud.compute.each("/flavors/detail", "flavors", sort_key="flavorid", sort_dir="asc")
        if kind == "image":
            return cloud.image.each("/images", "images", sort_key="id", sort_dir="asc")
        if kind == "availability_zone":
            return [*(self._zones("server") or ()), *(self._zones("volume") or ())]
        service, path, key = {
            "volume_type": (cloud.block_storage, "/types", "volume_types"),
            "share_type": (cloud.shared_file_system, "/types", "share_types"),
            "share_network": (cloud.shared_file_system, "/share-networks", "share_networks"),
            "server_group": (cloud.compute, "/os-server-groups", "server_groups"),
        }[kind]
        found: list[Mapping[str, Any]] = service.get(path).json()[key]
        return found

    def _zones(self, of: str) -> list[Mapping[str, Any]] | None:
        """The availability zones of servers or volumes that can be chosen now."""
        place = f"zones of {of}"
        if place not in self._seen:
            cloud = self._open_cloud()
            service = cloud.compute if of == "server" else cloud.block_storage
            try:
                told = service.get("/os-availability-zone").json()["availabilityZoneInfo"]
                self._seen[place] = [
                    {"id": one["zoneName"], "name": one["zoneName"]} for one in told if one["zoneState"]["available"]
                ]
            except _SILENT:
                self._seen[place] = None
        return self._seen[place]

    def _keypair(self, name: str) -> str:
        try:
            self._open_cloud().compute.get(f"/os-keypairs/{quote(name, safe='')}")
        except errors.NotFound:
            raise errors.InvalidInput(
                f"The mapping names the key pair {name!r}, and there is none of that name.",
                next_action=f'mend the entry under "keypair" in {MAPPING_TYPE}',
            ) from None
        return name


def _plain(one: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"id": one["id"], "name": one.get("name") or one.get("floating_ip_address") or ""}


def _is_called(one: Mapping[str, Any], wanted: str) -> bool:
    return bool(one["name"] == wanted)


def _word(kind: str) -> str:
    assert kind in KINDS
    return kind.replace("_", " ")

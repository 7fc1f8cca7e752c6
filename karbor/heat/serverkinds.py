# SPDX-License-Identifier: Apache-2.0
"""How are servers, volumes, shares and databases built without Heat?"""

import base64
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from karbor.heat.kinds import Item, Relation, Slow
from karbor.model import errors

if TYPE_CHECKING:
    from karbor.clients.service import Service

_PAGE = 1000


def _renamed(properties: Item, **names: str) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in properties.items()}


class Server(Slow):
    """Servers of Nova; the mark is one of their tags."""

    path, key, what = "/servers", "server", "server"
    ready = frozenset({"active"})

    @property
    def api(self) -> "Service":
        return self.cloud.compute

    def listed(self) -> Iterable[Item]:
        return self.api.each("/servers/detail", "servers", sort_key="uuid", sort_dir="asc")

    def marks(self, item: Item) -> Iterable[str]:
        return item.get("tags") or ()

    def make(self, mark: str, properties: Item) -> Item:
        given = _renamed(properties, flavor="flavorRef", image="imageRef")
        hints = given.pop("scheduler_hints", None)
        if given.pop("user_data_format", "RAW") != "RAW":
            raise errors.NotSupported("Without Heat, user data of a server can only be given as it is.")
        if given.get("user_data"):
            given["user_data"] = base64.b64encode(str(given["user_data"]).encode()).decode()
        given["tags"] = [*(given.get("tags") or ()), mark]
        given["networks"] = [_renamed(one, network="uuid") for one in given.get("networks") or ()] or "none"
        devices = [_device(one) for one in given.pop("block_device_mapping_v2", ())]
        body: dict[str, Any] = {"server": {**given, **({"block_device_mapping_v2": devices} if devices else {})}}
        if hints:
            body["os:scheduler_hints"] = hints
        found: Item = self.api.post("/servers", json=body).json()["server"]
        return found


def _device(one: Item) -> dict[str, Any]:
    given = _renamed(one, volume_id="uuid")
    return {"source_type": "volume", "destination_type": "volume", **given}


class VolumeAttachment(Relation):
    """A volume at a server of this restore."""

    def find(self, name: str, properties: Item) -> str:
        server, volume = properties["instance_uuid"], properties["volume_id"]
        try:
            known = self.cloud.compute.get(f"/servers/{server}/os-volume_attachments").json()["volumeAttachments"]
        except errors.NotFound:
            return ""
        return f"{server}:{volume}" if any(one["volumeId"] == volume for one in known) else ""

    def join(self, name: str, properties: Item) -> str:
        server, volume = properties["instance_uuid"], properties["volume_id"]
        given = {"volumeId": volume, **({"device": properties["mountpoint"]} if properties.get("mountpoint") else {})}
        self.cloud.compute.post(f"/servers/{server}/os-volume_attachments", json={"volumeAttachment": given})
        return f"{server}:{volume}"

    def is_ready(self, id_: str) -> bool:
        server, volume = id_.split(":")
        found = self.cloud.block_storage.get(f"/volumes/{volume}").json()["volume"]
        attached = any(one["server_id"] == server for one in found["attachments"])
        if not attached and found["status"] in ("available", "error", "error_attaching"):
            raise errors.StepFailed(f"The volume {volume} could not be attached: it is {found['status']}.")
        return attached and found["status"] == "in-use"

    def remove(self, id_: str) -> bool:
        server, volume = id_.split(":")
        if not self.find("", {"instance_uuid": server, "volume_id": volume}):
            return True
        try:
            self.cloud.compute.delete(f"/servers/{server}/os-volume_attachments/{volume}")
        except errors.NotFound:
            return True
        except (errors.Conflict, errors.InvalidInput):  # Nova is about it already
            if self.find("", {"instance_uuid": server, "volume_id": volume}):
                return False
        return False


class Volume(Slow):
    """Volumes of Cinder; the mark is in their metadata."""

    path, key, what = "/volumes", "volume", "volume"
    ready = frozenset({"available", "in-use"})
    busy = frozenset(
        {"creating", "downloading", "restoring-backup", "in-use", "attaching", "detaching", "reserved", "uploading"}
    )

    @property
    def api(self) -> "Service":
        return self.cloud.block_storage

    def listed(self) -> Iterable[Item]:
        return self.api.each("/volumes/detail", "volumes", sort="id:asc")

    def marks(self, item: Item) -> Iterable[str]:
        return (str((item.get("metadata") or {}).get("karbor_mark") or ""),)

    def make(self, mark: str, properties: Item) -> Item:
        given = _renamed(properties, image="imageRef")
        given["metadata"] = {**(given.get("metadata") or {}), "karbor": "restored", "karbor_mark": mark}
        found: Item = self.api.post("/volumes", json={"volume": given}).json()["volume"]
        return found


class Share(Slow):
    """Shares of Manila; the mark is in their metadata. Who may use one can be said when it is there."""

    path, key, what = "/shares", "share", "share"
    ready = frozenset({"available"})
    busy = frozenset({"creating", "creating_from_snapshot"})

    @property
    def api(self) -> "Service":
        return self.cloud.shared_file_system

    def listed(self) -> Iterable[Item]:
        offset = 0
        while True:
            query = {"sort_key": "id", "sort_dir": "asc", "limit": _PAGE, "offset": offset}
            page = self.api.get("/shares/detail", params=query).json()["shares"]
            yield from page
            if len(page) < _PAGE:
                return
            offset += len(page)

    def marks(self, item: Item) -> Iterable[str]:
        return (str((item.get("metadata") or {}).get("karbor_mark") or ""),)

    def make(self, mark: str, properties: Item) -> Item:
        names = {"share_protocol": "share_proto", "snapshot": "snapshot_id", "share_network": "share_network_id"}
        given = _renamed({name: value for name, value in properties.items() if name != "access_rules"}, **names)
        given["metadata"] = {**(given.get("metadata") or {}), "karbor_mark": mark}
        found: Item = self.api.post("/shares", json={"share": given}).json()["share"]
        return found

    def complete(self, id_: str, properties: Item) -> None:
        wanted = properties.get("access_rules") or ()
        if not wanted:
            return
        rules = self.api.get("/share-access-rules", params={"share_id": id_}).json()["access_list"]
        known = {(one["access_type"], one["access_to"]) for one in rules}
        for rule in wanted:
            if (rule["access_type"], rule["access_to"]) not in known:
                self.api.post(f"/shares/{id_}/action", json={"allow_access": dict(rule)})
                self.reached("access-given")


class Database(Slow):
    """Instances of Trove. They have neither tags nor metadata: the mark stays at the end of the name."""

    path, key, what = "/instances", "instance", "database"
    ready = frozenset({"active", "healthy"})
    busy = frozenset({"build", "shutdown"})

    @property
    def api(self) -> "Service":
        return self.cloud.database

    def listed(self) -> Iterable[Item]:
        return self.api.each("/instances", "instances")

    def marks(self, item: Item) -> Iterable[str]:
        return (str(item["name"]).rpartition(" ")[2],)

    def make(self, mark: str, properties: Item) -> Item:
        given = properties
        body: dict[str, Any] = {
            "name": f"{given['name']} {mark}",
            "flavorRef": given["flavor"],
            "volume": {"size": given["size"]},
            "datastore": {"type": given["datastore_type"], "version": given["datastore_version"]},
            "restorePoint": {"backupRef": given["restore_point"]},
        }
        if given.get("networks"):
            body["nics"] = [{"net-id": one["network"]} for one in given["networks"]]
        found: Item = self.api.post("/instances", json={"instance": body}).json()["instance"]
        return found

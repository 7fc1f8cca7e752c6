# SPDX-License-Identifier: Apache-2.0
"""How are volumes of Cinder found, and those of a server?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from karbor.model.resource import Resource
from karbor.model.selection import METADATA, NAME, Choice
from karbor.plugins.resources.cinder import PASSING, PURPOSE
from karbor.plugins.resources.cloudtypes import PAGE, PROJECT, SERVER, VOLUME, CloudProtectable


class VolumeProtectable(CloudProtectable):
    """Volumes of the project. One that is attached to several servers lies below each of them, and is one."""

    resource_type = VOLUME
    parent_types = (PROJECT, SERVER)
    service = "block_storage"
    chosen_by = frozenset({NAME, METADATA})
    hidden = frozenset({"error", "deleting", "error_deleting"})

    def found(self, project_id: str, *, after: str = "", size: int = PAGE, **query: Any) -> Iterator[Mapping[str, Any]]:
        """One question for each page."""
        return self.cloud.block_storage.each(
            "/volumes/detail", "volumes", after=after, size=size, sort="id:asc", **query
        )

    def narrowing(self, choice: Choice) -> Mapping[str, Any]:
        """Cinder leaves out what lacks any of the metadata, where its operator lets users ask so."""
        return {"metadata": str(dict(choice.wanted.metadata))} if choice.wanted.metadata else {}

    def metadata(self, item: Mapping[str, Any]) -> Mapping[str, str]:
        """As Cinder has them."""
        return item.get("metadata") or {}

    def look_up(self, resource_id: str) -> Mapping[str, Any]:
        """One question."""
        volume: Mapping[str, Any] = self.cloud.block_storage.get(f"/volumes/{resource_id}").json()["volume"]
        return volume

    def is_hidden(self, item: Mapping[str, Any]) -> bool:
        """Also what a job of ours made for a while."""
        return super().is_hidden(item) or (item.get("metadata") or {}).get(PURPOSE) == PASSING

    def owner(self, item: Mapping[str, Any]) -> str:
        """As Cinder names it."""
        return str(item["os-vol-tenant-attr:tenant_id"])

    def resource(self, item: Mapping[str, Any]) -> Resource:
        """With the zone that old clients show, and what is needed to know what a copy of it costs."""
        known = {"availability_zone": item.get("availability_zone"), "size": item.get("size")}
        info = {name: value for name, value in {**known, "volume_type": item.get("volume_type")}.items() if value}
        return Resource(VOLUME, item["id"], item.get("name") or item["id"], info)

    def below(self, project_id: str, parents: Sequence[Resource]) -> Mapping[str, Sequence[Resource]]:
        """A volume says to which servers it is attached, so one pass over the volumes serves every server."""
        attached: dict[str, list[Resource]] = {parent.id: [] for parent in parents}
        for item in self.found(project_id):
            if self.owner(item) != project_id or self.is_hidden(item):
                continue
            for attachment in item.get("attachments") or ():
                if attachment.get("server_id") in attached:
                    attached[attachment["server_id"]].append(self.resource(item))
        return attached

# SPDX-License-Identifier: Apache-2.0
"""How are images of Glance found, and the one that a server boots from?"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from karbor.model.resource import Resource
from karbor.model.selection import METADATA, NAME, TAGS, Choice
from karbor.plugins.resources.cloudtypes import IMAGE, LIST_FROM, PAGE, PROJECT, SERVER, CloudProtectable
from karbor.plugins.resources.glance import is_passing

_AT_ONCE = 50  # images asked for by id in one question: the line of a request is not endless


class ImageProtectable(CloudProtectable):
    """Images that the project owns. Below a server that boots from an image lies that image, also a public one, as
    what the server's root disk began with; it belongs to that server, whose root disk is its own."""

    resource_type = IMAGE
    parent_types = (PROJECT, SERVER)
    service = "image"
    chosen_by = frozenset({NAME, TAGS, METADATA})
    hidden = frozenset({"killed", "deleted", "pending_delete", "deactivated"})

    def found(self, project_id: str, *, after: str = "", size: int = PAGE, **query: Any) -> Iterator[Mapping[str, Any]]:
        """One question for each page."""
        return self.cloud.image.each(
            "/images", "images", after=after, size=size, owner=project_id, sort_key="id", sort_dir="asc", **query
        )

    def narrowing(self, choice: Choice) -> Mapping[str, Any]:
        """Glance leaves out what lacks one of the tags."""
        return {"tag": list(choice.wanted.tags)} if choice.wanted.tags else {}

    def tags(self, item: Mapping[str, Any]) -> Iterable[str]:
        """As Glance has them."""
        return item.get("tags") or ()

    def metadata(self, item: Mapping[str, Any]) -> Mapping[str, str]:
        """The properties of the image; Glance mixes them with fields of its own."""
        return {name: value for name, value in item.items() if isinstance(value, str)}

    def look_up(self, resource_id: str) -> Mapping[str, Any]:
        """One question."""
        image: Mapping[str, Any] = self.cloud.image.get(f"/images/{resource_id}").json()
        return image

    def is_hidden(self, item: Mapping[str, Any]) -> bool:
        """Also what a job of ours made for a while."""
        return super().is_hidden(item) or is_passing(item)

    def owner(self, item: Mapping[str, Any]) -> str:
        """As Glance names it."""
        return str(item.get("owner") or "")

    def below(self, project_id: str, parents: Sequence[Resource]) -> Mapping[str, Sequence[Resource]]:
        """One pass over the servers where they are many, and one question for each fifty images of theirs."""
        booted = {server["id"]: server for server in self._servers(parents) if server.get("image")}
        names = self._names(sorted({server["image"]["id"] for server in booted.values()}))
        return {server_id: [_root_disk(server, names)] for server_id, server in booted.items()}

    def _servers(self, parents: Sequence[Resource]) -> Iterator[Mapping[str, Any]]:
        wanted = {parent.id for parent in parents}
        if len(wanted) < LIST_FROM:
            for server_id in sorted(wanted):
                yield self.cloud.compute.get(f"/servers/{server_id}").json()["server"]
            return
        servers = self.cloud.compute.each("/servers/detail", "servers", sort_key="uuid", sort_dir="asc")
        yield from (server for server in servers if server["id"] in wanted)

    def _names(self, image_ids: Sequence[str]) -> dict[str, str]:
        """The names of those that are still there: a server outlives its image."""
        names = {}
        for start in range(0, len(image_ids), _AT_ONCE):
            wanted = "in:" + ",".join(image_ids[start : start + _AT_ONCE])
            for item in self.cloud.image.each("/images", "images", id=wanted, sort_key="id", sort_dir="asc"):
                names[item["id"]] = item.get("name") or item["id"]
        return names


def _root_disk(server: Mapping[str, Any], names: Mapping[str, str]) -> Resource:
    """What a server's root disk began with. ``disk`` is how many GiB it can have, where its flavor bounds that."""
    image_id, disk = server["image"]["id"], (server.get("flavor") or {}).get("disk")
    info = {"server_id": server["id"], **({"disk": disk} if disk else {})}
    return Resource(IMAGE, image_id, names.get(image_id, image_id), info, per_parent=True)

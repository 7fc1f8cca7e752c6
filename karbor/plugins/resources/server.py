# SPDX-License-Identifier: Apache-2.0
"""How are servers of Nova found?"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from karbor.model.selection import METADATA, NAME, TAGS, Choice
from karbor.plugins.resources.cloudtypes import PAGE, SERVER, CloudProtectable


class ServerProtectable(CloudProtectable):
    """Servers of the project; below them lie their volumes, and the image of those that boot from one."""

    resource_type = SERVER
    service = "compute"
    chosen_by = frozenset({NAME, TAGS, METADATA})
    hidden = frozenset({"deleted", "error", "unknown", "soft_deleted", "rescue", "rescued"})

    def found(self, project_id: str, *, after: str = "", size: int = PAGE, **query: Any) -> Iterator[Mapping[str, Any]]:
        """One question for each page."""
        return self.cloud.compute.each(
            "/servers/detail", "servers", after=after, size=size, sort_key="uuid", sort_dir="asc", **query
        )

    def look_up(self, resource_id: str) -> Mapping[str, Any]:
        """One question."""
        server: Mapping[str, Any] = self.cloud.compute.get(f"/servers/{resource_id}").json()["server"]
        return server

    def owner(self, item: Mapping[str, Any]) -> str:
        """As Nova names it."""
        return str(item["tenant_id"])

    def narrowing(self, choice: Choice) -> Mapping[str, Any]:
        """Nova leaves out what lacks one of the tags; by metadata only its administrators may ask."""
        return {"tags": ",".join(choice.wanted.tags)} if choice.wanted.tags else {}

    def tags(self, item: Mapping[str, Any]) -> Iterable[str]:
        """As Nova has them."""
        return item.get("tags") or ()

    def metadata(self, item: Mapping[str, Any]) -> Mapping[str, str]:
        """As Nova has them."""
        return item.get("metadata") or {}

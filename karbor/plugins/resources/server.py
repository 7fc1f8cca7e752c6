# SPDX-License-Identifier: Apache-2.0
"""How are servers of Nova found?"""

from collections.abc import Iterator, Mapping
from typing import Any

from karbor.plugins.resources.cloudtypes import PAGE, SERVER, CloudProtectable


class ServerProtectable(CloudProtectable):
    """Servers of the project; below them lie their volumes, and the image of those that boot from one."""

    resource_type = SERVER
    service = "compute"
    hidden = frozenset({"deleted", "error", "unknown", "soft_deleted", "rescue", "rescued"})

    def found(self, project_id: str, *, after: str = "", size: int = PAGE) -> Iterator[Mapping[str, Any]]:
        """One question for each page."""
        return self.cloud.compute.each(
            "/servers/detail", "servers", after=after, size=size, sort_key="uuid", sort_dir="asc"
        )

    def look_up(self, resource_id: str) -> Mapping[str, Any]:
        """One question."""
        server: Mapping[str, Any] = self.cloud.compute.get(f"/servers/{resource_id}").json()["server"]
        return server

    def owner(self, item: Mapping[str, Any]) -> str:
        """As Nova names it."""
        return str(item["tenant_id"])

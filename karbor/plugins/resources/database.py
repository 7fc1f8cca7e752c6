# SPDX-License-Identifier: Apache-2.0
"""How are database instances of Trove found?"""

from collections.abc import Iterator, Mapping
from typing import Any

from karbor.plugins.resources.cloudtypes import DATABASE, PAGE, CloudProtectable


class DatabaseProtectable(CloudProtectable):
    """Database instances of the project. Trove shows nobody else's, and its lists are in order of id."""

    resource_type = DATABASE
    service = "database"
    hidden = frozenset({"build", "reboot", "resize", "error"})

    def found(self, project_id: str, *, after: str = "", size: int = PAGE, **query: Any) -> Iterator[Mapping[str, Any]]:
        """One question for each page; Trove gives twenty at once unless it is set otherwise."""
        for item in self.cloud.database.each("/instances", "instances", after=after, size=size):
            yield {**item, "project_id": project_id}

    def look_up(self, resource_id: str) -> Mapping[str, Any]:
        """One question."""
        found = self.cloud.database.get(f"/instances/{resource_id}").json()["instance"]
        return {**found, "project_id": self.cloud.project_id}

    def owner(self, item: Mapping[str, Any]) -> str:
        """The project of whoever asked."""
        return str(item["project_id"])

# SPDX-License-Identifier: Apache-2.0
"""How are shares of Manila found?"""

from collections.abc import Iterator, Mapping
from typing import Any

from karbor.model.resource import Resource
from karbor.model.selection import METADATA, NAME
from karbor.plugins.resources.cloudtypes import PAGE, SHARE, CloudProtectable


class ShareProtectable(CloudProtectable):
    """Shares of the project. Manila counts offsets, so that a later page costs the earlier ones as well."""

    resource_type = SHARE
    service = "shared_file_system"
    chosen_by = frozenset({NAME, METADATA})
    hidden = frozenset(
        {
            "deleting",
            "deleted",
            "error",
            "error_deleting",
            "manage_error",
            "unmanage_error",
            "extending_error",
            "shrinking_error",
            "reverting_error",
        }
    )

    def found(self, project_id: str, *, after: str = "", size: int = PAGE, **query: Any) -> Iterator[Mapping[str, Any]]:
        """One question for each page up to the one asked for."""
        offset = 0
        while True:
            query = {"sort_key": "id", "sort_dir": "asc", "limit": PAGE, "offset": offset}
            page = self.cloud.shared_file_system.get("/shares/detail", params=query).json()["shares"]
            yield from (share for share in page if share["id"] > after)
            if len(page) < PAGE:
                return
            offset += len(page)

    def metadata(self, item: Mapping[str, Any]) -> Mapping[str, str]:
        """As Manila has them."""
        return item.get("metadata") or {}

    def look_up(self, resource_id: str) -> Mapping[str, Any]:
        """One question."""
        share: Mapping[str, Any] = self.cloud.shared_file_system.get(f"/shares/{resource_id}").json()["share"]
        return share

    def owner(self, item: Mapping[str, Any]) -> str:
        """As Manila names it."""
        return str(item["project_id"])

    def resource(self, item: Mapping[str, Any]) -> Resource:
        """With what is needed to know what a snapshot of it costs."""
        info = {"size": item["size"]} if item.get("size") else {}
        return Resource(SHARE, item["id"], item.get("name") or item["id"], info)

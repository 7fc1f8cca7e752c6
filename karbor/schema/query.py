# SPDX-License-Identifier: Apache-2.0
"""Which parameters does the query string of a list take?"""

from dataclasses import dataclass

from karbor.schema.types import Schema

PAGING: dict[str, Schema] = {
    "limit": {"type": "integer", "minimum": 1, "description": "At most this many things; capped by osapi_max_limit."},
    "marker": {"type": "string", "description": "Id of the last thing already seen; the page starts behind it."},
}
SORTING: dict[str, Schema] = {
    "sort": {
        "type": "string",
        "description": "`key[:asc|desc]`, several joined by commas. The default is `created_at:desc`.",
    },
    "sort_key": {"type": "string", "description": "The other way to say it; not together with `sort`."},
    "sort_dir": {"type": "string", "enum": ["asc", "desc"], "description": "Direction of `sort_key`; desc by default."},
}
OFFSET: dict[str, Schema] = {
    "offset": {"type": "integer", "minimum": 0, "description": "Leave out this many things."},
}
TENANTS: dict[str, Schema] = {
    "all_tenants": {
        "type": "string",
        "description": "Things of every project; only for administrators.",
    },
    "project_id": {"type": "string", "description": "With `all_tenants`: only those of this project."},
}


@dataclass(frozen=True)
class ListQuery:
    """What a list can do. ``sort`` are the keys it orders by; ``filters`` maps a filter to its description.

    ``ignored_sort`` are keys that old clients may send and that change nothing.
    """

    filters: dict[str, str]
    sort: tuple[str, ...] = ()
    ignored_sort: tuple[str, ...] = ()
    default_sort: tuple[tuple[str, str], ...] = (("created_at", "desc"),)
    offset: bool = False
    tenants: bool = False

    @property
    def parameters(self) -> dict[str, Schema]:
        """Every parameter with its schema, for the API document."""
        found = dict(PAGING)
        if self.sort:
            found |= SORTING
        if self.offset:
            found |= OFFSET
        if self.tenants:
            found |= TENANTS
        return found | {name: {"type": "string", "description": text} for name, text in self.filters.items()}

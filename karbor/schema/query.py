# SPDX-License-Identifier: Apache-2.0
"""Which parameters does the query string of a list take?"""

from dataclasses import dataclass

from karbor.schema.types import DATE, END, PRINTABLE, UUID, Schema

#: A direction in any case; old clients are not strict.
_DIRECTION = "([Aa][Ss][Cc]|[Dd][Ee][Ss][Cc])"
_YES_OR_NO = "|".join(
    "".join(f"[{letter.upper()}{letter}]" for letter in word) for word in ("yes", "no", "y", "n", "true", "false")
)

MAX_INT = 0x7FFFFFFF
PAGING: dict[str, Schema] = {
    "limit": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_INT,
        "description": "At most this many things; capped by osapi_max_limit.",
    },
    "marker": {"type": "string", "description": "Id of the last thing already seen; the page starts behind it."},
}
OFFSET: dict[str, Schema] = {
    "offset": {"type": "integer", "minimum": 0, "maximum": MAX_INT, "description": "Leave out this many things."},
}
TENANTS: dict[str, Schema] = {
    "all_tenants": {
        "type": "string",
        "pattern": f"^([01]|{_YES_OR_NO})?{END}",
        "description": "Things of every project (1, true, yes); only for administrators.",
        "examples": ["0"],
    },
    "project_id": {"type": "string", "description": "With `all_tenants`: only those of this project."},
}


def sorting(keys: tuple[str, ...], default: tuple[tuple[str, str], ...]) -> dict[str, Schema]:
    """The parameters that say in which order things come."""
    key, usual = "|".join(keys), ",".join(":".join(pair) for pair in default)
    one = f"({key})(:{_DIRECTION}?)?"
    return {
        "sort": {
            "type": "string",
            "pattern": f"^({one}(,{one})*)?{END}",
            "description": f"`key[:asc|desc]`, several joined by commas. The default is `{usual}`.",
            "examples": [usual],
        },
        "sort_key": {
            "type": "string",
            "enum": list(keys),
            "description": "The other way to say it; not together with `sort`.",
        },
        "sort_dir": {
            "type": "string",
            "pattern": f"^{_DIRECTION}{END}",
            "description": "Direction of `sort_key`: asc or desc; desc by default.",
            "examples": ["asc"],
        },
    }


def _filter(name: str, text: str) -> Schema:
    """The shape follows from the name, so that one kind of filter is the same in every list."""
    if name.endswith("_id"):
        return {**UUID, "description": text}
    if name.endswith("_date"):
        return {**DATE, "description": text}
    if name == "enabled":
        return {**TENANTS["all_tenants"], "description": text}
    return {"type": "string", "pattern": PRINTABLE, "description": text}


@dataclass(frozen=True)
class ListQuery:
    """What a list can do. ``sort`` are the keys it orders by; ``filters`` maps a filter to its description.

    ``ignored_sort`` are keys that old clients may send and that change nothing. ``project_alone``: old clients name a
    project without saying ``all_tenants``.
    """

    filters: dict[str, str]
    sort: tuple[str, ...] = ()
    ignored_sort: tuple[str, ...] = ()
    default_sort: tuple[tuple[str, str], ...] = (("created_at", "desc"),)
    offset: bool = False
    tenants: bool = False
    project_alone: bool = False

    @property
    def parameters(self) -> dict[str, Schema]:
        """Every parameter with its schema, for the API document."""
        found = dict(PAGING)
        if self.sort:
            found |= sorting((*self.sort, *self.ignored_sort), self.default_sort)
        if self.offset:
            found |= OFFSET
        if self.tenants:
            found |= TENANTS
        if self.project_alone:
            text = "Only things of this project; for administrators, also without `all_tenants`."
            found["project_id"] = {**TENANTS["project_id"], "description": text}
        return found | {name: _filter(name, text) for name, text in self.filters.items()}

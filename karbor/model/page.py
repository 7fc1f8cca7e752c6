# SPDX-License-Identifier: Apache-2.0
"""Which part of a list is asked for, and in which order?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
MAX_LIMIT = 1000


@dataclass(frozen=True)
class PageRequest:
    """``limit`` rows after the row with id ``marker`` (exclusive) in the order of ``sort``.

    ``sort`` is a tuple of (key, "asc"|"desc"); the id breaks ties in the direction of the last key. ``filters`` maps a
    declared filter name to a text; what a filter means (equal, substring, day) is declared by the list. ``project_id``
    None means every project (an administrator asked for all tenants).
    """

    limit: int = MAX_LIMIT
    marker: str | None = None
    offset: int = 0
    sort: tuple[tuple[str, str], ...] = (("created_at", "desc"),)
    filters: Mapping[str, str] = field(default_factory=dict)
    project_id: str | None = None


@dataclass(frozen=True)
class Page(Generic[T]):
    """The rows asked for. ``full`` is true where there may be more after the last."""

    items: tuple[T, ...]
    full: bool = False

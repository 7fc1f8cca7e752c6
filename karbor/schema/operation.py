# SPDX-License-Identifier: Apache-2.0
"""What is known of one operation of the API?

Everything else is derived from this record: validation, the check of answers, the policy rule, the API document.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from karbor.schema.query import ListQuery
from karbor.schema.types import Schema

Role = Literal["reader", "member", "admin"]


@dataclass(frozen=True)
class Operation:
    """One declared operation. ``rule`` None means that everybody may call it, also without logging in."""

    rule: str | None
    summary: str
    description: str = ""
    role: Role = "reader"
    body: Schema | None = None
    response: Schema | None = None
    query: ListQuery | None = None
    parameters: Mapping[str, Schema] = field(default_factory=dict)
    status: int = 200
    errors: tuple[int, ...] = ()

    @property
    def query_parameters(self) -> dict[str, Schema]:
        """Every parameter of the query string."""
        return {**(self.query.parameters if self.query else {}), **self.parameters}


@dataclass(frozen=True)
class Endpoint:
    """An operation at its place. ``path`` holds ``{name}`` for each of ``path_parameters``."""

    method: str
    path: str
    path_parameters: Mapping[str, Schema]
    operation: Operation

    @property
    def id(self) -> str:
        """A name without special characters: ``plan_create``, ``get_root``."""
        if self.operation.rule:
            return self.operation.rule.replace(":", "_")
        place = self.path.strip("/").replace("/", "_").replace(".", "_")
        return f"{self.method.lower()}_{place or 'root'}"

# SPDX-License-Identifier: Apache-2.0
"""What is known of one operation of the API?

Everything else is derived from this record: validation, the check of answers, the policy rule, the API document.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from karbor.schema.query import ListQuery
from karbor.schema.types import END, Schema

Role = Literal["reader", "member", "admin"]

IDEMPOTENCY_KEY: Schema = {
    "type": "string",
    "pattern": r"^[!-~]{1,255}" + END,
    "description": "A text of your choice: the same request with the same key gets the first answer for a day, and"
    " nothing is done twice. With another request the key is refused.",
}
_IF_MATCH: Schema = {
    "type": "string",
    "description": "The ETag that you saw: where the thing has changed since, nothing is done and the answer is 412.",
}
_IF_NONE_MATCH: Schema = {
    "type": "string",
    "description": "The ETag that you saw: where the thing is still the same, the answer is 304 without a body.",
}
_RANGE: Schema = {
    "type": "string",
    "description": "One range of bytes, such as ``bytes=1048576-``. Several at once count as absent.",
}
_IF_RANGE: Schema = {
    "type": "string",
    "description": "The ETag that you saw: where it is another one, the answer is all of it.",
}


_BRACES = str.maketrans("", "", "{}")


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
    #: The thing has an entity tag: answers carry it, and a change may be asked for under its condition.
    tagged: bool = False
    #: The request may carry a key under which a repetition gets the first answer.
    repeatable: bool = False
    #: It begins work: how many of them a project may send in a minute has a bound.
    begins_work: bool = False
    #: Rules beside ``rule`` that some requests must meet as well: (name, role, what it allows).
    more_rules: tuple[tuple[str, Role, str], ...] = ()
    #: What the answer is, where it is no JSON but the content of something: it may be asked for in parts.
    media: str | None = None
    #: Headers besides.
    more_headers: Mapping[str, Schema] = field(default_factory=dict)

    @property
    def query_parameters(self) -> dict[str, Schema]:
        """Every parameter of the query string."""
        return {**(self.query.parameters if self.query else {}), **self.parameters}

    def headers(self, method: str) -> dict[str, Schema]:
        """The headers of a request with this method that change what it does."""
        found: dict[str, Schema] = dict(self.more_headers)
        if self.repeatable:
            found["Idempotency-Key"] = IDEMPOTENCY_KEY
        if self.media is not None:
            found |= {"Range": _RANGE, "If-Range": _IF_RANGE}
        if self.tagged and method == "GET":
            found["If-None-Match"] = _IF_NONE_MATCH
        if self.tagged and method in ("PUT", "DELETE"):
            found["If-Match"] = _IF_MATCH
        return found


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
        place = self.path.strip("/").replace("/", "_").replace(".", "_").translate(_BRACES)
        return f"{self.method.lower()}_{place or 'root'}"

# SPDX-License-Identifier: Apache-2.0
"""How does a URL find its operation, and which operations are there?

The tree of nodes is the only place that spells URLs: requests are routed along it, and the API document, the policy
rules and the tests walk it.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote

import pecan
from webob import exc

from karbor.api.call import Services, canonical
from karbor.model import errors
from karbor.schema.operation import Endpoint, Operation
from karbor.schema.types import Schema
from karbor.schema.validate import Shape

METHODS = ("GET", "POST", "PUT", "DELETE")


@dataclass(frozen=True)
class Item:
    """A path segment that names a thing: the parameter's name and shape, and the node behind it."""

    name: str
    schema: Schema
    node: "type[Node]"

    @functools.cached_property
    def _shape(self) -> Shape:
        return Shape(self.schema)

    def accept(self, text: str) -> str:
        """The id that ``text`` names, a uuid in its one form. Raises InvalidInput."""
        try:
            self._shape.check(text)
        except errors.InvalidInput:
            kind = "a uuid" if self.schema.get("format") == "uuid" else "valid"
            raise errors.InvalidInput(f"The {self.name} in the URL is not {kind}.") from None
        return canonical(text) if self.schema.get("format") == "uuid" else text


class Node:
    """One URL. Methods ``get``, ``post``, ``put`` and ``delete`` are operations; everything else is structure."""

    #: Fixed path segments below this one.
    below: ClassVar[Mapping[str, "type[Node]"]] = {}
    #: A variable path segment below this one.
    item: ClassVar[Item | None] = None

    def __init__(self, services: Services) -> None:
        self.services = services
        self._below = {name: node(services) for name, node in self.below.items()}
        self._item = self.item.node(services) if self.item else None

    @pecan.expose()
    def _route(self, remainder: Sequence[str], request: Any) -> tuple[Any, list[str]]:
        """Find the operation; what the URL names is left in the request."""
        names: dict[str, str] = {}
        node = self
        parts = list(remainder)
        if parts and not parts[-1]:
            parts.pop()  # one slash at the end changes nothing
        for part in parts:
            if part in node._below:
                node = node._below[part]
            elif node.item is not None and node._item is not None and part:
                names[node.item.name] = node.item.accept(part)
                node = node._item
            else:
                raise errors.NotFound("The resource could not be found.")
        allowed = [method for method in METHODS if hasattr(node, method.lower())]
        wanted = "GET" if request.method == "HEAD" else request.method
        if not allowed:
            raise errors.NotFound("The resource could not be found.")
        if wanted not in allowed:
            raise exc.HTTPMethodNotAllowed(headers={"Allow": ", ".join(allowed)})
        request.environ["karbor.path"] = names
        return getattr(node, wanted.lower()), []


def walk(node: type[Node], path: str = "", parameters: Mapping[str, Schema] | None = None) -> Iterator[Endpoint]:
    """Every declared operation below ``node``. Raises TypeError for a method that is not declared."""
    known = dict(parameters or {})
    for method in METHODS:
        function = getattr(node, method.lower(), None)
        if function is not None:
            declared = getattr(function, "operation", None)
            if not isinstance(declared, Operation):
                raise TypeError(f"{node.__name__}.{method.lower()} is not declared as an operation")
            yield Endpoint(method, path or "/", known, declared)
    for name, below in node.below.items():
        yield from walk(below, f"{path}/{quote(name)}", known)
    if node.item is not None:
        yield from walk(node.item.node, f"{path}/{{{node.item.name}}}", {**known, node.item.name: node.item.schema})

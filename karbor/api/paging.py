# SPDX-License-Identifier: Apache-2.0
"""Which part of a list does a query string ask for, and where is the next part?"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import webob
from webob.multidict import MultiDict

from karbor.api.call import Call, canonical
from karbor.common.context import RequestContext
from karbor.model import errors
from karbor.model.page import PageRequest
from karbor.schema.query import MAX_INT, ListQuery
from karbor.schema.types import Schema
from karbor.schema.validate import Shape

_YES = frozenset(("1", "true", "yes", "y"))
_NO = frozenset(("0", "false", "no", "n"))


def parse(query: ListQuery, params: "MultiDict[str, str]", context: RequestContext, *, max_limit: int) -> PageRequest:
    """The page asked for. Raises InvalidInput."""
    offset = _number(params, "offset", lowest=0) or 0
    named = params.get("project_id") or None
    asked = boolean(params, "all_tenants") or (query.project_alone and named is not None)
    every = asked and query.tenants and context.sees_all_projects
    project_id = named if every else str(context.project_id)
    return PageRequest(
        limit=limit(params, max_limit=max_limit),
        marker=params.get("marker") or None,
        offset=offset if query.offset else 0,
        sort=_sort(query, params),
        filters={name: _filter(name, params[name]) for name in query.filters if name in params and params[name]},
        project_id=project_id,
    )


def _filter(name: str, text: str) -> str:
    """The text of a filter, an id in its one form."""
    if not name.endswith("_id"):
        return text
    try:
        return canonical(text)
    except ValueError:
        raise errors.InvalidInput(f"{name} is not a uuid.") from None


def shapes_of(parameters: Mapping[str, Schema]) -> dict[str, Shape]:
    """The shapes of those parameters that are texts; numbers are read by ``parse``."""
    return {name: Shape(schema) for name, schema in parameters.items() if schema.get("type") == "string"}


def check(shapes: Mapping[str, Shape], params: "MultiDict[str, str]") -> None:
    """Raise InvalidInput for the first text in the query string that does not have its declared shape."""
    for name, text in params.items():
        if name in shapes and shapes[name].problems(text):
            raise errors.InvalidInput(f"The parameter {name} in the query string is not valid.")


def limit(params: "MultiDict[str, str]", *, max_limit: int) -> int:
    """The number of things on a page. Raises InvalidInput."""
    given = _number(params, "limit", lowest=1)
    return max_limit if given is None else min(given, max_limit)


def boolean(params: "MultiDict[str, str]", name: str) -> bool:
    """A yes or no as the clients spell it; absent means no. Raises InvalidInput."""
    text = params.get(name, "").lower()
    if not text or text in _NO:
        return False
    if text not in _YES:
        raise errors.InvalidInput(f"{name} must be 1, 0, true, false, yes or no.")
    return True


def _number(params: "MultiDict[str, str]", name: str, *, lowest: int) -> int | None:
    text = params.get(name)
    if text is None:
        return None
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 20:
        raise errors.InvalidInput(f"{name} param must be an integer")
    value = int(text)
    if value < lowest:
        raise errors.InvalidInput(f"{name} param must be {'positive' if lowest else 'zero or positive'}")
    if value > MAX_INT:
        raise errors.InvalidInput(f"{name} param must be at most {MAX_INT}")
    return value


def _sort(query: ListQuery, params: "MultiDict[str, str]") -> tuple[tuple[str, str], ...]:
    keys, directions = params.getall("sort_key"), params.getall("sort_dir")
    text = params.get("sort", "")
    if text and (keys or directions):
        raise errors.InvalidInput("sort cannot be used together with sort_key and sort_dir.")
    if text:
        pairs = [tuple(part.partition(":")[::2]) for part in text.split(",") if part.strip()]
    else:
        if len(directions) > max(1, len(keys)):
            raise errors.InvalidInput("There are more sort_dir than sort_key.")
        keys = keys or ([query.default_sort[0][0]] if directions else [])
        last = len(directions) - 1
        pairs = [(key, directions[min(place, last)] if directions else "") for place, key in enumerate(keys)]
    found: dict[str, str] = {}
    for raw_key, raw_direction in pairs:
        key, direction = raw_key.strip(), raw_direction.strip().lower() or "desc"
        if direction not in ("asc", "desc"):
            raise errors.InvalidInput("A sort direction must be asc or desc.")
        if key in query.sort:
            found.setdefault(key, direction)
        elif key not in query.ignored_sort:
            raise errors.InvalidInput(f"This list cannot be sorted by that key; it knows {', '.join(query.sort)}.")
    return tuple(found.items()) or query.default_sort


def listing(call: Call, collection: str, shown: Sequence[Mapping[str, Any]], *, full: bool) -> dict[str, Any]:
    """The answer of a list: the things and, where the page is full, the address of the next page."""
    answer: dict[str, Any] = {collection: list(shown)}
    if full and shown:
        rest = [(name, value) for name, value in call.query.items() if name not in ("marker", "offset")]
        href = f"{call.url}?{urlencode([*rest, ('marker', shown[-1]['id'])])}"
        answer[f"{collection}_links"] = [{"rel": "next", "href": href}]
    return answer


def url_of(request: webob.Request, base_url: str) -> str:
    """The address of a request without query string, as clients reach it."""
    return (base_url or request.application_url) + quote(request.path_info, safe="/:@!$&'()*+,;=~-._")

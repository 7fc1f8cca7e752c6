# SPDX-License-Identifier: Apache-2.0
"""How does a request find the method that answers it, and how does it get there without a network?"""

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

if TYPE_CHECKING:
    from karbor.sdk.testing.memorycloud.cloud import MemoryCloud

F = TypeVar("F", bound=Callable[..., Any])
HOST = "http://cloud.invalid"


@dataclass(frozen=True)
class Request:
    """What came over the wire. ``project_id`` is that of the token; "" before there is one."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    headers: Mapping[str, str]
    project_id: str = ""


@dataclass(frozen=True)
class Answer:
    """What goes back. A ``body`` of bytes is sent as it is, any other as JSON; None: no body."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, text: str, kind: str = "") -> None:
        super().__init__(text)
        self.status, self.text, self.kind = status, text, kind


def route(method: str, template: str) -> Callable[[F], F]:
    """Mark the method that answers ``method`` of paths like ``template``; ``{name}`` in it becomes an argument."""

    def mark(function: F) -> F:
        function.__dict__.setdefault("routes", []).append((method, template))
        return function

    return mark


class Service:
    """One service. Subclasses name their ``type`` in the catalog, the ``version`` in its path, and the microversions
    they offer; ``fault`` writes an error as that service does."""

    type = ""
    version = "v1"
    microversions: tuple[str, str] | None = None
    page_limit = 1000
    in_project = False  # whether the project's id is part of the URL

    def __init__(self, cloud: "MemoryCloud") -> None:
        self.cloud = cloud
        self._routes: list[tuple[str, re.Pattern[str], str, str]] = []
        for name in dir(type(self)):
            for method, template in getattr(getattr(type(self), name), "routes", ()):
                pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template) + "/?")
                self._routes.append((method, pattern, template, name))

    def endpoint(self, project_id: str) -> str:
        """Its URL in the catalog."""
        tail = f"/{project_id}" if self.in_project else ""
        return f"{HOST}/{self.type}/{self.version}{tail}"

    def answer(self, request: Request) -> tuple[str, Answer]:
        """The template that the path is like, and the answer."""
        rest = request.path.removeprefix(f"/{self.type}")
        if rest in ("", "/"):
            return "/", Answer(300, {"versions": [self._version_document()]})
        rest = rest.removeprefix(f"/{self.version}")
        if rest in ("", "/"):
            return "/", Answer(200, {"version": self._version_document()})
        if not request.project_id:
            return rest, Answer(401, {"error": {"code": 401, "title": "Unauthorized", "message": "No token."}})
        if self.in_project:
            rest = rest.removeprefix(f"/{request.project_id}")
        for method, pattern, template, name in self._routes:
            found = pattern.fullmatch(rest)
            if found and method == request.method:
                try:
                    return template, getattr(self, name)(request, **found.groupdict())
                except Refusal as refusal:
                    return template, self.fault(refusal)
        return rest, self.fault(Refusal(404, "The resource could not be found."))

    def fault(self, refusal: Refusal) -> Answer:
        """As Nova and Cinder write it."""
        kinds = {400: "badRequest", 403: "forbidden", 404: "itemNotFound", 409: "conflictingRequest", 413: "overLimit"}
        body: dict[str, Any] = {"code": refusal.status, "message": refusal.text}
        if refusal.status == 413:
            body["retryAfter"] = "0"
        headers = {"Retry-After": "0"} if refusal.status == 413 else {}
        return Answer(refusal.status, {kinds.get(refusal.status, "computeFault"): body}, headers)

    def page(
        self, request: Request, items: Sequence[dict[str, Any]], *, unknown_marker: Callable[[str], Refusal]
    ) -> tuple[list[dict[str, Any]], str]:
        """The page that was asked for of ``items``, which are in order; and the query of the next one, or ""."""
        limit = min(int(request.query.get("limit") or self.page_limit), self.page_limit)
        start, marker = 0, request.query.get("marker")
        if marker:
            places = [place for place, item in enumerate(items) if item["id"] == marker]
            if not places:
                raise unknown_marker(marker)
            start = places[0] + 1
        shown = list(items[start : start + limit])
        # A full page has a next one, even where that will be empty: the services do not look further.
        more = f"limit={limit}&marker={shown[-1]['id']}" if shown and len(shown) == limit else ""
        return shown, more

    def _version_document(self) -> dict[str, Any]:
        low, high = self.microversions or ("", "")
        url = f"{HOST}/{self.type}/{self.version}/"
        return {
            "id": self.version if "." in self.version else f"{self.version}.0",
            "status": "CURRENT",
            "version": high,
            "min_version": low,
            "links": [{"rel": "self", "href": url}],
        }


class Wire(BaseAdapter):
    """Brings what requests sends to the cloud in memory, and its answers back."""

    def __init__(self, cloud: "MemoryCloud") -> None:
        super().__init__()
        self._cloud = cloud

    def send(self, request: requests.PreparedRequest, *_more: Any, **_named: Any) -> requests.Response:
        """See requests. Raises its ConnectionError where the test said so."""
        url = urlsplit(str(request.url))
        raw: Any = request.body
        if raw is not None and not isinstance(raw, bytes | str):
            raw = b"".join(raw) if not hasattr(raw, "read") else raw.read()
        kind = request.headers.get("Content-Type", "")
        body = json.loads(raw) if raw and "json" in kind else raw
        headers = CaseInsensitiveDict({name: str(value) for name, value in request.headers.items()})
        given = Request(str(request.method), url.path, dict(parse_qsl(url.query)), body, headers)
        return _response(request, self._cloud.serve(given))

    def close(self) -> None:
        """Nothing is held."""


def _response(request: requests.PreparedRequest, answer: Answer) -> requests.Response:
    response = requests.Response()
    response.status_code, response.request, response.url = answer.status, request, str(request.url)
    plain = isinstance(answer.body, bytes)
    content = answer.body if plain else (b"" if answer.body is None else json.dumps(answer.body).encode())
    kind = "application/octet-stream" if plain else "application/json"
    headers: dict[str, str] = {"Content-Type": kind, "Content-Length": str(len(content)), **answer.headers}
    response.headers = CaseInsensitiveDict(headers)
    response.encoding = "utf-8"
    response.raw = io.BytesIO(content)
    return response

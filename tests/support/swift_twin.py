# SPDX-License-Identifier: Apache-2.0
"""How does Swift answer, as far as a bank asks it? In memory, for tests without its packages; v1 authentication.

It is as weak as the real one: ``If-None-Match: *`` is looked at when a put begins, and of puts that overlap the last
one stays. ``between`` is called at that point, with the request.
"""

import hashlib
import json
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.httptwin import Reply, Request


class SwiftTwin:
    """Answers requests. ``tokens`` that are taken away are not taken any more."""

    def __init__(self, *, secure: bool = False) -> None:
        self._scheme = "https" if secure else "http"
        self.containers: dict[str, dict[str, tuple[bytes, dict[str, str]]]] = {}
        self.tokens: set[str] = set()
        self.between: Callable[[Request], None] = lambda _request: None
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Reply:
        url = urlsplit(request.path)
        if url.path == "/auth/v1.0":
            return self._login(request)
        if request.headers.get("X-Auth-Token") not in self.tokens:
            return Reply(401)
        _, _version, _account, container, *rest = unquote(url.path).split("/", 4)
        if request.method == "PUT" and not rest:
            self.containers.setdefault(container, {})
            return Reply(201)
        if container not in self.containers:
            return Reply(404)
        objects = self.containers[container]
        if not rest:
            return self._list(objects, {name: values[0] for name, values in parse_qs(url.query).items()})
        if request.method == "PUT":
            return self._put(objects, rest[0], request)
        with self._lock:
            if request.method == "DELETE":
                return Reply(204) if objects.pop(rest[0], None) else Reply(404)
            found = objects.get(rest[0])
        return _part(*found, request.headers.get("Range")) if found else Reply(404)

    def _login(self, request: Request) -> Reply:
        if request.headers.get("X-Auth-Key") != "testing":
            return Reply(401)
        token = uuid.uuid4().hex
        self.tokens.add(token)
        where = f"{self._scheme}://{request.headers['Host']}/v1/AUTH_test"
        return Reply(200, {"X-Storage-Url": where, "X-Auth-Token": token, "X-Auth-Token-Expires": "3600"})

    def _put(self, objects: dict, name: str, request: Request) -> Reply:
        stamp = time.time()
        if request.headers.get("If-None-Match") == "*" and name in objects:
            return Reply(412)
        self.between(request)
        if request.headers.get("ETag") not in (None, hashlib.md5(request.body).hexdigest()):
            return Reply(422)
        kept = {key: value for key, value in request.headers.items() if key.startswith("X-Object-Meta-")}
        with self._lock:
            objects[name] = (request.body, kept | {"X-Timestamp": f"{stamp:.5f}"})
        return Reply(201)

    def _list(self, objects: dict, query: dict[str, str]) -> Reply:
        prefix, marker = query.get("prefix", ""), query.get("marker", "")
        with self._lock:
            names = sorted(name for name in objects if name.startswith(prefix) and name > marker)
            found = [(name, *objects[name]) for name in names[: int(query["limit"])]]
        shown = [
            {
                "name": name,
                "bytes": len(data),
                "last_modified": datetime.fromtimestamp(float(kept["X-Timestamp"]), UTC).isoformat()[:26],
            }
            for name, data, kept in found
        ]
        return Reply(200, {}, json.dumps(shown).encode())


def _part(data: bytes, kept: dict[str, str], span: str | None) -> Reply:
    if span is None:
        return Reply(200, kept | {"Content-Length": str(len(data))}, data)
    first, _, last = span.removeprefix("bytes=").partition("-")
    part = data[int(first) : int(last) + 1 if last else None]
    return Reply(206, kept, part) if part else Reply(416, kept)

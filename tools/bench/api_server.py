# SPDX-License-Identifier: Apache-2.0
"""What does the benchmark of the API serve? The application, or one that only serialises, behind the same layers."""

import argparse
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pecan
import webob
from cheroot import wsgi
from oslo_config import cfg

from karbor import conf as settings
from karbor.api.app import make_app
from karbor.api.v1.tree import Root
from karbor.common import (
    memory,
    threaded,  # noqa: F401 - chooses threads before anything else of oslo does
)
from karbor.common.clock import Clock
from karbor.db.database import Database


class Workers:
    """Stands for the workers, who find every resource there and need no word."""

    def run(self, job_id: str) -> None:
        """They would look."""

    def check_resources(self, **_given: Any) -> list[Any]:
        """Nothing is refused."""
        return []


class Trivial:
    """Answers ``/v1/PROJECT/NUMBER`` with a page that it holds as a value."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[str, Any] = {}

    @pecan.expose()
    def _route(self, remainder: Any, request: Any) -> tuple[Any, list[str]]:
        request.environ["bench.page"] = remainder[-1]
        return self.page, []

    @pecan.expose(content_type="application/json")
    def page(self, req: webob.Request, _resp: webob.Response) -> webob.Response:
        """The page."""
        name = req.environ["bench.page"]
        if name not in self._known:
            self._known[name] = json.loads((self._directory / name).read_bytes())
        text = json.dumps(self._known[name], separators=(",", ":")).encode()
        return webob.Response(body=text, content_type="application/json", charset="UTF-8")


def _end_with_parent() -> None:
    """The benchmark holds our standard input; when that ends, so do we."""
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Serve until terminated; the first line on standard output is the port."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("database")
    parser.add_argument("pages", type=Path)
    parser.add_argument("--trivial", action="store_true")
    given = parser.parse_args()
    conf = cfg.ConfigOpts()
    settings.register_opts(conf)
    conf([], project="karbor", default_config_files=[], default_config_dirs=[])
    for name in ("quota_plans", "project_work_per_minute"):
        if name in conf:
            conf.set_override(name, -1 if name.startswith("quota") else 0)
    clock = Clock()
    workers: Any = Workers()
    root = (lambda _services: Trivial(given.pages)) if given.trivial else Root
    database = Database(given.database, clock=clock)
    application = make_app(conf, database=database, protection=workers, clock=clock, root=root)
    server = wsgi.Server(("127.0.0.1", 0), application, numthreads=4, server_name="karbor", timeout=3600)
    server.prepare()
    memory.settle()
    print(server.bind_addr[1], flush=True)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    server.serve()


if __name__ == "__main__":
    main()

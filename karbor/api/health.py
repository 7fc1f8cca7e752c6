# SPDX-License-Identifier: Apache-2.0
"""Can this process serve? ``/healthcheck``, for load balancers: no login, no secrets, cheap.

The database is asked; where it does not answer in time, or holds no tables of ours, the process is not healthy. What
``[healthcheck]`` names besides (oslo.middleware: a file that takes the process out of service) is asked afterwards.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from typing import Any

import webob
from oslo_config import cfg
from oslo_middleware.healthcheck import Healthcheck
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from karbor.api.faults import WSGI
from karbor.db.database import Database

LOG = logging.getLogger(__name__)
PATH = "/healthcheck"
SECONDS = 10.0  # a database that takes longer is no database


class Health:
    """The layer. However many ask, one question at a time goes to the database; ``_lock`` guards which one."""

    def __init__(
        self, application: WSGI, conf: cfg.ConfigOpts, database: Database, *, seconds: float = SECONDS
    ) -> None:
        self._application = application
        self._others: WSGI = Healthcheck(None, conf)
        self._database = database
        self._seconds = seconds
        self._asker = ThreadPoolExecutor(1, thread_name_prefix="health")
        self._lock = threading.Lock()
        self._asked: Future[str] | None = None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != PATH:
            return self._application(environ, start_response)
        fault = self._fault()
        if fault:
            return _unhealthy(webob.Request(environ), fault)(environ, start_response)
        return self._others(environ, start_response)

    def _fault(self) -> str:
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = self._asker.submit(self._ask)
            asked = self._asked
        try:
            return asked.result(self._seconds)
        except NotInTime:
            return "The database does not answer."

    def _ask(self) -> str:
        try:
            with self._database.read() as rows:
                rows.connection.execute(text("SELECT 1 FROM services WHERE 1 = 0")).all()
            return ""
        except SQLAlchemyError as fault:
            LOG.warning("database not usable cause=%s", fault)
            return "The database cannot be used."


def _unhealthy(request: webob.Request, reason: str) -> webob.Response:
    """In the words of oslo.middleware, so that one reader understands both."""
    if request.accept.acceptable_offers(["text/plain", "application/json"])[:1] == [("application/json", 1.0)]:
        return webob.Response(status=503, json_body={"detailed": False, "reasons": [reason]})
    return webob.Response(status=503, text=reason, content_type="text/plain", charset="UTF-8")

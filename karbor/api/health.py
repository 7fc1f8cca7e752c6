# SPDX-License-Identifier: Apache-2.0
"""Can this process serve, and how do the parts do that it serves for? ``/healthcheck``: no login, no secrets, cheap.

503 means that this process is useless: the database does not answer in time or holds no tables of ours, or what
``[healthcheck]`` names (oslo.middleware: a file that takes the process out of service) says so. Whoever accepts JSON,
or asks for ``?detailed``, is told more: message broker, workers, engines, providers and waiting jobs. Where one of them
does badly the status is ``degraded``, and 200 all the same: requests are answered, and accepted work waits in the
database until it can be done.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from typing import Any

import webob
from oslo_config import cfg
from oslo_middleware.healthcheck import Healthcheck
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from karbor.api.faults import WSGI
from karbor.common import jsontext
from karbor.common.clock import Clock
from karbor.db import figures
from karbor.db.database import Database
from karbor.model.service import WORKER
from karbor.rpc import transport

LOG = logging.getLogger(__name__)
PATH = "/healthcheck"
SECONDS = 5.0  # a database that takes longer is no database
_BROKER_SECONDS = 1.0
_KEPT = 5.0  # seconds for which details are told again
ENGINE = "karbor-operationengine"


class Health:
    """The layer. However many ask, one question of each kind at a time is on its way; ``_lock`` guards which ones."""

    def __init__(
        self, application: WSGI, conf: cfg.ConfigOpts, database: Database, clock: Clock, *, seconds: float = SECONDS
    ) -> None:
        self._application = application
        self._others: WSGI = Healthcheck(None, conf)
        self._conf = conf
        self._database = database
        self._clock = clock
        self._seconds = seconds
        self._asker = ThreadPoolExecutor(2, thread_name_prefix="health")
        self._lock = threading.Lock()
        self._asked: Future[str] | None = None
        self._looked: Future[Mapping[str, Any]] | None = None
        self._looked_at = 0.0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != PATH:
            return self._application(environ, start_response)
        request = webob.Request(environ)
        fault = self._fault()
        if _wants_details(request):
            return self._detailed(request, fault)(environ, start_response)
        if fault:
            refusal = webob.Response(status=503, text=fault, content_type="text/plain", charset="UTF-8")
            return refusal(environ, start_response)
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

    def _detailed(self, request: webob.Request, fault: str) -> webob.Response:
        asked = request.copy_get()
        asked.accept = "application/json"
        others = asked.get_response(self._others)
        checks = {"database": _check(fault), **({} if fault else self._details())}
        reasons = [entry["reason"] for entry in checks.values() if entry["reason"]]
        if others.status_int != 200:
            reasons += others.json_body.get("reasons", [])
        useless = bool(fault) or others.status_int != 200
        status = "unhealthy" if useless else "degraded" if reasons else "healthy"
        shown = {"status": status, "detailed": True, "reasons": reasons, "checks": checks}
        return webob.Response(
            body=jsontext.encode(shown), status=503 if useless else 200, content_type="application/json"
        )

    def _details(self) -> Mapping[str, Any]:
        with self._lock:
            old = self._clock.monotonic() - self._looked_at > _KEPT
            if self._looked is None or (self._looked.done() and old):
                self._looked = self._asker.submit(self._look)
                self._looked_at = self._clock.monotonic()
            looked = self._looked
        try:
            return looked.result(self._seconds)
        except NotInTime:
            return {"details": _check("The state of the other parts could not be told in time.")}

    def _look(self) -> Mapping[str, Any]:
        try:
            with self._database.read() as rows:
                found = figures.condition(rows, now=self._clock.now(), down_after=self._conf.service_down_time)
        except SQLAlchemyError as fault:
            LOG.warning("database not usable cause=%s", fault)
            return {"details": _check("The state of the other parts could not be read.")}
        answers = transport.is_reachable(self._conf, seconds=_BROKER_SECONDS)
        broker = "" if answers else "The message broker cannot be reached: work begins late."
        available = sum(entry[2] for entry in found.providers)
        return {
            "broker": _check(broker),
            "workers": _daemons(found, WORKER, "No worker is alive: work that is asked for waits."),
            "engines": _daemons(found, ENGINE, "No operation engine is alive: nothing happens by schedule."),
            "providers": {
                **_check(_of_providers(available, len(found.providers))),
                "available": available,
                "known": len(found.providers),
            },
            "jobs": {
                **_check(""),
                "queued": found.queued,
                "running": found.running,
                "oldest_queued_seconds": found.oldest_queued_seconds,
            },
        }


def _wants_details(request: webob.Request) -> bool:
    offers = request.accept.acceptable_offers(["text/plain", "application/json"])
    return "detailed" in request.GET or offers[:1] == [("application/json", 1.0)]


def _check(reason: str) -> dict[str, Any]:
    return {"status": "bad" if reason else "ok", "reason": reason}


def _daemons(found: figures.Condition, binary: str, none: str) -> dict[str, Any]:
    """Those that an administrator disabled live too. Hosts are not named: anybody may ask."""
    up = found.up(binary)
    down = sum(service.binary == binary for service, _lives in found.services) - up
    reason = none if not up else f"{down} of {up + down} {binary} are down." if down else ""
    return {**_check(reason), "up": up, "down": down}


def _of_providers(available: int, known: int) -> str:
    if not known:
        return "No worker has described a provider yet."
    return f"{known - available} of {known} providers cannot be used." if available < known else ""

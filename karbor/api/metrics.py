# SPDX-License-Identifier: Apache-2.0
"""What do we show to Prometheus under ``/metrics``, and to whom?

What concerns the whole installation is read from the database when somebody asks, at a bounded price: it is shown again
for a while, and the longer it took to read the longer. What this process counts is added.
"""

import hmac
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import webob
from oslo_config import cfg
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeHistogramMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from karbor.api.faults import WSGI
from karbor.common.clock import Clock
from karbor.common.meters import Meters
from karbor.db import figures
from karbor.db.database import Database, Transaction
from karbor.model import errors

LOG = logging.getLogger(__name__)
PATH = "/metrics"
_HOUR = 3600.0
AGES = (_HOUR, 6 * _HOUR, 12 * _HOUR, 25 * _HOUR, 49 * _HOUR, 8 * 24 * _HOUR, 32 * 24 * _HOUR)
_SHARE = 20  # a look may take this part of the time at most
_WAIT = 10.0  # seconds for somebody else's look


class Metrics:
    """The page. ``open_to_all`` where neither a token nor ``public`` is asked for."""

    def __init__(
        self, conf: cfg.ConfigOpts, registries: Sequence[CollectorRegistry], *, open_to_all: bool = False
    ) -> None:
        self._token: str = conf.metrics.token
        self._public = conf.metrics.public or (open_to_all and not self._token)
        self._registries = registries

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return self._response(webob.Request(environ))(environ, start_response)

    def _response(self, request: webob.Request) -> webob.Response:
        if request.path_info != PATH:
            return webob.Response(status=404, text="There is only /metrics here.\n", content_type="text/plain")
        if request.method not in ("GET", "HEAD"):
            return webob.Response(status=405, headerlist=[("Allow", "GET, HEAD"), ("Content-Length", "0")])
        if not self._may(request):
            return webob.Response(
                status=401,
                text="The metrics need the token of the section metrics of karbor.conf.\n",
                headerlist=[("WWW-Authenticate", "Bearer"), ("Content-Type", "text/plain; charset=UTF-8")],
            )
        body = b"".join(map(generate_latest, self._registries))
        return webob.Response(body=body, headerlist=[("Content-Type", CONTENT_TYPE_LATEST)])

    def _may(self, request: webob.Request) -> bool:
        if self._public:
            return True
        kind, _, shown = request.headers.get("Authorization", "").partition(" ")
        told = kind.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(), self._token.encode())
        return bool(self._token) and told


class Measured:
    """A layer that counts the requests behind it, and answers ``/metrics`` itself."""

    def __init__(self, application: WSGI, metrics: WSGI, meters: Meters, clock: Clock) -> None:
        self._application = application
        self._metrics = metrics
        self._meters = meters
        self._clock = clock

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == PATH:
            return self._metrics(environ, start_response)
        begun = self._clock.monotonic()

        def answered(status: str, headers: Any, *rest: Any) -> Any:
            operation = environ.get("karbor.operation", "none")  # none: refused before it was known
            self._meters.answered(operation, int(status[:3]), self._clock.monotonic() - begun)
            return start_response(status, headers, *rest)

        return self._application(environ, answered)


class Installation(Collector):
    """The figures of the database, as metrics. ``_lock`` guards the kept ones."""

    def __init__(self, conf: cfg.ConfigOpts, database: Database, clock: Clock) -> None:
        self._conf = conf
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: list[Metric] = []
        self._until = 0.0

    def collect(self) -> Iterator[Metric]:
        """What is known; where the database cannot be read, only that it cannot."""
        if not self._lock.acquire(timeout=_WAIT):
            yield _gauge("karbor_database_up", "Whether the database could be read.", 0)
            return
        try:
            begun = self._clock.monotonic()
            if begun >= self._until:
                self._kept = self._look()
                took = self._clock.monotonic() - begun
                self._until = begun + took + max(self._conf.metrics.cache_seconds, _SHARE * took)
            found = self._kept
        finally:
            self._lock.release()
        yield from found

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: the database is not asked when the service starts."""
        return ()

    def _look(self) -> list[Metric]:
        try:
            with self._database.read() as rows:
                found = [*self._condition(rows), *_jobs(rows), *_checkpoints(rows), *self._plans(rows)]
        except (SQLAlchemyError, errors.KarborError) as fault:
            LOG.warning("no metrics of the database cause=%s", fault)
            return [_gauge("karbor_database_up", "Whether the database could be read.", 0)]
        return [_gauge("karbor_database_up", "Whether the database could be read.", 1), *found]

    def _condition(self, rows: Transaction) -> Iterator[Metric]:
        found = figures.condition(rows, now=self._clock.now(), down_after=self._conf.service_down_time)
        up = GaugeMetricFamily(
            "karbor_service_up", "Whether a daemon gave a sign of life lately.", labels=["binary", "host"]
        )
        for service, lives in found.services:
            up.add_metric([service.binary, service.host], float(lives))
        available = GaugeMetricFamily(
            "karbor_provider_available", "Whether the bank of a provider can be used.", labels=["provider_id", "name"]
        )
        for id, name, can_be_used in found.providers:
            available.add_metric([id, name], float(can_be_used))
        yield up
        yield available
        yield _gauge(
            "karbor_jobs_oldest_queued_seconds",
            "For how long the oldest waiting job has waited; 0 where none waits.",
            found.oldest_queued_seconds or 0.0,
        )
        yield _gauge(
            "karbor_schedules_without_permission",
            "Enabled scheduled operations that are not done, because their user's permission is lost.",
            figures.permissions_lost(rows),
        )

    def _plans(self, rows: Transaction) -> Iterator[Metric]:
        now = self._clock.now()
        each = GaugeMetricFamily(
            "karbor_plan_last_good_age_seconds",
            "Since the last good checkpoint of a plan began (since the plan was made where good is false); only of "
            "those that have waited longest.",
            labels=["plan_id", "project_id", "scheduled", "good"],
        )
        for age in figures.oldest_plans(rows, now=now, limit=self._conf.metrics.plans):
            labels = [age.plan_id, age.project_id, str(age.scheduled).lower(), str(age.good).lower()]
            each.add_metric(labels, age.seconds)
        ages = GaugeHistogramMetricFamily(
            "karbor_plans_last_good_age_seconds", "The same of all plans, by age.", labels=["scheduled"]
        )
        for scheduled, (within, number, total) in figures.plan_ages(rows, now=now, bounds=AGES).items():
            buckets = [(str(bound), float(count)) for bound, count in zip(AGES, within, strict=True)]
            ages.add_metric([str(scheduled).lower()], [*buckets, ("+Inf", float(number))], gsum_value=total)
        yield each
        yield ages
        yield from self._alarms(rows)

    def _alarms(self, rows: Transaction) -> Iterator[Metric]:
        number, some = rows.alarms.breached(self._conf.metrics.plans)
        each = GaugeMetricFamily(
            "karbor_plan_rpo_breached_seconds",
            "For how long a plan has had no good checkpoint that is as young as was promised; some of those plans.",
            labels=["plan_id", "project_id"],
        )
        now = self._clock.now()
        for alarm in some:
            seconds = (now - alarm.due_at).total_seconds() if alarm.due_at else 0.0
            each.add_metric([alarm.plan_id, alarm.project_id], max(0.0, seconds))
        yield each
        yield _gauge("karbor_plans_rpo_breached", "How many such plans there are.", number)


def _jobs(rows: Transaction) -> Iterator[Metric]:
    found = GaugeMetricFamily(
        "karbor_jobs", "Jobs by operation and state; ended ones until they are purged.", labels=["operation", "state"]
    )
    for (operation, state), number in sorted(figures.jobs(rows).items()):
        found.add_metric([operation, state], number)
    yield found


def _checkpoints(rows: Transaction) -> Iterator[Metric]:
    number = GaugeMetricFamily("karbor_checkpoints", "Checkpoints by status.", labels=["provider_id", "status"])
    nbytes = GaugeMetricFamily(
        "karbor_checkpoint_bytes",
        "Bytes of all checkpoints: logical (of what they protect), read (from it), stored (newly in the bank).",
        labels=["provider_id", "kind"],
    )
    totals: dict[tuple[str, str], int] = {}
    for entry in figures.checkpoints(rows):
        number.add_metric([entry.provider_id, entry.status], entry.checkpoints)
        for kind, amount in (("logical", entry.logical), ("read", entry.read), ("stored", entry.stored)):
            totals[entry.provider_id, kind] = totals.get((entry.provider_id, kind), 0) + amount
    for (provider, kind), amount in sorted(totals.items()):
        nbytes.add_metric([provider, kind], amount)
    yield number
    yield nbytes


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def page(conf: cfg.ConfigOpts, database: Database, meters: Meters, clock: Clock) -> Metrics:
    """The page of karbor-api. Without a login for anything else it needs none either: such an API is on loopback."""
    installation = CollectorRegistry()
    installation.register(Installation(conf, database, clock))
    return Metrics(conf, [installation, meters.registry], open_to_all=conf.auth_strategy == "noauth")

# SPDX-License-Identifier: Apache-2.0
"""How is the WSGI application of karbor-api put together?

From outside in: addresses as the reverse proxy saw them (where that is on), other origins (where some are allowed),
health check, count of requests and ``/metrics``, request id, error layer, body limit, login with the bound of each
project, pecan.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pecan
from oslo_config import cfg
from oslo_middleware import cors, http_proxy_to_wsgi
from oslo_middleware.request_id import RequestId
from webob.multidict import NestedMultiDict

from karbor import conf as settings
from karbor.api import body
from karbor.api.auth import Authentication, NoAuth, Strategy, check_listen
from karbor.api.basic import HttpBasic
from karbor.api.call import Services
from karbor.api.faults import WSGI, Faults
from karbor.api.handover import HandOver
from karbor.api.health import Health
from karbor.api.keystone import Keystone
from karbor.api.limits import Concurrency, Rate
from karbor.api.metrics import Measured, page
from karbor.api.policy import Policy
from karbor.api.v1.tree import ENDPOINTS, Root
from karbor.clients.elsewhere import Elsewhere
from karbor.clients.identity import Identity
from karbor.common.clock import Clock
from karbor.common.meters import Meters
from karbor.db.database import Database
from karbor.model import errors
from karbor.rpc.interface import Protection

__all__ = ["check_listen", "make_app"]


class _Request(pecan.Request):
    """Keeps pecan from reading the body: karbor.api.body does that, within bounds."""

    json = None
    params = property(lambda self: NestedMultiDict(self.GET))


class BodyLimit:
    """Refuses a body that says of itself that it is too large, also where nobody would read it."""

    def __init__(self, application: WSGI, *, limit: int) -> None:
        self._application = application
        self._limit = limit

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if (body.declared_length(environ) or 0) > self._limit:
            body.discard(environ)
            raise body.too_large(self._limit)
        return self._application(environ, start_response)


def make_app(
    conf: cfg.ConfigOpts,
    *,
    database: Database,
    protection: Protection,
    clock: Clock,
    root: Callable[[Services], Any] = Root,
    meters: Meters | None = None,
    identity: Identity | None = None,
) -> WSGI:
    """The WSGI application. Raises ConfigurationError where the settings do not allow it to serve.

    ``root`` makes the tree that requests are routed along; a benchmark puts another one behind the same layers.
    ``meters`` counts the requests, beside what else the process counts. ``identity`` shares its logins at Keystone.
    """
    settings.register_opts(conf)
    strategy = _strategy(conf, clock)
    policy = Policy(conf, ENDPOINTS)
    work_rate = Rate(conf.project_work_per_minute, clock=clock, what="calls of this project that begin work")
    if conf.auth_strategy == "keystone":
        identity = identity or Identity(conf)
    elsewhere = Elsewhere(conf) if identity is not None else None
    services = Services(conf, database, protection, clock, policy, ENDPOINTS, work_rate, identity, elsewhere)
    application: WSGI = pecan.make_app(
        root(services),
        guess_content_type_from_ext=False,
        force_canonical=False,
        use_context_locals=False,
        request_cls=_Request,
    )
    application = HandOver(application)
    concurrency = Concurrency(conf.project_concurrent_requests, what="requests of this project")
    application = Authentication(application, strategy, policy=policy, concurrency=concurrency)
    application = BodyLimit(application, limit=conf.max_request_body_size)
    application = Faults(application, challenge=strategy.challenge)
    meters = meters or Meters()
    application = Measured(RequestId(application), page(conf, database, meters, clock), meters, clock)
    application = Health(application, conf, database, clock)
    if conf.cors.allowed_origin:
        application = cors.CORS(application, conf)
    if conf.oslo_middleware.enable_proxy_headers_parsing:
        application = http_proxy_to_wsgi.HTTPProxyToWSGI(application, conf)
    return application


def _strategy(conf: cfg.ConfigOpts, clock: Clock) -> Strategy:
    if conf.auth_strategy == "noauth":
        return NoAuth()
    if conf.auth_strategy == "http_basic":
        if not conf.http_basic_auth_user_file:
            raise errors.ConfigurationError(
                "auth_strategy = http_basic needs a file of users.", next_action="set http_basic_auth_user_file"
            )
        return HttpBasic(
            Path(conf.http_basic_auth_user_file), clock=clock, failed_per_minute=conf.failed_logins_per_minute
        )
    return Keystone(conf)

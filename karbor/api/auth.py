# SPDX-License-Identifier: Apache-2.0
"""Who is asking? One layer that gives every request its context, or refuses it.

The strategies answer with a context or raise Unauthorized. The project in the URL must be that of the context.
"""

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import webob
from oslo_config import cfg

from karbor.api.faults import WSGI
from karbor.api.limits import Concurrency
from karbor.api.policy import Policy
from karbor.common import context as contexts
from karbor.common.context import RequestContext
from karbor.model import errors

#: Paths that need no login: version documents and the API document.
PUBLIC = frozenset(("", "v1", "v1/openapi.json"))


class Strategy(Protocol):
    """A way to log in. ``challenge`` tells a refused client how: the value of WWW-Authenticate."""

    challenge: str

    def identify(self, request: webob.Request, *, project_id: str) -> RequestContext:
        """The context of a request for that project. Raises Unauthorized."""
        raise NotImplementedError


class NoAuth:
    """Everybody is an administrator of the project they name. Only for a service that listens on loopback."""

    challenge = ""

    def identify(self, request: webob.Request, *, project_id: str) -> RequestContext:
        """``X-Auth-Token: USER:PROJECT``, or ``X-Auth-User``, or nothing at all: then the URL names the project."""
        token = request.headers.get("X-Auth-Token", "")
        user, colon, project = token.partition(":")
        if token:
            project = project if colon and project else user
        else:
            user, project = request.headers.get("X-Auth-User") or "admin", project_id
        return context_for(request, user=user, project_id=project, roles=("admin",))


def context_for(request: webob.Request, *, user: str, project_id: str, roles: Iterable[str]) -> RequestContext:
    """The context of a user who proved who it is. ``admin`` implies ``member``, which implies ``reader``."""
    held = set(roles)
    if "admin" in held:
        held.add("member")
    if "member" in held:
        held.add("reader")
    return RequestContext(
        user_id=user,
        project_id=project_id,
        roles=sorted(held),
        is_admin="admin" in held,
        **request_ids(request.environ),
    )


def request_ids(environ: Mapping[str, Any]) -> dict[str, Any]:
    """The id of this request, and the one that a calling service gave for the whole chain of requests."""
    return {
        "request_id": environ.get("openstack.request_id"),
        "global_request_id": environ.get("openstack.global_request_id"),
    }


class Authentication:
    """The layer. Sets ``karbor.context`` in the environment for everything that is not public.

    A token for the whole system has no project: its requests are about the project that the URL names.
    """

    def __init__(self, application: WSGI, strategy: Strategy, *, policy: Policy, concurrency: Concurrency) -> None:
        self._application = application
        self._strategy = strategy
        self._policy = policy
        self._concurrency = concurrency

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        contexts.begin(**request_ids(environ))
        path = environ.get("PATH_INFO", "").encode("latin-1").decode().strip("/")
        version, _, rest = path.partition("/")
        if path not in PUBLIC and version == "v1":
            project_id = rest.partition("/")[0]
            context = self._strategy.identify(webob.Request(environ), project_id=project_id)
            if context.project_id is None and context.system_scope:
                context.project_id = project_id
            if context.project_id != project_id:
                raise errors.InvalidInput("Malformed request url")
            self._policy.grade(context)
            environ["karbor.context"] = context
            with self._concurrency.hold(project_id):
                return self._application(environ, start_response)
        return self._application(environ, start_response)


def check_listen(conf: cfg.ConfigOpts) -> None:
    """Raise ConfigurationError where a service without login would listen to other hosts."""
    if conf.auth_strategy != "noauth" or is_loopback(conf.osapi_karbor_listen):
        return
    raise errors.ConfigurationError(
        f"auth_strategy = noauth makes everybody an administrator, so it may not listen on {conf.osapi_karbor_listen}.",
        next_action="set osapi_karbor_listen = 127.0.0.1, or another auth_strategy",
    )


def is_loopback(address: str) -> bool:
    """Names other than localhost count as foreign: they may mean another address tomorrow."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False

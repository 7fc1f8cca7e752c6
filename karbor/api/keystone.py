# SPDX-License-Identifier: Apache-2.0
"""Is this token Keystone's, and for whom and what (auth_strategy keystone)?

keystonemiddleware asks Keystone, keeps the answer for a while, and strips what a client claims of itself. Its settings
are the section ``[keystone_authtoken]``.
"""

from collections.abc import Callable, Iterable
from typing import Any

import webob
from keystoneauth1 import exceptions as keystone_errors
from keystonemiddleware import auth_token
from oslo_config import cfg

from karbor.api.auth import request_ids
from karbor.common.context import RequestContext
from karbor.model import errors

SERVICE_TYPE = "data-protect"
#: Seconds until a Keystone that does not answer is given up. The middleware by itself would wait for ever.
TIMEOUT = 10


class Keystone:
    """Asks Keystone. Expired tokens are taken where a service vouches for them with a token of its own."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        """Raises ConfigurationError where the section does not say how the service itself logs in."""
        for group, options in auth_token.list_opts():
            conf.register_opts(options, group=group)
        settings = conf.keystone_authtoken
        if not settings.auth_type and not settings.auth_section:
            raise errors.ConfigurationError(
                "auth_strategy = keystone needs a login of the service itself.",
                next_action="set auth_type, auth_url, username, password and project_name in [keystone_authtoken]",
            )
        given: dict[str, Any] = {
            "oslo_config_config": conf,
            "delay_auth_decision": False,  # or a Keystone that is away would look like a wrong token
            "service_type": settings.service_type or SERVICE_TYPE,
            "http_connect_timeout": settings.http_connect_timeout or TIMEOUT,
        }
        try:
            self._middleware = auth_token.AuthProtocol(_confirmed, given)
        except (keystone_errors.ClientException, auth_token.ConfigurationError) as fault:
            raise errors.ConfigurationError("[keystone_authtoken] cannot be used.", detail=str(fault)) from fault
        where = settings.www_authenticate_uri or conf[settings.auth_section or "keystone_authtoken"].get("auth_url")
        self.challenge = f'Keystone uri="{where}"'

    def identify(self, request: webob.Request, *, project_id: str) -> RequestContext:
        """The context of the token. Raises Unauthorized, and Unavailable where Keystone cannot be asked."""
        try:
            verdict = request.get_response(self._middleware)
        except keystone_errors.ClientException as fault:
            raise _unavailable(str(fault)) from fault
        if verdict.status_int == 401:
            raise errors.Unauthorized("The token is missing, wrong or expired.")
        if verdict.status_int != 204:
            raise _unavailable(f"keystonemiddleware answered {verdict.status}")
        return _context(request.environ)


def _confirmed(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """What stands behind the middleware here: whoever comes so far is let in."""
    return webob.Response(status=204)(environ, start_response)


def _context(environ: dict[str, Any]) -> RequestContext:
    """From the headers that the middleware set. The scope comes from the token itself: in the headers, the one of a
    service's token would take its place."""
    token = environ["keystone.token_auth"].user
    whole = token.system_scoped and token.system.get("all")
    found: RequestContext = RequestContext.from_environ(
        environ, system_scope="all" if whole else None, is_admin=False, **request_ids(environ)
    )
    found.trust_id = token.trust_id
    return found


def _unavailable(detail: str) -> errors.Unavailable:
    return errors.Unavailable(
        "Keystone cannot be asked just now. Try again later.",
        detail=detail,
        next_action="check that Keystone answers, and the login in [keystone_authtoken]",
    )

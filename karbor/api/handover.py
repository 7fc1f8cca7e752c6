# SPDX-License-Identifier: Apache-2.0
"""How does a response get past pecan as it is? Pecan reads every body, to see whether it is empty, into memory."""

from collections.abc import Callable, Iterable
from typing import Any

import webob

_KEY = "karbor.response"
_WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def leave(request: webob.Request, response: webob.Response) -> webob.Response:
    """Leave the response for ``HandOver``; returns what pecan may read."""
    request.environ[_KEY] = response
    return webob.Response(status=204, content_type=None)


class HandOver:
    """Around pecan: gives what was left, where something was."""

    def __init__(self, application: _WSGI) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def begin(*given: Any) -> Any:
            return None if _KEY in environ else start_response(*given)

        body = self._application(environ, begin)
        left: webob.Response | None = environ.pop(_KEY, None)
        return body if left is None else left(environ, start_response)

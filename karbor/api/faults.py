# SPDX-License-Identifier: Apache-2.0
"""How is every error told to the client, whatever raised it?

One layer around the whole application. An error body is an object whose first value is an object with ``message``: old
clients read exactly that. Internals go to the log, once, with the request id, which the body names as well.
"""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import webob
from sqlalchemy import exc as sql_exception

from karbor.model import errors
from karbor.schema.faults import envelope_of

LOG = logging.getLogger(__name__)
WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_TEXTS = {
    400: "The request is malformed.",
    404: "The resource could not be found.",
    405: "This method is not allowed here.",
    413: "The request is too large.",
}
_INTERNAL = "The service met an internal fault. Tell the operator the request id."
_DATABASE_AWAY = (
    sql_exception.OperationalError,
    sql_exception.InterfaceError,
    sql_exception.TimeoutError,
)


def answer(
    status: int, message: str, headers: Mapping[str, str] | None = None, *, request_id: str | None = None
) -> webob.Response:
    """An error as a response."""
    inner: dict[str, Any] = {"code": status, "message": message}
    if request_id:
        inner["request_id"] = request_id
    sent = dict(headers or {})
    if status == 503:
        sent.setdefault("Retry-After", "10")
    if status == 413 and "Retry-After" in sent:
        inner["retryAfter"] = sent["Retry-After"]
    response = webob.Response(status=status, json_body={envelope_of(status): inner})
    response.headers.update(sent)
    return response


class Faults:
    """The outermost layer of our own: nothing but JSON leaves it, and no exception.

    ``challenge`` tells whoever was refused how to log in.
    """

    def __init__(self, application: WSGI, *, challenge: str = "") -> None:
        self._application = application
        self._challenge = challenge

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ["HTTP_ACCEPT"] = "application/json"  # there is nothing else to choose from
        query = environ.get("QUERY_STRING", "")
        environ["QUERY_STRING"] = query.replace(
            ";", "%3B"
        )  # WebOb would begin another parameter there; nobody else does
        return self._response(environ)(environ, start_response)

    def _response(self, environ: dict[str, Any]) -> webob.Response:
        request_id = environ.get("openstack.request_id")
        try:
            _check_text(environ)
            response = webob.Request(environ).get_response(self._application)
        except errors.KarborError as fault:
            return self._told(fault, request_id)
        except _DATABASE_AWAY as fault:
            LOG.error("database not usable request=%s cause=%s", request_id, fault)
            text = "The database cannot be used just now. Try again later."
            return answer(503, text, request_id=request_id)
        except Exception:  # the edge of HTTP: whatever it is, the client gets an answer in its form
            LOG.exception("request failed request=%s", request_id)
            return answer(500, _INTERNAL, request_id=request_id)
        return _in_shape(response, request_id)

    def _told(self, fault: errors.KarborError, request_id: str | None) -> webob.Response:
        if fault.status >= 500:
            level = logging.ERROR if fault.status == 500 else logging.WARNING
            LOG.log(level, "request failed request=%s code=%s %s", request_id, fault.code, fault.operator_text())
        if fault.status == 500:
            return answer(500, _INTERNAL, request_id=request_id)
        headers = {}
        if fault.status == 401 and self._challenge:
            headers["WWW-Authenticate"] = self._challenge
        if isinstance(fault, errors.TooMany):
            headers["Retry-After"] = str(fault.retry_after)
        if isinstance(fault, errors.NoSuchRange):
            headers["Content-Range"] = f"bytes */{fault.size}"
        return answer(fault.status, fault.message, headers, request_id=request_id)


def _check_text(environ: dict[str, Any]) -> None:
    """Raise InvalidInput for a URL that is no Unicode text; WSGI hands bytes over as Latin-1."""
    try:
        environ.get("PATH_INFO", "").encode("latin-1").decode()
        webob.Request(environ).GET.mixed()
    except UnicodeError as fault:
        raise errors.InvalidInput("Malformed request url") from fault


def _in_shape(response: webob.Response, request_id: str | None) -> webob.Response:
    """An error that a library answered in its own words, in ours."""
    if response.status_int < 400 or response.content_type == "application/json" and _is_ours(response):
        return response
    text = _TEXTS.get(response.status_int, _INTERNAL if response.status_int >= 500 else response.status)
    kept = {name: response.headers[name] for name in ("Allow", "WWW-Authenticate") if name in response.headers}
    return answer(response.status_int, text, kept, request_id=request_id)


def _is_ours(response: webob.Response) -> bool:
    try:
        first = next(iter(json.loads(response.body).values()))
    except (ValueError, AttributeError, StopIteration):
        return False
    return isinstance(first, dict) and "message" in first

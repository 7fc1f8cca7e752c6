# SPDX-License-Identifier: Apache-2.0
"""How does a request to a service of the cloud travel: counted, logged, and sent again where that is safe?

The only place between the client library and the wire. A request that was refused before it was begun (429, or 413 that
asks to wait) is sent again whatever it is; one that may have been carried out only where doing it twice does no
harm. Everything else is the caller's decision: it knows what to look for first.
"""

import collections
import contextlib
import contextvars
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from keystoneauth1 import exceptions as login_errors
from keystoneauth1 import session as login_session
from oslo_context import context

from karbor.clients.cloudfaults import unavailable
from karbor.common.clock import Clock
from karbor.common.retrying import Passing, Retrying

LOG = logging.getLogger(__name__)

_TWICE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_BROKEN = frozenset({500, 502, 503, 504})
_UNREACHED = (
    login_errors.ConnectFailure,
    login_errors.ConnectTimeout,
    login_errors.UnknownConnectionError,
    login_errors.RetriableConnectionFailure,
)
#: How often a request is sent anew that a service refused with a token which it had not refused before. The session has
#: logged in anew by then; but a token may end between two requests, and services learn late of new ones.
_REFUSED_LOGINS = 2
_SLICE = 1.0  # longest silence towards whoever may want to end the work, in seconds

_check: contextvars.ContextVar[Callable[[], None] | None] = contextvars.ContextVar("karbor_cloud_check", default=None)


@contextlib.contextmanager
def watched_by(check: Callable[[], None] | None) -> Iterator[None]:
    """While this lasts, waits of this thread call ``check``, which may raise to end them."""
    mark = _check.set(check)
    try:
        yield
    finally:
        _check.reset(mark)


class Pauses:
    """Waits that end when whoever watches says so."""

    def __init__(self, pause: Callable[[float], None]) -> None:
        self._pause = pause

    def __call__(self, seconds: float) -> None:
        check = _check.get()
        while seconds > 0:
            if check is not None:
                check()
            self._pause(min(_SLICE, seconds))
            seconds -= _SLICE
        if check is not None:
            check()


class Calls:
    """How many requests were sent, by service and method; each try counts. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: collections.Counter[tuple[str, str]] = collections.Counter()

    def count(self, service: str, method: str) -> None:
        """One more."""
        with self._lock:
            self._counted[service, method] += 1

    def by_service(self) -> Mapping[str, int]:
        """Requests so far by type of service; logins are those of ``identity``."""
        found: collections.Counter[str] = collections.Counter()
        with self._lock:
            for (service, _method), number in self._counted.items():
                found[service] += number
        return dict(found)

    @property
    def total(self) -> int:
        with self._lock:
            return sum(self._counted.values())


class CloudSession(login_session.Session):
    """A session of keystoneauth with the login and the connections of another one."""

    def __init__(
        self,
        given: login_session.Session,
        *,
        timeout: float,
        retrying: Retrying,
        clock: Clock,
        discovery_cache: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            auth=given.auth,
            session=given.session,
            verify=given.verify,
            cert=given.cert,
            timeout=given.timeout or timeout,
            app_name="karbor",
            discovery_cache=discovery_cache,
        )
        self.calls = Calls()
        self._retrying = retrying
        self._clock = clock

    def request(self, url: str, method: str, **given: Any) -> requests.Response:  # type: ignore[override]
        """See Session.request. Raises Unavailable of karbor.model.errors where all tries are used up."""
        raise_exc = given.pop("raise_exc", None) is not False
        given.update(connect_retries=0, status_code_retries=0, raise_exc=False, log=False)
        service = (given.get("endpoint_filter") or {}).get("service_type") or "identity"
        headers = dict(given.pop("headers", None) or {})
        request_id = _request_id()
        if request_id:
            headers.setdefault("X-OpenStack-Request-ID", request_id)

        def send() -> requests.Response:
            return self._send(url, method, service, {**given, "headers": dict(headers)})

        response = self._retrying.call(send)
        for _again in range(_REFUSED_LOGINS if service != "identity" and _is_repeatable(given) else 0):
            if response.status_code != 401:
                break
            response.close()
            LOG.info("login refused although it is new, tried again service=%s method=%s", service, method)
            response = self._retrying.call(send)
        if raise_exc and response.status_code >= 400:
            raise login_errors.from_response(response, method, url)
        return response

    def _send(self, url: str, method: str, service: str, given: dict[str, Any]) -> requests.Response:
        self.calls.count(service, method)
        begun = self._clock.monotonic()
        twice = method in _TWICE and _is_repeatable(given)
        twice = twice or url.endswith("/auth/tokens")
        try:
            response = super().request(url, method, **given)
        except _UNREACHED as fault:
            LOG.debug("cloud request service=%s method=%s path=%s unreached", service, method, urlsplit(url).path)
            if not twice:
                raise
            raise Passing(unavailable(service, f"{method} {urlsplit(url).path}: {fault}")) from fault
        status, path = response.status_code, urlsplit(response.url).path
        request_id = response.headers.get("x-openstack-request-id")
        took = self._clock.monotonic() - begun
        LOG.debug(
            "cloud request service=%s method=%s path=%s status=%s took=%.3fs request=%s",
            service, method, path, status, took, request_id,
        )  # fmt: skip
        wait = self._asked_to_wait(response)
        # Cinder says 413 with "Retry-After: 0" where a quota is used up: that does not pass.
        if (status in _BROKEN and twice) or status == 429 or (status == 413 and wait > 0):
            response.close()
            fault_of_ours = unavailable(service, f"{method} {path} answered {status} request={request_id}")
            raise Passing(fault_of_ours, wait=wait)
        return response

    def _asked_to_wait(self, response: requests.Response) -> float:
        """Seconds of ``Retry-After``, which is a number or a date; nothing where it is neither."""
        text = response.headers.get("Retry-After", "")
        with contextlib.suppress(ValueError, TypeError):
            if text.strip().isdigit():
                return float(text)
            when = parsedate_to_datetime(text)
            when = when if when.tzinfo else when.replace(tzinfo=UTC)
            return max(0.0, (when - self._clock.now()).total_seconds())
        return 0.0


def _is_repeatable(given: Mapping[str, Any]) -> bool:
    """Whether the body of a request is still there when it was sent."""
    return isinstance(given.get("data"), bytes | str | None)


def _request_id() -> str:
    current = context.get_current()
    return (current.global_request_id or current.request_id or "") if current is not None else ""

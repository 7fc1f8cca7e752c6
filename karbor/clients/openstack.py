# SPDX-License-Identifier: Apache-2.0
"""What can be asked of one tenant's cloud, and how is waited for what it does?

``Cloud`` has an attribute for each service; behind each is the proxy of openstacksdk with all its methods
(``cloud.compute.get_server(id)``, ``cloud.block_storage.backups(...)``). They are made when they are first used, raise
only errors of karbor.model.errors, and send requests that failed in passing again where that does no harm.
"""

import contextlib
import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from karbor.clients.service import Proxies, Service
from karbor.common.clock import Clock
from karbor.common.retrying import Passing, Policy, Retrying
from karbor.common.waiting import wait_for
from karbor.model import errors

if TYPE_CHECKING:
    import requests
    from keystoneauth1.session import Session

    from karbor.clients.traffic import Calls

Found = TypeVar("Found")

#: Services by the name of their attribute, with the type that the catalog knows them by.
SERVICES = {
    "compute": "compute",
    "block_storage": "block-storage",
    "image": "image",
    "network": "network",
    "orchestration": "orchestration",
    "object_store": "object-store",
    "shared_file_system": "shared-file-system",
    "database": "database",
    "identity": "identity",
}
_SOON = (0.25, 8.0)  # seconds between two looks: at first, and at most


@dataclass(frozen=True)
class CloudSettings:
    """``region`` and ``interface`` choose from the catalog; an empty region takes what is there. ``timeout``: seconds
    of silence until a request is given up. ``retries``: for requests that failed in passing."""

    region: str = ""
    interface: str = "public"
    timeout: float = 60.0
    retries: Policy = Policy(attempts=5, backoff=1.0, longest=30.0, deadline=180.0)


class Cloud:
    """The cloud as one tenant sees it. Thread-safe; ``watched`` gives the same cloud to somebody with another
    ``check``.

    ``check`` is called at least once a second in every wait and between tries, and may raise to end them.
    """

    compute: Service
    block_storage: Service
    image: Service
    network: Service
    orchestration: Service
    object_store: Service
    shared_file_system: Service
    database: Service
    identity: Service

    def __init__(
        self,
        session: "Session",
        settings: CloudSettings = CloudSettings(),  # noqa: B008 - frozen
        *,
        check: Callable[[], None] | None = None,
        clock: Clock | None = None,
        pause: Callable[[float], None] = time.sleep,
        discovery_cache: dict[str, Any] | None = None,
    ) -> None:
        # Hosts without a cloud must not pay for the library: 20 MiB and a quarter of a second.
        from karbor.clients.traffic import CloudSession, Pauses

        self._clock = clock or Clock()
        self._pause_plainly = pause
        self._retrying = Retrying(settings.retries, clock=self._clock, pause=Pauses(pause))
        self._session = CloudSession(
            session,
            timeout=settings.timeout,
            retrying=self._retrying,
            clock=self._clock,
            discovery_cache=discovery_cache,
        )
        self._settings = settings
        self._check = check
        self._proxies = Proxies(self._session, region=settings.region, interface=settings.interface)
        self._name_services()

    def watched(self, check: Callable[[], None] | None) -> "Cloud":
        """The same cloud, with the same connections and counters, whose waits call ``check``."""
        other = copy.copy(self)
        other._check = check
        other._name_services()
        return other

    def _name_services(self) -> None:
        for name in SERVICES:
            setattr(self, name, Service(self, name))

    @property
    def calls(self) -> "Calls":
        """The requests that were sent to this cloud."""
        return self._session.calls

    @property
    def session(self) -> "Session":
        """For libraries that take a session of keystoneauth; what they raise is not translated."""
        return self._session

    @property
    def project_id(self) -> str:
        """The project whose cloud this is. Raises Unauthorized, Unavailable."""
        with self.translating("identity"):
            return str(self._session.get_project_id() or "")

    @property
    def project_name(self) -> str:
        """Its name, as far as the login tells it; else its id."""
        with self.translating("identity"):
            access = getattr(self._session.auth, "get_access", None)
            return str((access(self._session).project_name if access else "") or self.project_id)

    def has(self, service: str) -> bool:
        """Whether the catalog has a service, by the name of its attribute here. Raises Unauthorized, Unavailable."""
        from keystoneauth1 import exceptions as login_errors

        with self.translating("identity"):
            access = getattr(self._session.auth, "get_access", None)
            if access is None:
                return True
            try:
                found = access(self._session).service_catalog.endpoint_data_for(
                    service_type=SERVICES[service],
                    interface=self._settings.interface,
                    region_name=self._settings.region or None,
                )
            except (login_errors.EndpointNotFound, login_errors.EmptyCatalog):
                return False
            return found is not None

    @contextlib.contextmanager
    def translating(self, service: str) -> Iterator[None]:
        """Around calls of libraries: what they raise becomes an error of ours, and waits inside call ``check``."""
        from karbor.clients import cloudfaults, traffic

        with traffic.watched_by(self._check):
            try:
                yield
            except cloudfaults.RAISED as fault:
                raise cloudfaults.translated(fault, service) from fault

    def proxy(self, service: str) -> Any:
        """The proxy of openstacksdk for a service; see ``Service``. Raises NotSupported where the cloud has none, or
        one too old."""
        with self.translating(service):
            return self._proxies.get(service)

    def pieces(self, response: "requests.Response", size: int = 1 << 20) -> Iterator[bytes]:
        """The body of an answer that was asked for with ``stream=True``, in pieces of at most ``size`` bytes."""
        body = response.iter_content(size)
        try:
            while True:
                with self.translating("image"):
                    if self._check is not None:
                        self._check()
                    piece = next(body, None)
                if piece is None:
                    return
                yield piece
        finally:
            response.close()

    def made(self, look: Callable[[], Found | None], make: Callable[[], Found]) -> Found:
        """What ``look`` finds, else what ``make`` makes. Where a service fails in passing nobody knows whether it made
        it: so that is looked for again before it is asked for again. Raises what both raise, Unavailable in the end."""
        from karbor.clients.traffic import watched_by

        def look_or_make() -> Found:
            found = look()
            if found is not None:
                return found
            try:
                return make()
            except errors.Unavailable as fault:
                raise Passing(fault) from fault

        with watched_by(self._check):
            return self._retrying.call(look_or_make)

    def wait(self, look: Callable[[], Found], reached: Callable[[Found], bool], *, what: str, deadline: float) -> Found:
        """What ``look`` returns once ``reached`` says yes to it. ``reached`` may raise where that cannot come.

        Looks at once, then with growing pauses of at most 8 s. Raises Unavailable after ``deadline`` seconds.
        """
        last: list[Any] = [None]

        def look_once() -> tuple[Found] | None:
            last[0] = found = look()
            return (found,) if reached(found) else None

        found = wait_for(
            look_once,
            clock=self._clock,
            seconds=deadline,
            check=self._check or _nobody_asks,
            first=_SOON[0],
            longest=_SOON[1],
            pause=self._pause_plainly,
        )
        if found is None:
            raise errors.Unavailable(
                f"The cloud took too long: {what}.",
                detail=f"given up after {deadline:.0f} s, last status {getattr(last[0], 'status', None)}",
                next_action="look at that resource and the service in the cloud, then try again",
            )
        return found[0]

    def wait_status(
        self,
        look: Callable[[], Found],
        wanted: str | tuple[str, ...],
        *,
        what: str,
        deadline: float,
        bad: tuple[str, ...] = ("error",),
    ) -> Found:
        """``wait`` for a ``status``, whatever its case. Raises KarborError where it begins with one of ``bad``."""
        good = {wanted.lower()} if isinstance(wanted, str) else {one.lower() for one in wanted}

        def reached(found: Any) -> bool:
            status = str(found.status or "").lower()
            if status not in good and status.startswith(bad):
                why = str(getattr(found, "fail_reason", None) or getattr(found, "fault", None) or "")
                raise errors.StepFailed(
                    f"The cloud could not do it: {what}.",
                    detail=f"status {found.status} {why}".strip(),
                    next_action="look at that resource in the cloud",
                )
            return status in good

        return self.wait(look, reached, what=what, deadline=deadline)

    def wait_gone(self, look: Callable[[], Any], *, what: str, deadline: float) -> None:
        """Until ``look`` finds nothing: it returns None or raises NotFound."""

        def seen() -> Any:
            try:
                return look()
            except errors.NotFound:
                return None

        self.wait(seen, lambda found: found is None, what=what, deadline=deadline)


def _nobody_asks() -> None:
    """No work stands behind this cloud that could be ended."""

# SPDX-License-Identifier: Apache-2.0
"""Which projects, users and things does the cloud in memory have, and what goes wrong in it when a test says so?"""

import collections
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests
from keystoneauth1.identity import V3Password
from keystoneauth1.session import Session

from karbor.clients.openstack import Cloud, CloudSettings
from karbor.common.clock import Clock, iso
from karbor.sdk.testing.memorycloud.compute import Compute
from karbor.sdk.testing.memorycloud.databases import Databases
from karbor.sdk.testing.memorycloud.identity import Identity
from karbor.sdk.testing.memorycloud.images import Images
from karbor.sdk.testing.memorycloud.networks import Networks
from karbor.sdk.testing.memorycloud.objects import Objects
from karbor.sdk.testing.memorycloud.orchestration import Orchestration
from karbor.sdk.testing.memorycloud.shares import Shares
from karbor.sdk.testing.memorycloud.volumes import Volumes
from karbor.sdk.testing.memorycloud.wire import HOST, Answer, Request, Service, Wire

_SPACE = uuid.UUID("6d656d6f-7279-4c00-8000-000000000000")


@dataclass
class _Fault:
    service: str
    method: str
    path: re.Pattern[str]
    times: int
    answer: Answer | Exception
    after: bool


class MemoryCloud:
    """One cloud. ``things`` maps a kind (``server``, ``volume``...) to its things by id, each as its service shows it.

    What takes time (a volume that is ``creating``) has come to its end ``latency`` seconds later by ``clock``; with a
    latency of 0 the next look finds it done. Thread-safe.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        latency: float = 0.0,
        without: tuple[str, ...] = (),
    ) -> None:
        """``without``: services, by their types in the catalog, that this cloud does not have."""
        self.clock = clock or Clock()
        self.latency = latency
        self.things: dict[str, dict[str, dict[str, Any]]] = collections.defaultdict(dict)
        self.contents: dict[str, bytes] = {}  # id of a volume, snapshot, backup or image -> its bytes
        self.projects: dict[str, str] = {}  # name -> id
        self.tokens: dict[str, str] = {}  # token -> project id
        self.quotas: dict[str, int] = {}  # kind -> how many of it one project may have; "gigabytes" of volumes
        #: Names that can be chosen from; what a test adds beside them is here from then on.
        self.choices: dict[str, set[str]] = {
            "volume_type": {"rbd"}, "share_type": {"default"}, "server_zone": {"nova"}, "volume_zone": {"nova"},
        }  # fmt: skip
        self.calls: collections.Counter[tuple[str, str, str]] = collections.Counter()
        self.compute, self.volumes, self.images = Compute(self), Volumes(self), Images(self)
        self.networks, self.shares, self.databases = Networks(self), Shares(self), Databases(self)
        self.orchestration = Orchestration(self)
        made = (Identity(self), self.compute, self.volumes, self.images, self.networks, self.shares, self.databases,
                self.orchestration, Objects(self))  # fmt: skip
        self.services: Mapping[str, Service] = {one.type: one for one in made if one.type not in without}
        self._faults: list[_Fault] = []
        self._due: list[tuple[float, Callable[[], object]]] = []
        self._made = 0
        self._lock = threading.RLock()

    def session(self, project: str = "alpha") -> Session:
        """The login of a user in a project, by its name; the project is made where there is none."""
        self.project(project)
        auth = V3Password(
            f"{HOST}/identity/v3",
            username="ann",
            password="secret",  # noqa: S106 - of nobody
            user_domain_id="default",
            project_name=project,
            project_domain_id="default",
        )
        return Session(auth=auth, session=self.connection())

    def connection(self) -> requests.Session:
        """What reaches this cloud over requests, whoever logs in through it."""
        found = requests.Session()
        found.trust_env = False
        found.mount("http://", Wire(self))
        return found

    def open(self, project: str = "alpha", **more: Any) -> Cloud:
        """The cloud as a tenant of a project sees it. ``more``: what Cloud takes beside its session."""
        more.setdefault("clock", self.clock)
        return Cloud(self.session(project), more.pop("settings", CloudSettings()), **more)

    def project(self, name: str) -> str:
        """The id of a project."""
        with self._lock:
            return self.projects.setdefault(name, uuid.uuid5(_SPACE, f"project {name}").hex)

    def fail(
        self,
        service: str,
        method: str,
        path: str,
        answer: int | Exception,
        *,
        times: int = 1,
        headers: Mapping[str, str] | None = None,
        after: bool = False,
    ) -> None:
        """The next ``times`` requests of ``service`` (its type in the catalog) whose path has the pattern ``path`` are
        answered with this status, or end as in this error of requests. ``after``: what they ask for is done before."""
        message = {"error": {"code": answer, "message": "It was made to fail.", "title": "Failure"}}
        sent = answer if isinstance(answer, Exception) else Answer(answer, message, dict(headers or {}))
        with self._lock:
            self._faults.append(_Fault(service, method, re.compile(path), times, sent, after))

    def forgive(self) -> None:
        """From now on nothing is made to fail."""
        with self._lock:
            self._faults.clear()

    def expire_tokens(self) -> None:
        """From now on every token that was given is no good."""
        with self._lock:
            self.tokens.clear()

    def choice_id(self, kind: str, name: str) -> str:
        """The id of something that can be chosen from by name; the same in one cloud, and another in others."""
        return str(uuid.uuid5(_SPACE, f"{id(self)} {kind} {name}"))

    def new_id(self) -> str:
        """An id that no other thing has; the same in every run."""
        with self._lock:
            self._made += 1
            return str(uuid.uuid5(_SPACE, str(self._made)))

    def now(self) -> str:
        """The time as most services write it."""
        return iso(self.clock.now())

    def later(self, do: Callable[[], object]) -> None:
        """Let ``do`` happen when the latency is over."""
        with self._lock:
            self._due.append((self.clock.monotonic() + self.latency, do))

    def settle(self) -> None:
        """What was begun has come to its end, whatever the latency."""
        with self._lock:
            due, self._due = self._due, []
            for _when, do in due:
                do()

    def of_project(self, kind: str, project_id: str) -> list[dict[str, Any]]:
        """The things of one kind that a project has, in order of id."""
        return [self.things[kind][id_] for id_ in sorted(self.things[kind]) if self.owner(kind, id_) == project_id]

    def owner(self, kind: str, id_: str) -> str:
        """The project that a thing belongs to, whatever its service calls that."""
        thing = self.things[kind][id_]
        names = ("tenant_id", "owner", "os-vol-tenant-attr:tenant_id", "_project", "project_id")
        return str(next((thing[name] for name in names if thing.get(name)), ""))

    def serve(self, request: Request) -> Answer:
        """The answer to a request, which is counted."""
        with self._lock:
            self._let_things_end()
            name = request.path.split("/")[1]
            service = self.services.get(name)
            if service is None:
                return Answer(404)
            fault = self._fault(name, request)
            if fault is not None and not fault.after:
                self.calls[name, request.method, "failed"] += 1
                return self._as_told(fault)
            project_id = self.tokens.get(request.headers.get("X-Auth-Token", ""), "")
            known = Request(request.method, request.path, request.query, request.body, request.headers, project_id)
            template, answer = service.answer(known)
            self.calls[name, request.method, template] += 1
            if fault is not None:
                return self._as_told(fault)
            headers = {"x-openstack-request-id": f"req-{uuid.uuid4()}", **answer.headers}
            return Answer(answer.status, answer.body, headers)

    def _let_things_end(self) -> None:
        now = self.clock.monotonic()
        due = [do for when, do in self._due if when <= now]
        self._due = [(when, do) for when, do in self._due if when > now]
        for do in due:
            do()

    def _fault(self, name: str, request: Request) -> _Fault | None:
        for fault in self._faults:
            if fault.service == name and fault.method == request.method and fault.path.search(request.path):
                fault.times -= 1
                if fault.times == 0:
                    self._faults.remove(fault)
                return fault
        return None

    @staticmethod
    def _as_told(fault: _Fault) -> Answer:
        if isinstance(fault.answer, Exception):
            raise fault.answer
        return fault.answer

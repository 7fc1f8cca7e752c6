# SPDX-License-Identifier: Apache-2.0
"""How is one service of a cloud reached: its proxy, the version that is used, and the errors of its methods?"""

import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from karbor.model import errors

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud

#: The version of its interface that is used of each service that has several: those of the release Train (2019). What
#: is sent and understood is the same in every cloud, whatever newer versions it offers.
MICROVERSIONS = {"compute": "2.79", "block_storage": "3.59", "shared_file_system": "2.51"}
#: Members of a collection in one answer: as many as the services give at most, unless set otherwise.
PAGE = 1000


class Service:
    """One service of a cloud. Each of its methods is one of openstacksdk's proxy of the same name; ``get``, ``post``,
    ``put``, ``patch`` and ``delete`` send a request of one's own and raise where the answer is an error."""

    def __init__(self, cloud: "Cloud", name: str) -> None:
        self._cloud = cloud
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        with self._cloud.translating(self._name):
            found = getattr(self._cloud.proxy(self._name), name)
        return functools.partial(self._call, found) if callable(found) else found

    def each(
        self, path: str, key: str, *, after: str = "", size: int = PAGE, **query: Any
    ) -> Iterator[Mapping[str, Any]]:
        """The members of a collection as the service sends them, asked for ``size`` at a time while they are read.

        ``query`` must make them come in order of id; then those behind the id ``after`` come, whether or not there is
        such a one. Cheaper than openstacksdk's lists, which make an object of each and cannot be begun anywhere.
        """
        try:
            yield from self._pages(path, key, after, size, query)
        except (errors.InvalidInput, errors.NotFound):
            if not after:
                raise
            # No service says how it calls a marker that it does not know: that one was deleted meanwhile.
            yield from (one for one in self._pages(path, key, "", size, query) if one["id"] > after)

    def _pages(
        self, path: str, key: str, marker: str, size: int, query: Mapping[str, Any]
    ) -> Iterator[Mapping[str, Any]]:
        while True:
            body = self.get(path, params={**query, "limit": size, **({"marker": marker} if marker else {})}).json()
            page: list[Mapping[str, Any]] = body[key]
            yield from page
            more = body.get("next") or any(
                link["rel"] == "next" for name in (f"{key}_links", "links") for link in body.get(name) or ()
            )
            if not page or not more:
                return
            marker = page[-1]["id"]

    def _call(self, function: Callable[..., Any], *args: Any, **named: Any) -> Any:
        from openstack import exceptions as sdk_errors
        from requests import Response

        with self._cloud.translating(self._name):
            found = function(*args, **named)
            if isinstance(found, Response):
                sdk_errors.raise_from_response(found)
        return self._each(found) if isinstance(found, GeneratorType) else found

    def _each(self, items: Iterator[Any]) -> Iterator[Any]:
        """A list is asked for page by page while it is read."""
        end = object()
        while True:
            with self._cloud.translating(self._name):
                item = next(items, end)
            if item is end:
                return
            yield item


class Proxies:
    """The proxies of one connection, each made and its version checked when it is first asked for."""

    def __init__(self, session: Any, *, region: str, interface: str) -> None:
        self._session, self._region, self._interface = session, region, interface
        self._lock = threading.RLock()  # guards the two below
        self._connection: Any = None
        self._checked: dict[str, Any] = {}

    def get(self, service: str) -> Any:
        """The proxy of a service. Raises NotSupported where its versions do not fit."""
        with self._lock:
            if service not in self._checked:
                self._checked[service] = self._checked_proxy(service)
            return self._checked[service]

    def _checked_proxy(self, service: str) -> Any:
        from openstack.connection import Connection

        if self._connection is None:
            self._connection = Connection(
                session=self._session,
                region_name=self._region or None,
                interface=self._interface,
                image_api_use_tasks=False,
            )
        proxy = getattr(self._connection, service)
        pinned = MICROVERSIONS.get(service)
        if pinned is not None:
            _require_version(service, proxy, pinned)
            proxy.default_microversion = pinned
        return proxy


def _require_version(service: str, proxy: Any, pinned: str) -> None:
    data = proxy.get_endpoint_data()
    offered = data and (data.min_microversion, data.max_microversion)
    wanted = tuple(int(part) for part in pinned.split("."))
    if not offered or not offered[1] or not (offered[0] or (0,)) <= wanted <= offered[1]:
        name = service.replace("_", "-")
        shown = " to ".join(".".join(map(str, one or ())) for one in offered or ()) or "none"
        raise errors.NotSupported(
            f"The {name} service of this cloud cannot be used: its versions do not fit.",
            detail=f"microversion {pinned} is needed, offered: {shown}",
            next_action="a cloud of the release Train or later is needed",
        )

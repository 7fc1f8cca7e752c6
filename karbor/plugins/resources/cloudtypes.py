# SPDX-License-Identifier: Apache-2.0
"""What do all protectables of a cloud have in common?

A page costs one question to the service it lies in; what lies below a whole page costs one pass over the lists it is
taken from, whatever the number of parents. Only what belongs to the project of the caller is shown.
"""

import abc
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar

from karbor.clients.service import PAGE
from karbor.model import errors
from karbor.model.resource import Resource
from karbor.model.selection import Choice, Traits
from karbor.sdk.protectable import Protectable

PROJECT = "OS::Keystone::Project"
SERVER = "OS::Nova::Server"
VOLUME = "OS::Cinder::Volume"
IMAGE = "OS::Glance::Image"
NETWORK = "OS::Neutron::Network"
SHARE = "OS::Manila::Share"
DATABASE = "OS::Trove::Instance"
#: From this many resources on, one list is cheaper than asking for each.
LIST_FROM = 8
_ID = re.compile(r"[0-9A-Za-z_-]{1,255}")


class CloudProtectable(Protectable):
    """Finds things of one kind in one service. ``hidden``: the states, in small letters, in which one is not shown."""

    acts_in_cloud = True
    parent_types: ClassVar[tuple[str, ...]] = (PROJECT,)
    service: ClassVar[str]
    hidden: ClassVar[frozenset[str]] = frozenset()

    @abc.abstractmethod
    def found(self, project_id: str, *, after: str = "", size: int = PAGE, **query: Any) -> Iterator[Mapping[str, Any]]:
        """All of the project as the service sends them, in order of id, behind the id ``after``. ``query``, where it is
        given, is one of ``narrowing``."""

    @abc.abstractmethod
    def look_up(self, resource_id: str) -> Mapping[str, Any]:
        """One as the service sends it, whoever owns it. Raises NotFound."""

    @abc.abstractmethod
    def owner(self, item: Mapping[str, Any]) -> str:
        """The id of the project that one belongs to."""

    def narrowing(self, choice: Choice) -> Mapping[str, Any]:
        """What to ask the service for so that it leaves out what does not fit; empty where it cannot."""
        return {}

    def tags(self, item: Mapping[str, Any]) -> Iterable[str]:
        """The tags that one has. Used where ``chosen_by`` names them."""
        return ()

    def metadata(self, item: Mapping[str, Any]) -> Mapping[str, str]:
        """The metadata that one has. Used where ``chosen_by`` names them."""
        return {}

    def resource(self, item: Mapping[str, Any]) -> Resource:
        """What plans and graphs know of it."""
        return Resource(self.resource_type, item["id"], item.get("name") or item["id"])

    def is_hidden(self, item: Mapping[str, Any]) -> bool:
        """Whether its state keeps it from being protected."""
        return str(item.get("status") or "").lower() in self.hidden

    def list(
        self, project_id: str, *, after: str = "", limit: int = 1000, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Resource]:
        """One question for each thousand; none of them where the cloud has no such service."""
        return list(islice(self._shown(project_id, after=after, size=min(limit, PAGE)), limit))

    def traits(self, project_id: str, choice: Choice) -> Iterator[Traits]:
        """One question for each thousand of what the service cannot leave out."""
        narrowing = self.narrowing(choice)
        items = self._items(project_id, **narrowing)
        try:
            item = next(items, None)
        except errors.InvalidInput:
            if not narrowing:
                raise
            items = self._items(project_id)  # the operator of this cloud does not let users ask so
            item = next(items, None)
        while item is not None:
            name = item.get("name") or ""
            yield Traits(self.resource(item), name, frozenset(self.tags(item)), self.metadata(item))
            item = next(items, None)

    def get(self, project_id: str, resource_id: str, *, parameters: Mapping[str, Any] | None = None) -> Resource:
        """One by its id."""
        item = self._look_up_or_none(resource_id)
        if item is None or self.owner(item) != project_id or self.is_hidden(item):
            raise errors.ResourceNotFound(
                f"There is no {self.resource_type} {resource_id[:80]!r} that can be protected.",
                detail="it does not exist, belongs to another project, or its state does not allow it",
            )
        return self.resource(item)

    def get_many(self, project_id: str, resource_ids: Sequence[str]) -> Mapping[str, Resource]:
        """Each by itself where they are few, else those among all of the project."""
        wanted = set(resource_ids)
        if len(wanted) < LIST_FROM:
            return super().get_many(project_id, resource_ids)
        return {one.id: one for one in self._shown(project_id) if one.id in wanted}

    def children(self, project_id: str, parents: Sequence[Resource]) -> Mapping[str, Sequence[Resource]]:
        """All of the project below its project; what lies below others is for ``below``."""
        if not parents or not self.cloud.has(self.service):
            return {}
        if parents[0].type == PROJECT:
            return {parent.id: list(self._shown(project_id)) for parent in parents if parent.id == project_id}
        return self.below(project_id, parents)

    def below(self, project_id: str, parents: Sequence[Resource]) -> Mapping[str, Sequence[Resource]]:
        """Those directly below parents that are not projects."""
        return {}

    def _shown(self, project_id: str, *, after: str = "", size: int = PAGE) -> Iterator[Resource]:
        return map(self.resource, self._items(project_id, after=after, size=size))

    def _items(self, project_id: str, **asked: Any) -> Iterator[Mapping[str, Any]]:
        if not self.cloud.has(self.service):
            return
        for item in self.found(project_id, **asked):
            if self.owner(item) == project_id and not self.is_hidden(item):
                yield item

    def _look_up_or_none(self, resource_id: str) -> Mapping[str, Any] | None:
        """None too for an id that would lead elsewhere in the service's URL."""
        if not _ID.fullmatch(resource_id) or not self.cloud.has(self.service):
            return None
        try:
            return self.look_up(resource_id)
        except (errors.NotFound, errors.InvalidInput):
            return None

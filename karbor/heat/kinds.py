# SPDX-License-Identifier: Apache-2.0
"""What must be known of a type of resource to build it without Heat: how it is made, found again, and removed?

Everything that is made carries a mark of the restore and of its name in the template, from the very request that makes
it on. So a step that was cut off anywhere finds it again, and an undo finds all of it: nothing is guessed by its looks.
"""

import abc
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from karbor.common import faultpoints
from karbor.model import errors
from karbor.sdk.marks import is_mark, mark_of

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud
    from karbor.clients.service import Service

Item = Mapping[str, Any]


class Kind(abc.ABC):
    """Resources of one type, in the cloud of one tenant and for one restore.

    Properties are those of a template, with ids in the places of references. An id is what Heat calls the physical id.
    """

    def __init__(self, cloud: "Cloud", restore_id: str) -> None:
        self.cloud = cloud
        self.restore_id = restore_id

    @abc.abstractmethod
    def ensure(self, name: str, properties: Item) -> str:
        """Have it made, unless it is there, and return its id; it need not be ready. May be called again."""

    @abc.abstractmethod
    def find(self, name: str, properties: Item) -> str:
        """The id of what ``ensure`` made in this or an earlier try; empty where there is nothing of it."""

    @abc.abstractmethod
    def is_ready(self, id_: str) -> bool:
        """Whether what needs it may be made. Raises StepFailed where it never will be."""

    def complete(self, id_: str, properties: Item) -> None:  # noqa: B027 - most are complete when they are ready
        """Give it what can only be given when it is ready. May be called again."""

    @abc.abstractmethod
    def remove(self, id_: str) -> bool:
        """Do what can be done now to remove it, and say whether it is gone. Called until it is; raises StepFailed
        where that will never be."""

    def attribute(self, id_: str, name: str) -> Any:
        """An attribute of it, for ``get_attr``. Raises NotSupported."""
        raise errors.NotSupported(f"Without Heat there is no attribute {name} of {id_}.")

    @staticmethod
    def reached(what: str) -> None:
        """A place between two requests, where a test may end the process."""
        faultpoints.reach(f"direct:{what}")


class Marked(Kind):
    """Things with an id of their own, in a collection of a service that can be listed."""

    def __init__(self, cloud: "Cloud", restore_id: str) -> None:
        super().__init__(cloud, restore_id)
        self._known: dict[str, Item] | None = None  # by mark; what earlier tries made, as it was when first asked for

    @property
    @abc.abstractmethod
    def api(self) -> "Service":
        """The service."""

    @abc.abstractmethod
    def listed(self) -> Iterable[Item]:
        """All of the project."""

    @abc.abstractmethod
    def marks(self, item: Item) -> Iterable[str]:
        """What on a thing may be a mark."""

    @abc.abstractmethod
    def make(self, mark: str, properties: Item) -> Item:
        """Make one that has the mark from the beginning."""

    @abc.abstractmethod
    def one(self, id_: str) -> Item:
        """One as it is now. Raises NotFound."""

    def finish(self, item: Item, mark: str, properties: Item) -> None:  # noqa: B027 - one request makes most of them
        """Do what the request that makes it cannot do. May be called again."""

    def ensure(self, name: str, properties: Item) -> str:
        mark = mark_of(self.restore_id, name)
        found = self._own().get(mark)
        if found is None:
            found = self.make(mark, properties)
            self.reached("made")
        self.finish(found, mark, properties)
        return str(found["id"])

    def find(self, name: str, properties: Item) -> str:
        found = self._own().get(mark_of(self.restore_id, name))
        return str(found["id"]) if found is not None else ""

    def look(self, id_: str) -> Item | None:
        """One as it is now; None where it is gone."""
        try:
            return self.one(id_)
        except errors.NotFound:
            return None

    def attribute(self, id_: str, name: str) -> Any:
        found = self.one(id_)
        return found[name] if name in found else super().attribute(id_, name)

    def _own(self) -> Mapping[str, Item]:
        if self._known is None:
            self._known = {mark: item for item in self.listed() for mark in self.marks(item) if is_mark(mark)}
        return self._known


class Slow(Marked):
    """Things that take a while: they have a status. The sets are in small letters."""

    path: str
    key: str
    what: str
    ready: frozenset[str]
    busy: frozenset[str] = frozenset()  # in these it cannot be removed

    def one(self, id_: str) -> Item:
        found: Item = self.api.get(f"{self.path}/{id_}").json()[self.key]
        return found

    def is_ready(self, id_: str) -> bool:
        item = self.look(id_)
        if item is None:
            raise errors.StepFailed(f"The {self.what} was removed while it was built.")
        status = str(item["status"]).lower()
        if "error" in status or status == "failed":
            said = str((item.get("fault") or {}).get("message") or "").strip()
            raise errors.StepFailed(
                f"The cloud could not make the {self.what}" + (f": {said[:300]}" if said else "."),
                detail=f"{self.what} {id_} has the status {item['status']}",
            )
        return status in self.ready

    def remove(self, id_: str) -> bool:
        item = self.look(id_)
        if item is None:
            return True
        status = str(item["status"]).lower()
        if status.startswith("error_deleting"):
            raise errors.StepFailed(f"The cloud could not remove the {self.what} {id_}.")
        if status not in self.busy and status != "deleting":
            try:
                self.api.delete(f"{self.path}/{id_}")
            except errors.NotFound:
                return True
        return False


class Relation(Kind):
    """What ties two things together and has no id of its own: it is there, or not, by the two things it names. One of
    these is made by the same restore, so it is nobody else's."""

    def ensure(self, name: str, properties: Item) -> str:
        found = self.find(name, properties)
        if not found:
            found = self.join(name, properties)
        return found

    @abc.abstractmethod
    def join(self, name: str, properties: Item) -> str:
        """Tie them together."""

    def is_ready(self, id_: str) -> bool:
        return True

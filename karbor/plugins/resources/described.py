# SPDX-License-Identifier: Apache-2.0
"""How are things made, found again and removed in a service that keeps no metadata of them?

Snapshots of Manila before its version 2.73, and backups of Trove, have a name and a description. The job that made one
is named in its description, so that another try finds it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from karbor.clients.service import Service
from karbor.model import errors
from karbor.sdk.protection import Work

_SOON = 1800.0  # seconds; for what moves no data

Item = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """``path`` and ``single`` as the service's interface names them; ``ready`` and ``failed`` are states in small
    letters; ``of`` names the field with what a thing was made of; ``seconds``, the longest wait until it is ready."""

    path: str
    single: str
    ready: str
    failed: tuple[str, ...]
    of: str
    seconds: float


class Described:
    """Things of one kind as one step of a work sees them. ``listed`` gives all of the project."""

    def __init__(self, work: Work, service: Service, kind: Kind, listed: Callable[[], Iterable[Item]]) -> None:
        self._work, self._api, self._kind, self._listed = work, service, kind, listed

    def one(self, id_: str) -> Item:
        """One by its id. Raises NotFound."""
        found: Item = self._api.get(f"{self._kind.path}/{id_}").json()[self._kind.single]
        return found

    def made(self, origin: str, *, description: str, **given: Any) -> Item:
        """The one that this job made of ``origin``, ready. May be called again. Raises StepFailed."""
        found = self._own(origin)
        if found is None:
            text = f"{description} {self._mark()}".strip()
            body = {self._kind.single: {"description": text, **given}}
            found = self._api.post(self._kind.path, json=body).json()[self._kind.single]
        id_ = found["id"]
        return self._work.cloud.wait(
            lambda: self.one(id_), self._is_ready, what=f"{self._kind.single} {id_}", deadline=self._kind.seconds
        )

    def is_ready(self, one: Item) -> bool:
        """Whether it can be used."""
        return str(one["status"]).lower() == self._kind.ready

    def remove_own(self, origin: str) -> None:
        """Remove what this job made of ``origin``."""
        found = self._own(origin)
        if found is not None:
            self.remove(found["id"])

    def remove(self, id_: str) -> None:
        """Remove one and wait until it is gone. Raises StepFailed where the service cannot."""
        cloud, kind = self._work.cloud, self._kind

        def look() -> Item | None:
            try:
                return self.one(id_)
            except errors.NotFound:
                return None

        # Nothing may be removed while it is being made.
        found = cloud.wait(
            look,
            lambda one: one is None or self.is_ready(one) or self._is_failed(one) or self._is_going(one),
            what=f"{kind.single} {id_} is still being made",
            deadline=kind.seconds,
        )
        if found is None:
            return
        if not self._is_going(found):
            try:
                self._api.delete(f"{kind.path}/{id_}")
            except errors.NotFound:
                return
        left = cloud.wait(
            look,
            lambda one: one is None or (self._is_failed(one) and one["status"] != found["status"]),
            what=f"{kind.single} {id_} is being removed",
            deadline=_SOON,
        )
        if left is not None:
            raise errors.StepFailed(
                f"The {kind.single} {id_} could not be removed.", next_action="look at that resource in the cloud"
            )

    def _own(self, origin: str) -> Item | None:
        mark = self._mark()
        for one in self._listed():
            if one.get(self._kind.of) == origin and str(one.get("description") or "").endswith(mark):
                return one
        return None

    def _mark(self) -> str:
        return f"[karbor {self._work.operation_id}]"

    def _is_failed(self, one: Item) -> bool:
        return str(one["status"]).lower() in self._kind.failed

    @staticmethod
    def _is_going(one: Item) -> bool:
        return str(one["status"]).lower() == "deleting"

    def _is_ready(self, one: Item) -> bool:
        if self._is_failed(one):
            raise errors.StepFailed(
                f"The cloud could not make the {self._kind.single} {one.get('name') or one['id']}.",
                detail=f"it has the status {one['status']}",
                next_action="look at that resource and the service in the cloud, then try again",
            )
        return self.is_ready(one)


def checked(found: Item, *, ready: bool, name: str) -> dict[str, Any]:
    """What a verification tells of a thing that should be ready. Raises IntegrityError where it is not."""
    if not ready:
        raise errors.IntegrityError(f"What was kept of {name} has the status {found['status']}.")
    return {"id": found["id"], "status": found["status"], "read": False}

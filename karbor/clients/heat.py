# SPDX-License-Identifier: Apache-2.0
"""How is Heat asked to build, show and remove a stack? See ``Stacks`` for what is promised."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from karbor.clients.stacks import BuiltResource, StackState
from karbor.model import errors

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud


class HeatStacks:
    """The stacks of one project. Requests follow the orchestration API, version 1."""

    def __init__(self, cloud: "Cloud") -> None:
        self._heat = cloud.orchestration

    def find(self, name: str) -> StackState | None:
        """See Stacks. Heat finds a stack by name as by id, and no deleted one by name."""
        found = self._show(name)
        return found if found and found.status != "DELETE_COMPLETE" else None

    def create(
        self,
        name: str,
        document: Mapping[str, Any],
        *,
        tags: Sequence[str],
        timeout_minutes: int,
        launch: Mapping[str, Any] | None = None,
    ) -> str:
        """See Stacks. Whoever sends it twice gets Conflict: look with ``find`` first."""
        body = {
            **(launch or {}),
            "stack_name": name,
            "template": document,
            "tags": ",".join(tags),
            "timeout_mins": timeout_minutes,
            "disable_rollback": True,  # what failed must be seen; we remove it ourselves
        }
        return str(self._heat.post("/stacks", json=body).json()["stack"]["id"])

    def get(self, stack_id: str) -> StackState | None:
        return self._show(stack_id)

    def resources(self, stack_id: str) -> Sequence[BuiltResource]:
        answer = self._heat.get(f"/stacks/{quote(stack_id)}/resources").json()
        return [
            BuiltResource(
                one["resource_name"],
                one.get("physical_resource_id") or "",
                one["resource_status"],
                one.get("resource_status_reason") or "",
            )
            for one in answer["resources"]
        ]

    def delete(self, stack_id: str) -> None:
        try:
            self._heat.delete(f"/stacks/{quote(stack_id)}")
        except errors.NotFound:
            return

    def _show(self, name_or_id: str) -> StackState | None:
        try:
            found = self._heat.get(f"/stacks/{quote(name_or_id)}?resolve_outputs=False").json()["stack"]
        except errors.NotFound:
            return None
        reason, tags = found.get("stack_status_reason") or "", tuple(found.get("tags") or ())
        return StackState(found["id"], found["stack_status"], reason, tags)

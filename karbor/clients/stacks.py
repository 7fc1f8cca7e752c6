# SPDX-License-Identifier: Apache-2.0
"""What does a restore need of Heat: a stack begun, watched and removed?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class StackState:
    """A stack as Heat tells it: ``status`` such as CREATE_IN_PROGRESS, ``reason`` in its words."""

    id: str
    status: str
    reason: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class BuiltResource:
    """One resource of a stack: its name in the template and the id of what was built ("" before there is one)."""

    name: str
    physical_id: str
    status: str
    reason: str = ""


class Stacks(Protocol):
    """The stacks of one project, as the client of a cloud offers them. Raises Unavailable, Forbidden."""

    def find(self, name: str) -> StackState | None:
        """The stack of that name that is not deleted."""

    def create(
        self,
        name: str,
        document: Mapping[str, Any],
        *,
        tags: Sequence[str],
        timeout_minutes: int,
        launch: Mapping[str, Any] | None = None,
    ) -> str:
        """Begin a stack; its id. ``launch``: ``parameters``, ``environment`` and ``files``, where it needs some.

        Raises InvalidInput where Heat refuses the template, Conflict for a name in use.
        """

    def get(self, stack_id: str) -> StackState | None:
        """The stack, also a deleted one; None where nothing is known of it any more."""

    def resources(self, stack_id: str) -> Sequence[BuiltResource]:
        """All resources of the stack."""

    def delete(self, stack_id: str) -> None:
        """Begin to remove the stack and all it built. One that is gone is fine."""

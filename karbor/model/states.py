# SPDX-License-Identifier: Apache-2.0
"""Which states does each noun have, and which moves between them are allowed?

One table per status word; ``move`` refuses everything that is not in the table. The pictures in the documentation are
drawn from these tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from karbor.model import errors


@dataclass(frozen=True)
class StateTable:
    """The states of one noun. ``moves`` maps a state to the states that may follow it.

    A thing begins in ``initial``, or in one of ``also_initial``.
    """

    noun: str
    initial: str
    moves: Mapping[str, frozenset[str]]
    also_initial: frozenset[str] = frozenset()

    @property
    def states(self) -> frozenset[str]:
        return frozenset(self.moves)

    def move(self, old: str, new: str) -> str:
        """Return ``new``; staying where one is, is allowed (every step may run twice).

        Raises Conflict where the table has no such arrow.
        """
        if new == old and new in self.moves:
            return new
        if new not in self.moves.get(old, frozenset()):
            raise errors.Conflict(f"The {self.noun} is {old}; it cannot become {new} from there.")
        return new


def _table(
    noun: str, initial: str, moves: dict[str, tuple[str, ...]], also_initial: frozenset[str] = frozenset()
) -> StateTable:
    return StateTable(noun, initial, {state: frozenset(after) for state, after in moves.items()}, also_initial)


PLAN = _table("plan", "suspended", {"suspended": ("started",), "started": ("suspended",)})

CHECKPOINT = _table(
    "checkpoint",
    "protecting",
    {
        "protecting": ("available", "error", "deleting"),  # deleting: only when no live lease holds it
        "wait_copying": ("copying", "error", "deleting"),  # a copy that no worker has begun
        "copying": ("available", "error", "deleting"),
        "available": ("deleting", "error"),  # error: an administrator, or a verification, found damage
        "error": ("deleting", "available"),  # available: an administrator's reset-state
        "deleting": ("deleted", "error-deleting", "available", "error"),  # the last two: it is locked
        "error-deleting": ("deleting", "error"),
        "deleted": (),
    },
    also_initial=frozenset({"wait_copying"}),
)

RESTORE = _table("restore", "in_progress", {"in_progress": ("success", "fail"), "success": (), "fail": ()})

VERIFICATION = _table("verification", "in_progress", {"in_progress": ("success", "fail"), "success": (), "fail": ()})

EXPORT = _table(
    "export",
    "starting",
    {
        "starting": ("active", "closing", "closed", "error"),
        "active": ("closing", "closed", "error"),  # closed: its time was over
        "closing": ("closed",),
        "closed": (),
        "error": (),
    },
)

JOB = _table(
    "job",
    "queued",
    {
        "queued": ("running", "failed"),  # failed: cancelled before a worker took it
        "running": ("queued", "done", "failed"),  # queued: the worker drained, or a transient fault is tried again
        "done": (),
        "failed": (),
    },
)

HOST_STEP = _table(
    "host step",
    "asked",
    {
        "asked": ("running",),
        "running": ("asked", "done", "failed"),  # asked: the worker of that host was stopped; it, or the next, goes on
        "done": (),
        "failed": (),
    },
)

SCHEDULED_RUN = _table(
    "scheduled run",
    "waiting",
    {
        "waiting": ("running", "missed", "skipped", "failed"),
        "running": ("success", "failed", "missed"),  # missed: nobody took the request within the window
        "success": (),
        "failed": (),
        "missed": (),
        "skipped": (),  # the last run had not ended, or the plan was suspended
    },
    also_initial=frozenset({"missed"}),
)

ALL = (PLAN, CHECKPOINT, RESTORE, VERIFICATION, EXPORT, JOB, HOST_STEP, SCHEDULED_RUN)

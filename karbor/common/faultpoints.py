# SPDX-License-Identifier: Apache-2.0
"""Where can a test stop, kill or delay a process? At named points; nothing happens there unless a test armed them.

Every step edge, every write to a bank and every turn in the life of a job is such a point. No setting and no variable
of the environment arms them: only code that calls ``arm`` before the service starts, as the crash tests do. They take
the list of points from a recorded run, so a new step or write is on it without anybody's doing.
"""

from collections.abc import Callable

Reached = Callable[[str], None]
_armed: list[Reached] = []


def arm(reached: Reached) -> None:
    """From now on ``reached`` is called with each point's name, in the thread that is there. It may never return."""
    _armed.append(reached)


def disarm() -> None:
    """Nothing happens at the points any more."""
    _armed.clear()


def armed() -> bool:
    """Whether anything happens at the points."""
    return bool(_armed)


def reach(name: str) -> None:
    """This point is reached. ``name``: area:what:before|after."""
    for reached in _armed:
        reached(name)

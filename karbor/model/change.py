# SPDX-License-Identifier: Apache-2.0
"""What has just become of something, and which changes are there?"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from karbor.model import alarm, states

#: A job is not begun or ended, but: somebody asked for its end; its worker was not heard of and another one has it.
JOB_NEWS = ("cancelling", "taken_over")
#: Every change that is told of: noun -> words. A word is the new state, with ``_`` for ``-``.
WORDS: Mapping[str, tuple[str, ...]] = {
    "plan": ("created", "updated", "deleted"),
    **{
        table.noun: tuple(state.replace("-", "_") for state in table.moves)
        for table in (states.CHECKPOINT, states.RESTORE, states.VERIFICATION, states.EXPORT)
    },
    "alarm": (alarm.RAISED, alarm.CLEARED),
    "job": (*states.JOB.moves, *JOB_NEWS),
}


@dataclass(frozen=True)
class Change:
    """A change that is committed. ``thing`` is the value as it is now; ``before`` its state until then, if it had one.

    Told at most once: a process that ends right after the commit takes it along.
    """

    noun: str
    word: str
    thing: Any
    before: str | None
    at: datetime

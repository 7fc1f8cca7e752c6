# SPDX-License-Identifier: Apache-2.0
"""How does one wait for what is not ours to hurry: asking ever less often, with an end, and always ready to stop?"""

import threading
from collections.abc import Callable
from typing import TypeVar

from karbor.common.clock import Clock

Found = TypeVar("Found")
_SLICE = 1.0  # seconds between two looks at whether the work must end


def wait_for(
    look: Callable[[], Found | None],
    *,
    clock: Clock,
    seconds: float,
    check: Callable[[], None],
    first: float = 1.0,
    longest: float = 15.0,
    pause: Callable[[float], object] | None = None,
) -> Found | None:
    """What ``look`` returns as soon as that is not None; None where ``seconds`` passed without.

    The pauses grow from ``first`` to ``longest`` seconds. ``check`` is called at least once a second and may raise.
    ``pause`` lets the given seconds pass; tests hand in one that moves their clock.
    """
    sleep = pause or threading.Event().wait
    deadline = clock.monotonic() + seconds
    between = first
    while True:
        check()
        found = look()
        if found is not None:
            return found
        end = min(clock.monotonic() + between, deadline)
        if clock.monotonic() >= deadline:
            return None
        while (left := end - clock.monotonic()) > 0:
            sleep(min(_SLICE, left))
            check()
        between = min(between * 1.5, longest)

# SPDX-License-Identifier: Apache-2.0
"""When a request to another service failed in passing: is it sent again, when, and how often?

The only home of trying again. Who sends the request says which failures may pass, by raising ``Passing`` around the
error that callers shall see when all tries are used up. What is tried again must be safe to send twice.
"""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from karbor.common.clock import Clock
from karbor.model import errors

LOG = logging.getLogger(__name__)
Found = TypeVar("Found")


class Passing(Exception):
    """``fault`` may pass. ``wait``: the other side asked not to be tried again before so many seconds."""

    def __init__(self, fault: errors.KarborError, *, wait: float = 0.0) -> None:
        super().__init__(fault.operator_text())
        self.fault = fault
        self.wait = wait


@dataclass(frozen=True)
class Policy:
    """``attempts``: tries in all. ``backoff``: seconds before the second one; each later wait is twice as long, up to
    ``longest``. No try begins later than ``deadline`` seconds after the first."""

    attempts: int = 5
    backoff: float = 2.0
    longest: float = 30.0
    deadline: float = 300.0


class Retrying:
    """Calls and calls again. Thread-safe."""

    def __init__(
        self, policy: Policy, *, clock: Clock | None = None, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self.policy = policy
        self.clock = clock or Clock()
        self.pause = pause

    def call(self, work: Callable[[], Found]) -> Found:
        """What ``work`` returns. Raises the fault of the last Passing; whatever else it raises at once."""
        policy, begun = self.policy, self.clock.monotonic()
        for number in range(1, policy.attempts + 1):
            try:
                return work()
            except Passing as passing:
                # A random part keeps many callers that failed together from coming back together.
                share = random.uniform(0.5, 1.0)  # noqa: S311 - no secret
                wait = max(passing.wait, share * min(policy.longest, policy.backoff * 2 ** (number - 1)))
                late = self.clock.monotonic() - begun + wait > policy.deadline
                if number == policy.attempts or late:
                    raise passing.fault from passing
                LOG.info("tried again after=%.1fs try=%d cause=%s", wait, number, passing)
                self.pause(wait)
        raise errors.ConfigurationError("The number of tries must be at least 1.")

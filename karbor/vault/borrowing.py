# SPDX-License-Identifier: Apache-2.0
"""How does a worker store something for a job that another worker has?

The other worker holds the write lease, renews it, and puts the record. As long as it does, clean-up waits for that
lease, and so for whatever is stored or referred to here: nothing need be put into the bank for that. It is only looked
whether the lease is still there.
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from karbor.common.waiting import wait_for
from karbor.model import errors
from karbor.vault.leases import Held, Leases

_LATE_SECONDS = 60.0


class Borrowed:
    """The lease of another worker's job. Thread-safe. ``check`` often; ``confirm`` before each commit.

    Both raise as those of Lease do. ``heeds``: condemned lists that were there when it was borrowed.
    """

    def __init__(self, leases: Leases, job: str, *, fence: int, pause: Callable[[float], object] | None = None) -> None:
        """``pause`` lets the given seconds pass. Raises WriteLeaseLost where the job has none, LeaseLost where there is
        a later claim on it, Unavailable where lists of the bank are late."""
        self.job, self.fence = job, fence
        self._leases = leases
        self._lock = threading.Lock()  # held while the bank is asked
        held = self._look()
        self._until, self.heeds = held.until, self._heeded(held, pause)

    def check(self) -> None:
        """Raise where the lease is not held any more. Cheap: the bank is asked only when it might have run out."""
        if self._is_before_end(self._until):
            return
        with self._lock:
            if not self._is_before_end(self._until):
                self._until = self._look().until

    def confirm(self) -> None:
        """``check``, and ask the bank."""
        with self._lock:
            self._until = self._look().until

    def _heeded(self, held: Held, pause: Callable[[float], object] | None) -> frozenset[str]:
        """The lists that there are now. Clean-up does not wait for the owner of the lease with those that the owner
        knew when it began; so where lists of the bank are late, these must be waited for."""

        def look() -> frozenset[str] | None:
            seen = self._leases.list_ids()
            late = [list_id for list_id in held.seen - seen if self._leases.has_list(list_id)]
            return None if late else seen

        found = wait_for(
            look,
            clock=self._leases.clock,
            seconds=_LATE_SECONDS,
            check=lambda: None,
            first=0.2,
            longest=5,
            pause=pause,
        )
        if found is None:
            raise errors.Unavailable("The lists of the bank are late.", detail=f"condemned lists of job {self.job}")
        return found

    def _look(self) -> Held:
        held = self._leases.of(self.job, self.fence)
        if held is not None and held.fence > self.fence:
            raise errors.LeaseLost(detail=f"the write lease of job {self.job} was taken over by {held.fence}")
        if held is None or held.fence < self.fence or not self._is_before_end(held.until):
            raise errors.WriteLeaseLost(detail=f"job {self.job} claim {self.fence} holds none")
        return held

    def _is_before_end(self, until: datetime) -> bool:
        return self._leases.clock.now() < until - timedelta(seconds=self._leases.terms.margin)

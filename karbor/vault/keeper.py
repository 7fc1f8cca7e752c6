# SPDX-License-Identifier: Apache-2.0
"""Who renews a write lease while its job waits for something else than the vault?"""

import logging
import threading

from karbor.model import errors
from karbor.vault.leases import Lease

LOG = logging.getLogger(__name__)


class Keeper:
    """Looks after one lease from a thread of its own until ``stop``. What it finds out too late, the next commit
    finds out too: it never ends the work itself."""

    def __init__(self, lease: Lease, *, every: float) -> None:
        self._lease = lease
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=f"lease-{lease.job[:8]}", daemon=True)

    def start(self) -> None:
        """Begin to look, every so many seconds."""
        self._thread.start()

    def stop(self) -> None:
        """The lease is left as it is: whoever goes on with the job takes it over. May be called again."""
        self._stop.set()
        self._thread.join(10)

    def _loop(self) -> None:
        while not self._stop.wait(self._every):
            try:
                self._lease.check()
            except errors.WriteLeaseLost as fault:
                LOG.warning("write lease lost job=%s %s", self._lease.job, fault.operator_text())
                return
            except errors.KarborError as fault:
                LOG.warning("write lease not looked after job=%s %s", self._lease.job, fault.operator_text())

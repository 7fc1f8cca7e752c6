# SPDX-License-Identifier: Apache-2.0
"""How does a running worker learn that the key of a project was destroyed, and within what time?

It asks the banks now and then. What it knows of such a key it forgets: whoever still reads or writes with it fails.
"""

import logging
import threading
from typing import Self

from karbor.model import errors
from karbor.protection.providers import ProviderRegistry

LOG = logging.getLogger(__name__)


class KeyWatch:
    """Looks every ``interval`` seconds, in a thread of its own; one call to a bank for each project in use.
    May be used as a context manager."""

    def __init__(self, providers: ProviderRegistry, *, interval: float) -> None:
        self._providers = providers
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="key-watch", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End. A look that is under way ends by itself."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def look(self) -> None:
        """One look at every bank whose keys are in use here."""
        for provider in self._providers:
            try:
                for label in provider.forget_destroyed():
                    LOG.info("key destroyed and forgotten provider=%s project=%s", provider.id, label)
            except errors.KarborError as fault:
                LOG.warning("destroyed keys not asked for provider=%s %s", provider.id, fault.operator_text())

    def _loop(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                self.look()
            except Exception:  # the edge of the thread: the next look may be better
                LOG.exception("look for destroyed keys interrupted")

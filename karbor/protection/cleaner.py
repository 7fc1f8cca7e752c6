# SPDX-License-Identifier: Apache-2.0
"""When is a bank cleaned up, and what is told about it?

Every worker looks now and then whether somebody has cleaned up each project's part of each bank lately. Who finds that
nobody has does it; a claim in the bank keeps the others away.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from oslo_config import cfg

from karbor.model import errors
from karbor.protection.providers import Provider, ProviderRegistry
from karbor.vault.cleanup import Report, Settings
from karbor.vault.pace import Pace
from karbor.vault.vault import Vault

LOG = logging.getLogger(__name__)
_FIRST = 60.0  # seconds after the start: jobs that a dead worker left are taken over before


def settings_from(conf: cfg.ConfigOpts, *, grace: float | None = None) -> Settings:
    """What the section ``cleanup`` says; ``grace`` replaces the setting."""
    own = conf.cleanup
    return Settings(
        grace=own.grace if grace is None else grace,
        thin=own.thin,
        tombstones=own.tombstone_days * 86400,
        bytes_per_second=own.bytes_per_second or None,
        requests_per_second=own.requests_per_second or None,
    )


def clean_bank(
    provider: Provider,
    settings: Settings,
    *,
    pause: Callable[[float], None],
    dry_run: bool = False,
    interval: float = 0,
) -> Mapping[str, Any]:
    """Clean up what every project has in the bank of a provider. ``counts`` of all, and ``entries``: one for each
    project that could not be cleaned up. Of projects whose key was destroyed everything is removed.

    Projects that somebody cleaned up within ``interval`` seconds are passed over. A project whose data is damaged or
    whose key is missing, or that somebody else cleans up now, does not keep the others from being cleaned up. Raises
    BankUnavailable, Cancelled.
    """
    vault = provider.vault
    total = Report()
    unreadable: Counter[str] = Counter()
    pace = Pace(vault.clock, pause, bytes_per_second=settings.bytes_per_second, requests=settings.requests_per_second)
    problems: list[dict[str, str]] = []
    for name in vault.keyring.domains():
        try:
            domain = vault.named(name)
            if interval and not domain.wants_clean_up(interval):
                continue
            total.add(domain.clean_up(settings, pause=pause, dry_run=dry_run))
        except errors.KeyDestroyed:
            unreadable.update(_remove_unreadable(vault, name, pace, problems, dry_run=dry_run))
        except (errors.IntegrityError, errors.KeyUnavailable, errors.Conflict, errors.LeaseLost) as fault:
            problems.append({"domain": name, "problem": fault.operator_text()})
    counts = {f"unreadable_{what}_deleted": number for what, number in sorted(unreadable.items()) if number}
    return {"entries": problems, "counts": {**total.to_dict(), **counts}}


def _remove_unreadable(
    vault: Vault, domain: str, pace: Pace, problems: list[dict[str, str]], *, dry_run: bool
) -> Mapping[str, int]:
    """Remove what nobody can read, because the key was destroyed. Raises BankUnavailable, Cancelled."""
    try:
        return vault.destruction().remove_rest(domain, pause=lambda _: pace.spend(), dry_run=dry_run)
    except (errors.IntegrityError, errors.KeyUnavailable, errors.Conflict) as fault:
        problems.append({"domain": domain, "problem": fault.operator_text()})
        return {}


class Cleaner:
    """Cleans up the banks of all providers from time to time, in a thread of its own."""

    def __init__(self, providers: ProviderRegistry, settings: Settings, *, interval: float) -> None:
        self._providers = providers
        self._settings = settings
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="cleaner", daemon=True)

    def start(self) -> None:
        """Begin, unless ``interval`` is 0."""
        if self._interval:
            self._thread.start()

    def stop(self) -> None:
        """A clean-up that runs ends at the next request; the next one goes on."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(30)

    def look(self) -> None:
        """One look at every bank."""
        for provider in self._providers:
            try:
                found = clean_bank(provider, self._settings, pause=self._pause, interval=self._interval)
            except errors.Cancelled:
                return
            except errors.KarborError as fault:
                LOG.warning("bank not cleaned up provider=%s %s", provider.id, fault.operator_text())
                continue
            for entry in found["entries"]:
                LOG.warning("not cleaned up provider=%s domain=%s %s", provider.id, entry["domain"], entry["problem"])
            if found["counts"]["domains"]:
                told = " ".join(f"{name}={number}" for name, number in found["counts"].items() if number)
                LOG.info("bank cleaned up provider=%s %s", provider.id, told)

    def _loop(self) -> None:
        wait = min(_FIRST, self._interval / 4)
        while not self._stop.wait(wait):
            wait = self._interval / 4
            try:
                self.look()
            except Exception:  # the edge of the thread: the next look may be better
                LOG.exception("clean-up interrupted")

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise errors.Cancelled("The service is asked to stop.")

# SPDX-License-Identifier: Apache-2.0
"""Who removes what failed jobs left in the cloud of a project that protects nothing any more?

Every worker looks now and then for projects with jobs that failed, and looks into their clouds by the permission of
these jobs, which is held for that. One worker at a time; a look that fails changes nothing, and there is a next one.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from oslo_config import cfg
from sqlalchemy.exc import SQLAlchemyError

from karbor.clients.openstack import Cloud
from karbor.common import context
from karbor.common.clock import Clock
from karbor.common.meters import Meters
from karbor.conf.leftovers import GROUP
from karbor.db.database import Database
from karbor.model import errors
from karbor.model.trust import Trust
from karbor.protection import leftovers
from karbor.protection.clouds import Clouds
from karbor.protection.leftovers import LEFT
from karbor.protection.providers import Provider
from karbor.sdk.protection import Protection

LOG = logging.getLogger(__name__)
_FIRST = 300.0  # seconds after the start: jobs that a dead worker left are taken over before
_TRIES = 3  # permissions of a project that are tried, the newest first
_LOST = (errors.Unauthorized, errors.Forbidden, errors.NotFound)
#: How a look at a project may end.
CLEAN, UNFINISHED, FAILED = "clean", "unfinished", "failed"


class Providers(Protocol):
    """What is needed of the providers of a worker."""

    @property
    def ids(self) -> Sequence[str]:
        """Which there are."""

    def get(self, provider_id: str) -> Provider:
        """One of them."""


@dataclass(frozen=True)
class SweepSettings:
    """Seconds, except ``projects`` (of one look) and ``requests`` (of one project). ``lately``: how long ago a job may
    have failed."""

    interval: float = 3600
    lately: float = 86400
    projects: int = 50
    seconds: float = 120
    requests: int = 1000


def settings_from(conf: cfg.ConfigOpts) -> SweepSettings:
    """What the section ``leftovers`` says."""
    own = conf[GROUP]
    return SweepSettings(own.interval, max(own.hold, 86400), own.projects, own.seconds, own.requests)


class Sweeper:
    """Looks from time to time, in a thread of its own."""

    def __init__(
        self,
        database: Database,
        providers: Providers,
        clouds: Clouds | None,
        clock: Clock,
        settings: SweepSettings,
        *,
        meters: Meters | None = None,
    ) -> None:
        self._database, self._providers, self._clouds = database, providers, clouds
        self._clock, self._settings, self._meters = clock, settings, meters or Meters()
        self._told: dict[str, str] = {}  # project -> why it could not be looked at, as it was logged last
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="sweeper", daemon=True)

    def start(self) -> None:
        """Begin, unless ``interval`` is 0 or this worker has no cloud."""
        if self._settings.interval and self._clouds is not None:
            self._thread.start()

    def stop(self) -> None:
        """The request that is under way is ended; the next look goes on."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(30)

    def look(self) -> int:
        """Look into every project whose turn it is; returns how many these were."""
        own = self._settings
        with self._database.read() as rows:
            due = rows.trusts.unswept(
                since=self._clock.now() - timedelta(seconds=own.lately),
                provider_ids=self._providers.ids,
                wait_ms=int(own.interval * 500),  # less than the wait of this thread, which then never misses its turn
                limit=own.projects,
            )
        return sum(self._look_at(trusts) for trusts in due if not self._stop.is_set())

    def _look_at(self, trusts: Sequence[Trust]) -> bool:
        if not self._database.retrying(lambda rows: rows.trusts.begin_sweep(trusts)):
            return False
        project, begun = trusts[0].project_id, self._clock.now()
        try:
            removed, why = self._sweep(trusts)
        except errors.Cancelled:
            return False
        except errors.KarborError as fault:
            removed, why = {}, fault.message
            self._tell_once(project, why, fault.operator_text())
            outcome = FAILED
        else:
            outcome = UNFINISHED if why else CLEAN
            self._tell_once(project, why, why)
        if outcome == CLEAN:
            self._database.retrying(lambda rows: rows.trusts.swept(trusts, at=begun))
        self._meters.swept(outcome, removed)
        return True

    def _sweep(self, trusts: Sequence[Trust]) -> tuple[Mapping[str, int], str]:
        """How many things of each kind were removed, and why not all of them. Raises what the cloud raises."""
        cloud, found = self._found(trusts)
        enough = self._bound(cloud)
        left = [one for one in found if one.verdict == LEFT]
        _removed, refused = leftovers.remove(cloud, left, enough=enough)
        stay = {one.made.id for one, _reason in refused}
        kinds = Counter(one.made.kind for one in left if one.made.id not in stay)
        return kinds, "; ".join(sorted({reason for _one, reason in refused}))

    def _found(self, trusts: Sequence[Trust]) -> tuple[Cloud, Sequence[leftovers.Found]]:
        """By the newest permission that is still good."""
        assert self._clouds is not None
        lost: errors.KarborError = errors.Forbidden()
        for trust in trusts[:_TRIES]:
            try:
                cloud = self._clouds.of_trust(str(trust.trust_id)).watched(self._check)
                return cloud, self._found_in(cloud)
            except _LOST as fault:
                lost = fault
        raise lost

    def _found_in(self, cloud: Cloud) -> Sequence[leftovers.Found]:
        enough = self._bound(cloud)

        def check() -> None:
            self._check()
            if enough():
                raise errors.Unavailable("There is too much to look through in the time for it.")

        return leftovers.find(self._database, cloud, self._plugins(), check=check)

    def _plugins(self) -> Iterable[Protection]:
        for id_ in self._providers.ids:
            yield from (plugin for plugin in self._providers.get(id_).protections if plugin.acts_in_cloud)

    def _bound(self, cloud: Cloud) -> Callable[[], bool]:
        """Tells when the time is over, or the requests are used up."""
        end, last = self._clock.monotonic() + self._settings.seconds, cloud.calls.total + self._settings.requests
        return lambda: self._stop.is_set() or self._clock.monotonic() >= end or cloud.calls.total >= last

    def _check(self) -> None:
        if self._stop.is_set():
            raise errors.Cancelled("The service is asked to stop.")

    def _tell_once(self, project_id: str, why: str, text: str) -> None:
        """Say why a look did not get to its end, where it was not for the same reason the last time."""
        if not why:
            self._told.pop(project_id, None)
        elif self._told.get(project_id) != why:
            self._told[project_id] = why
            LOG.warning("not all that jobs left could be removed project=%s %s", project_id, text)

    def _loop(self) -> None:
        wait = min(_FIRST, self._settings.interval)
        while not self._stop.wait(wait):
            wait = self._settings.interval
            context.begin(request_id=None)
            try:
                self.look()
            except (errors.KarborError, SQLAlchemyError) as fault:
                LOG.warning("not looked for what jobs left cause=%s", fault)

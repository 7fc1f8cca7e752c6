# SPDX-License-Identifier: Apache-2.0
"""Which trusts are given back, and do the permissions of the schedules still hold?

A thread of its own, so that a slow Keystone keeps no schedule waiting. Any number of engines may do so at once.
"""

import logging
import threading
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from karbor.clients.identity import Identity as Keystone
from karbor.common import context
from karbor.common.clock import Clock
from karbor.db.database import Database
from karbor.model import errors
from karbor.model.trust import Trust
from karbor.operationengine.identity import note_permission

LOG = logging.getLogger(__name__)
#: After so long nobody keeps a trust any more that was asked for.
UNHEARD = timedelta(minutes=10)
#: Milliseconds until one that could not be given back is tried again: its user is disabled, or lost the role.
_AGAIN_MS = 600_000
_AT_ONCE = 200


@dataclass(frozen=True)
class KeeperSettings:
    """Seconds: between two looks, until a permission that held is tried again, and for which that of a failed job is
    held for whoever looks for what it left."""

    interval: float = 60.0
    check_interval: float = 3600.0
    hold: float = 0.0


class TrustKeeper:
    """Gives back what nothing needs any more, and tries the permissions of schedules."""

    def __init__(self, database: Database, keystone: Keystone, settings: KeeperSettings, *, clock: Clock) -> None:
        self._database = database
        self._keystone = keystone
        self._settings = settings
        self._clock = clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="trusts", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, grace: float) -> None:
        """The request that is under way is ended."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(grace)

    def look(self) -> None:
        """One look at everything. Raises Unavailable where Keystone cannot be asked; the next look goes on."""
        self.check()
        self.give_back()
        self.find_unheard()

    def give_back(self) -> int:
        """End trusts of schedules and jobs that are over; returns how many."""
        hold = self._settings.hold
        held_since = self._clock.now() - timedelta(seconds=hold) if hold else None
        with self._database.read() as rows:
            unused = rows.trusts.unused(wait_ms=_AGAIN_MS, limit=_AT_ONCE, held_since=held_since)
        return sum(self._end(trust, str(trust.trust_id)) for trust in unused if not self._stop.is_set())

    def find_unheard(self) -> int:
        """End trusts that were asked for and never used, because the process that asked died; returns how many."""
        with self._database.read() as rows:
            lost = rows.trusts.unheard(self._clock.now() - UNHEARD)
        known = {found.name: found.id for found in self._keystone.trusts()} if lost else {}
        ended = 0
        for trust in lost:
            if trust.name in known:
                ended += self._end(trust, known[trust.name])
            else:
                self._forget(trust)
        return ended

    def check(self) -> int:
        """Try permissions that nobody tried for long, and those that were lost; returns how many."""
        settings = self._settings
        waits = {"lost_ms": int(settings.interval * 1000), "held_ms": int(settings.check_interval * 1000)}
        found = self._database.retrying(lambda rows: rows.scheduled_operations.unchecked(**waits, limit=_AT_ONCE))
        for schedule in found:
            if self._stop.is_set():
                break
            reason = None
            try:
                self._keystone.login(str(schedule.trust_id), fresh=True)
            except errors.Forbidden as fault:
                reason = fault.message
            note_permission(self._database, schedule.id, trust_id=schedule.trust_id, reason=reason)
        return len(found)

    def _end(self, trust: Trust, trust_id: str) -> bool:
        self._database.retrying(lambda rows: rows.trusts.tried(trust.id))
        try:
            self._keystone.delete_trust(trust_id)
        except errors.Forbidden as fault:
            LOG.warning(
                "trust not given back trust=%s project=%s %s", trust_id, trust.project_id, fault.operator_text()
            )
            return False
        self._forget(trust)
        LOG.info("trust given back trust=%s project=%s", trust_id, trust.project_id)
        return True

    def _forget(self, trust: Trust) -> None:
        self._database.retrying(lambda rows: rows.trusts.forget(trust.id))

    def _loop(self) -> None:
        while not self._stop.wait(self._settings.interval):
            context.begin(request_id=None)
            try:
                self.look()
            except (errors.KarborError, SQLAlchemyError, LookupError, ValueError) as fault:
                LOG.warning("trusts not looked after; the next look may be better cause=%s", fault)

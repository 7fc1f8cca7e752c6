# SPDX-License-Identifier: Apache-2.0
"""Which plans have no good checkpoint that is as young as was promised, and who is told?

A thread of its own. Any number of engines have one; in each interval one of them looks at all plans, and what a state
changes to is decided by compare-and-swap. So an alarm is raised once, within one interval of the breach, and cleared by
itself.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from karbor.common import context
from karbor.common.clock import iso
from karbor.db.alarms import Mark, asks_verified
from karbor.db.database import Database, Transaction
from karbor.model import errors
from karbor.model.alarm import BREACHED, OK, PlanAlarm, Standing, judged, resumed
from karbor.operationengine.promises import Promises
from karbor.operationengine.telling import Channel

LOG = logging.getLogger(__name__)
PAGE = 500
_Seen = tuple[Mark, datetime | None]
_TURN = "watch"
_LONGEST = 3600.0  # seconds between two tries of a channel that fails


@dataclass(frozen=True)
class WatchSettings:
    """Seconds, but for ``plans``: so many are told of in one message."""

    interval: float = 20.0
    message_interval: float = 60.0
    keep: float = 72 * 3600.0
    timeout: float = 10.0
    plans: int = 100


class Watch:
    """Looks at the plans, and lets the channels tell of them."""

    def __init__(
        self, database: Database, promises: Promises, channels: Sequence[Channel], settings: WatchSettings
    ) -> None:
        self._database = database
        self._promises = promises
        self._channels = channels
        self._settings = settings
        #: Plans that need no closer look: as they were seen last, and until when that is enough (None: for ever).
        self._known: dict[str, _Seen] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="alarms", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, grace: float) -> None:
        """What is under way is ended."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(grace)

    def look(self) -> int:
        """Look at all plans, where it is our turn; returns how many alarms we raised or cleared."""
        lease_ms = int(self._settings.interval * 900)  # a look takes some time: the next one is not to be left out
        if not self._database.retrying(lambda rows: rows.alarms.turn(_TURN, lease_ms=lease_ms)):
            return 0
        known, self._known = self._known, {}
        changed, after = 0, ""
        while not self._stop.is_set():
            with self._database.read() as rows:
                now = rows.fires.now()
                page = rows.alarms.outline(after=after, limit=PAGE)
                marks = {id: mark for id, mark in page if not _is_settled(known.get(id), mark, now)}
                found = [resumed(one, now=now) for one in rows.alarms.standings(list(marks))] if marks else []
            self._known |= {id: known[id] for id, _mark in page if id not in marks}
            judgements = [(one, judged(one, self._promises.due(one), now=now)) for one in found]
            changed += self._keep([(one, alarm) for one, alarm in judgements if alarm != one.alarm])
            for one, alarm in judgements:
                if alarm == one.alarm and not any(map(asks_verified, one.promises)):
                    self._known[one.plan.id] = (marks[one.plan.id], alarm.due_at if alarm.state == OK else None)
            if len(page) < PAGE:
                break
            after = page[-1][0]
        return changed

    def tell(self) -> int:
        """Send what waits, by each channel whose turn it is; returns how many alarms were told of."""
        return sum(self._tell(channel) for channel in self._channels if not self._stop.is_set())

    def _keep(self, found: Sequence[tuple[Standing, PlanAlarm]]) -> int:
        names = [channel.name for channel in self._channels]

        def keep(rows: Transaction) -> int:
            changed = 0
            for standing, alarm in found:
                ours = rows.alarms.settle(standing.alarm, alarm, _message(standing, alarm), *names)
                was = standing.alarm.state if standing.alarm else None
                changed += ours and was != alarm.state and BREACHED in (was, alarm.state)
            return changed

        return self._database.retrying(keep) if found else 0

    def _tell(self, channel: Channel) -> int:
        settings = self._settings
        with self._database.read() as rows:
            if not rows.alarms.batch(channel.name, limit=1).waiting:
                return 0
        lease_ms = int(settings.timeout * 5000)
        if not self._database.retrying(lambda rows: rows.alarms.turn(channel.name, lease_ms=lease_ms)):
            return 0
        with self._database.read() as rows:
            batch = rows.alarms.batch(channel.name, limit=settings.plans)
        if not batch.messages:
            return 0
        ids = [id for id, _message in batch.messages]
        try:
            channel.send([{"id": id, **message} for id, message in batch.messages], more=batch.waiting - len(ids))
        except errors.KarborError as fault:
            LOG.warning("alarms not told channel=%s waiting=%d %s", channel.name, batch.waiting, fault.operator_text())
            pause = min(settings.message_interval * 2.0 ** min(batch.failures, 10), _LONGEST)
            waits = {"wait_ms": int(pause * 1000), "keep_ms": int(settings.keep * 1000)}
            self._database.retrying(lambda rows: rows.alarms.failed(channel.name, **waits))
            return 0
        wait_ms = int(settings.message_interval * 1000)
        self._database.retrying(lambda rows: rows.alarms.sent(channel.name, ids, wait_ms=wait_ms))
        return len(ids)

    def _loop(self) -> None:
        pause = min(self._settings.interval / 4, 5.0)
        while not self._stop.wait(pause):
            context.begin(request_id=None)
            try:
                self.look()
                self.tell()
            except (errors.KarborError, SQLAlchemyError) as fault:
                LOG.warning("plans not looked at; the next look may be better cause=%s", fault)


def _is_settled(seen: _Seen | None, mark: Mark, now: datetime) -> bool:
    """Whether nothing has changed of a plan, and none of its promises is broken just now."""
    return seen is not None and seen[0] == mark and (seen[1] is None or now < seen[1])


def _message(standing: Standing, alarm: PlanAlarm) -> dict[str, Any]:
    """What is told of an alarm. ``reason`` of one that is cleared is what it was raised for."""
    reason = alarm.reason or (standing.alarm.reason if standing.alarm else None)
    return {
        "plan_id": standing.plan.id,
        "plan_name": standing.plan.name,
        "project_id": standing.plan.project_id,
        "provider_id": standing.plan.provider_id,
        "last_good_at": iso(standing.last_good_at) if standing.last_good_at else None,
        "due_at": iso(alarm.due_at) if alarm.due_at else None,
        "reason": reason,
    }

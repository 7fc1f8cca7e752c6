# SPDX-License-Identifier: Apache-2.0
"""How is it kept how plans stand against what was promised, and what has to be sent about that?

A state changes by compare-and-swap: of several engines that see the same breach, one raises the alarm, and what is to
be sent is written in the same transaction.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from karbor.common.clock import iso
from karbor.db.fires import moment, now_ms
from karbor.db.fires import trigger as read_trigger
from karbor.db.plans import read as read_plan
from karbor.db.repository import Repository, upsert
from karbor.db.scheduled_operations import read as read_operation
from karbor.db.scheduletables import (
    ALARM_CHANNELS,
    ALARM_MESSAGES,
    PAUSED_PLANS,
    PLAN_ALARMS,
    SCHEDULED_OPERATIONS,
    TRIGGERS,
)
from karbor.db.tables import CHECKPOINTS, PLAN_SUMMARIES, PLANS
from karbor.model import errors
from karbor.model.alarm import BREACHED, CLEARED, RAISED, PlanAlarm, Promise, Standing
from karbor.model.retention import GOOD, LEVELS

_A, _M, _N = PLAN_ALARMS.c, ALARM_MESSAGES.c, ALARM_CHANNELS.c
_P, _S, _O, _C = PLANS.c, PLAN_SUMMARIES.c, SCHEDULED_OPERATIONS.c, CHECKPOINTS.c
Mark = tuple[tuple[Any, ...], ...]
_VERIFYING = ("verify", "restore_check")


@dataclass(frozen=True)
class Batch:
    """What a channel has to send: (id, message) of the oldest, and how many wait in all."""

    messages: Sequence[tuple[str, Mapping[str, Any]]]
    waiting: int
    failures: int


class Alarms(Repository):
    """One row for each plan that anything was promised of."""

    noun = "alarm"
    table = PLAN_ALARMS

    def of(self, plan_ids: Iterable[str]) -> dict[str, PlanAlarm]:
        """The alarms of these plans; those of which nothing is known are left out."""
        query = sa.select(PLAN_ALARMS).where(_A.plan_id.in_(list(plan_ids)))
        return {row.plan_id: PlanAlarm(**row._mapping) for row in self._connection.execute(query)}

    def breached(self, limit: int) -> tuple[int, Sequence[PlanAlarm]]:
        """How many plans are breached, and some of them."""
        wanted = _A.state == BREACHED
        number = self._connection.execute(sa.select(sa.func.count()).where(wanted)).scalar_one()
        query = sa.select(PLAN_ALARMS).where(wanted).order_by(_A.plan_id).limit(limit)
        return int(number), [PlanAlarm(**row._mapping) for row in self._connection.execute(query)]

    def outline(self, *, after: str, limit: int) -> Sequence[tuple[str, Mark]]:
        """The plans of which anything is or was promised, by id behind ``after``; each with a mark that is another one
        when anything has changed that a standing tells of, but for verifications. Costs little."""
        # Not by the index of those that are enabled: nearly all are, and they would be gone through for each plan.
        enabled = sa.func.coalesce(_O.enabled, 0) == 1
        scheduled = sa.exists().where(_O.plan_id == _P.id, enabled)
        paused = PAUSED_PLANS.c.plan_id
        query = (
            sa.select(_P.id, _P.rpo, _P.updated_at, _S.last_good_at, paused, _A.state, _A.since)
            .select_from(
                PLANS.outerjoin(PLAN_SUMMARIES, _S.plan_id == _P.id)
                .outerjoin(PAUSED_PLANS, paused == _P.id)
                .outerjoin(PLAN_ALARMS, _A.plan_id == _P.id)
            )
            .where(_P.id > after, sa.or_(_P.rpo.is_not(None), scheduled, _A.plan_id.is_not(None)))
            .order_by(_P.id)
            .limit(limit)
        )
        found = {row[0]: [tuple(row)] for row in self._connection.execute(query)}
        schedules = (
            sa.select(_O.plan_id, _O.id, _O.updated_at, _O.since_ms, TRIGGERS.c.id, TRIGGERS.c.updated_at)
            .join(TRIGGERS, TRIGGERS.c.id == _O.trigger_id)
            .where(_O.plan_id.in_(list(found)), enabled)
            .order_by(_O.id)
        )
        for row in self._connection.execute(schedules):
            found[row[0]].append(tuple(row))
        return [(id, tuple(parts)) for id, parts in found.items()]

    def standings(self, plan_ids: Sequence[str]) -> Sequence[Standing]:
        """How these plans stand."""
        query = sa.select(PLANS).where(_P.id.in_(plan_ids)).order_by(_P.id)
        plans = [read_plan(row) for row in self._connection.execute(query)]
        ids = [plan.id for plan in plans]
        promises, alarms, run = self._promises(ids), self.of(ids), self._connection.execute
        paused = set(run(sa.select(PAUSED_PLANS.c.plan_id).where(PAUSED_PLANS.c.plan_id.in_(ids))).scalars())
        goods = sa.select(_S.plan_id, _S.last_good_at).where(_S.plan_id.in_(ids))
        good: dict[str, datetime | None] = dict(run(goods).tuples().all())
        asked = [id for id, given in promises.items() if any(map(asks_verified, given))]
        verified = self._verified(asked)
        return [
            Standing(
                plan=plan,
                paused=plan.id in paused,
                last_good_at=good.get(plan.id),
                promises=tuple(promises.get(plan.id, ())),
                verified=verified.get(plan.id, {}),
                alarm=alarms.get(plan.id),
            )
            for plan in plans
        ]

    def settle(self, before: PlanAlarm | None, alarm: PlanAlarm, message: Mapping[str, Any], *to: str) -> bool:
        """Keep how a plan stands now. Whether it was us who changed its state; then ``message`` is to be sent by the
        channels ``to``, where it is about a breach that begins or ends."""
        values = asdict(alarm)
        if before is None:
            try:
                self._insert(**values)
            except errors.Conflict:
                return False
        else:
            del values["plan_id"]
            unchanged = (_A.plan_id == alarm.plan_id, _A.state == before.state, _A.since == before.since)
            query = sa.update(PLAN_ALARMS).where(*unchanged).values(**values)
            if not self._connection.execute(query).rowcount:
                return False
        was = before.state if before else None
        if was == alarm.state or BREACHED not in (was, alarm.state):
            return was != alarm.state
        word = RAISED if alarm.state == BREACHED else CLEARED
        self._tell(alarm, word)
        created_ms = now_ms(self._connection, self._clock)
        for channel in to:
            values = {"id": str(uuid.uuid4()), "channel": channel, "created_ms": created_ms}
            told = {"event": word, "at": iso(moment(created_ms)), **message}
            self._connection.execute(sa.insert(ALARM_MESSAGES).values(**values, message=told))
        return True

    def turn(self, name: str, *, lease_ms: int) -> bool:
        """Whether it is our turn to do what goes by this name: nobody has begun it within the lease."""
        until = self._connection.execute(sa.select(_N.not_before_ms).where(_N.id == name)).scalar()
        now = now_ms(self._connection, self._clock)
        if until is None:
            upsert(self._connection, ALARM_CHANNELS, {"id": name}, new={})
        elif until > now:
            return False
        free = sa.update(ALARM_CHANNELS).where(_N.id == name, _N.not_before_ms <= now)
        return self._connection.execute(free.values(not_before_ms=now + lease_ms)).rowcount == 1

    def batch(self, channel: str, *, limit: int) -> Batch:
        """What waits for this channel."""
        wanted = _M.channel == channel
        waiting = self._connection.execute(sa.select(sa.func.count()).where(wanted)).scalar_one()
        query = sa.select(_M.id, _M.message).where(wanted).order_by(_M.created_ms, _M.id).limit(limit)
        failures = self._connection.execute(sa.select(_N.failures).where(_N.id == channel)).scalar() or 0
        return Batch([tuple(row) for row in self._connection.execute(query)], int(waiting), int(failures))

    def sent(self, channel: str, ids: Sequence[str], *, wait_ms: int) -> None:
        """These were sent; the channel sends nothing for so long."""
        self._connection.execute(sa.delete(ALARM_MESSAGES).where(_M.id.in_(list(ids))))
        self._wait(channel, wait_ms, failures=0)

    def failed(self, channel: str, *, wait_ms: int, keep_ms: int) -> None:
        """Nothing could be sent; again after a while. What is older than ``keep_ms`` is given up."""
        old = now_ms(self._connection, self._clock) - keep_ms
        self._connection.execute(sa.delete(ALARM_MESSAGES).where(_M.channel == channel, _M.created_ms < old))
        self._wait(channel, wait_ms, failures=_N.failures + 1)

    def _wait(self, channel: str, wait_ms: int, *, failures: Any) -> None:
        until = now_ms(self._connection, self._clock) + wait_ms
        query = sa.update(ALARM_CHANNELS).where(_N.id == channel)
        self._connection.execute(query.values(not_before_ms=until, failures=failures))

    def _promises(self, plan_ids: Sequence[str]) -> dict[str, list[Promise]]:
        wanted = (_O.plan_id.in_(plan_ids), sa.func.coalesce(_O.enabled, 0) == 1)
        triggers = sa.select(TRIGGERS).where(TRIGGERS.c.id.in_(sa.select(_O.trigger_id).where(*wanted)))
        by_id = {row.id: read_trigger(row) for row in self._connection.execute(triggers)}
        found: dict[str, list[Promise]] = {}
        for row in self._connection.execute(sa.select(SCHEDULED_OPERATIONS).where(*wanted).order_by(_O.id)):
            if row.trigger_id in by_id:
                promise = Promise(read_operation(row), by_id[row.trigger_id], moment(row.since_ms))
                found.setdefault(row.plan_id, []).append(promise)
        return found

    def _verified(self, plan_ids: Sequence[str]) -> dict[str, dict[str, tuple[datetime, datetime]]]:
        query = (
            sa.select(_C.plan_id, _C.verified_level, sa.func.max(_C.created_at), sa.func.max(_C.verified_at))
            .where(_C.plan_id.in_(plan_ids), _C.deleted == 0, _C.status == GOOD)
            .where(_C.verified_level.in_(LEVELS), _C.source_id.is_(None))
            .group_by(_C.plan_id, _C.verified_level)
        )
        found: dict[str, dict[str, tuple[datetime, datetime]]] = {}
        for plan_id, level, made, verified in self._connection.execute(query) if plan_ids else ():
            levels = found.setdefault(plan_id, {})
            for lower in LEVELS[: LEVELS.index(level) + 1]:
                old = levels.get(lower, (made, verified))
                levels[lower] = (max(made, old[0]), max(verified, old[1]))
        return found


def asks_verified(promise: Promise) -> bool:
    """Whether it may be about verifications."""
    return promise.schedule.operation_type in _VERIFYING or "rpo" in promise.schedule.operation_definition

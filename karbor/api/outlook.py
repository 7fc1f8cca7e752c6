# SPDX-License-Identifier: Apache-2.0
"""What would a schedule remove now, and what would it have kept after some time?

By the rules that the engine goes by: the times of the triggers are those at which it begins, and the policy is the one
that it applies.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Any

from karbor.common.clock import iso
from karbor.db.database import Transaction
from karbor.model import errors, forecast, lock
from karbor.model.retention import DATA, LEVELS, QUICK, Point, Policy, choose, is_own, policy_of, why
from karbor.model.scheduled_operation import ScheduledOperation
from karbor.schema.nouns.retention import SHOWN
from karbor.sdk.trigger import TriggerType

#: Times of one schedule that are gone through: those of two years, hour by hour.
MAX_FIRES = 20_000
MAX_DAYS, DAYS = 1830, 365
_MAKES = ("protect", "retention_protect")
#: How deep the schedules that verify do it, where their definitions say nothing.
_VERIFIES = {"verify": QUICK, "restore_check": DATA}
_NOTHING_GOES = Policy(keep_failed=10**9)


def retention(rows: Transaction, schedule: ScheduledOperation) -> dict[str, Any]:
    """What it would remove if its checkpoint became available now."""
    now, policy = rows.fires.now(), _policy(schedule)
    points = _points(rows, schedule, policy)
    by_id = {point.id: point for point in points}
    _stay, going = choose(points, policy, now)
    reasons = why(points, policy, now)
    return {
        **_of(schedule),
        "at": iso(now),
        "keeps": [{**_shown(by_id[id]), "reasons": list(given)} for id, given in islice(reasons.items(), SHOWN)],
        "removes": [_shown(by_id[id]) for id in going[:SHOWN]],
        "kept": len(reasons),
        "removed": len(going),
    }


def predict(
    rows: Transaction, schedule: ScheduledOperation, kinds: Mapping[str, TriggerType], *, days: int = DAYS
) -> dict[str, Any]:
    """What it would have kept after so many days, if every one of its times makes a good checkpoint."""
    now, policy = rows.fires.now(), _policy(schedule)
    until = now + timedelta(days=days)
    fires = _fires(rows, schedule, kinds, now, until) if schedule.operation_type in _MAKES else []
    if cut := len(fires) > MAX_FIRES:
        fires, until = fires[:MAX_FIRES], fires[MAX_FIRES - 1]
    verified = _verified(rows, schedule, kinds, now, until) if policy.verified else {}
    points = _points(rows, schedule, policy)
    found = forecast.forecast(points, policy, fires, verified=verified, locked=_locked(rows, schedule))
    return {
        **_of(schedule),
        "from": iso(now),
        "until": iso(until),
        "complete": not cut,
        "months": [
            {"month": month.name, "made": month.made, "removed": month.removed, "kept": month.kept}
            for month in found.months
        ],
        "made": found.made,
        "removed": found.removed,
        "kept": len(found.kept),
        "checkpoints": [_shown(point) for point in found.kept[:SHOWN]],
    }


def schedules_of(rows: Transaction, plan_id: str, *operation_types: str) -> list[ScheduledOperation]:
    """The schedules of a plan that do one of these: protect and remove where nothing is said."""
    wanted = operation_types or _MAKES
    return [one for one in rows.scheduled_operations.of_plan(plan_id) if one.operation_type in wanted]


def _policy(schedule: ScheduledOperation) -> Policy:
    removes = schedule.operation_type == "retention_protect"
    return policy_of(schedule.operation_definition) if removes else _NOTHING_GOES


def _points(rows: Transaction, schedule: ScheduledOperation, policy: Policy) -> list[Point]:
    found = rows.checkpoints.history(
        plan_id=str(schedule.plan_id), provider_id=str(schedule.provider_id), project_id=schedule.project_id
    )
    return [replace(point, own=point.own and is_own(notes, policy, schedule.id)) for point, notes in found]


def _fires(
    rows: Transaction, schedule: ScheduledOperation, kinds: Mapping[str, TriggerType], now: datetime, until: datetime
) -> list[datetime]:
    """At most one more than MAX_FIRES."""
    trigger = rows.triggers.get(schedule.trigger_id)
    if not schedule.enabled or trigger.type not in kinds:
        return []
    made = trigger.created_at or now
    try:
        times: Iterator[datetime] = kinds[trigger.type].fires(
            trigger.properties, created_at=made, after=now, seed=trigger.id
        )
        return list(islice(takewhile(lambda at: at <= until, times), MAX_FIRES + 1))
    except errors.KarborError as fault:
        raise errors.Conflict(f"The times of the trigger could not be found out: {fault.message}") from fault


def _verified(
    rows: Transaction, schedule: ScheduledOperation, kinds: Mapping[str, TriggerType], now: datetime, until: datetime
) -> dict[datetime, str]:
    found: dict[datetime, str] = {}
    for other in schedules_of(rows, str(schedule.plan_id), *_VERIFIES):
        level = str(other.operation_definition.get("level") or _VERIFIES[other.operation_type])
        for at in _fires(rows, other, kinds, now, until):
            found[at] = max(level, found.get(at, level), key=LEVELS.index)
    return found


def _locked(rows: Transaction, schedule: ScheduledOperation) -> timedelta:
    """For how long the plan locks its new checkpoints."""
    parameters = rows.plans.get(str(schedule.plan_id)).parameters.get(lock.PARAMETER) or {}
    return timedelta(days=parameters.get("days") or 0) if parameters.get("mode") else timedelta(0)


def _of(schedule: ScheduledOperation) -> dict[str, Any]:
    return {"scheduled_operation_id": schedule.id, "plan_id": schedule.plan_id}


def _shown(point: Point) -> dict[str, Any]:
    id = None if point.id.startswith(forecast.NEW) else point.id
    return {"checkpoint_id": id, "created_at": iso(point.at), "status": point.status}

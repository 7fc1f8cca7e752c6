# SPDX-License-Identifier: Apache-2.0
"""How does a plan stand against what was promised of it: is its last good checkpoint young enough?"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from karbor.model.plan import Plan
from karbor.model.scheduled_operation import ScheduledOperation
from karbor.model.trigger import Trigger

#: Nothing was promised; what was promised is kept; it is not; the plan is suspended, and promises do not count.
NONE, OK, BREACHED, PAUSED = "none", "ok", "breached", "paused"
STATES = (NONE, OK, BREACHED, PAUSED)
RAISED, CLEARED = "raised", "cleared"


@dataclass(frozen=True)
class PlanAlarm:
    """``due_at``: when it is breached unless something good happens before; in ``breached``, when it was.

    ``since``: when it came into this state. Nothing was promised before ``begins_at``.
    """

    plan_id: str
    project_id: str
    state: str = NONE
    due_at: datetime | None = None
    since: datetime | None = None
    begins_at: datetime | None = None
    reason: str | None = None

    @property
    def status(self) -> str:
        """The state, as other things call it."""
        return self.state

    @property
    def id(self) -> str:
        """A plan has one alarm."""
        return self.plan_id


@dataclass(frozen=True)
class Promise:
    """An enabled schedule, its trigger, and since when its times count."""

    schedule: ScheduledOperation
    trigger: Trigger
    since: datetime


@dataclass(frozen=True)
class Standing:
    """What is known of a plan. ``paused``: its schedules are not run.

    ``verified`` maps a level to the last good checkpoint that was verified so deep or deeper: when it was made, and
    when that was verified last.
    """

    plan: Plan
    paused: bool = False
    last_good_at: datetime | None = None
    promises: tuple[Promise, ...] = ()
    verified: Mapping[str, tuple[datetime, datetime]] = field(default_factory=dict)
    alarm: PlanAlarm | None = None


@dataclass(frozen=True)
class Due:
    """A promise is broken at that moment, and why."""

    at: datetime
    reason: str


def judged(standing: Standing, due: Due | None, *, now: datetime) -> PlanAlarm:
    """The alarm as it should be now. ``due``: the first promise that is broken unless something good happens."""
    before, plan = standing.alarm, standing.plan
    if standing.paused:
        state, due = PAUSED, None
    else:
        state = NONE if due is None else BREACHED if due.at <= now else OK
    same = before is not None and before.state == state
    return PlanAlarm(
        plan_id=plan.id,
        project_id=plan.project_id,
        state=state,
        due_at=due.at if due else None,
        since=before.since if before and same else now,
        begins_at=before.begins_at if before else None,
        reason=due.reason if due and state == BREACHED else None,
    )


def resumed(standing: Standing, *, now: datetime) -> Standing:
    """The same; where the plan was suspended until now, nothing that was before counts as promised."""
    alarm = standing.alarm
    if alarm is None or alarm.state != PAUSED or standing.paused:
        return standing
    return replace(standing, alarm=replace(alarm, begins_at=now))


def explicit(standing: Standing, seconds: int, since: datetime | None, *, level: str | None = None) -> Due:
    """When the last good checkpoint (that was verified so deep) is older than that many seconds."""
    good = standing.last_good_at if level is None else None
    if level is not None and level in standing.verified:
        good = standing.verified[level][0]
    begins_at = standing.alarm.begins_at if standing.alarm else None
    known = [at for at in (good, since, begins_at, standing.plan.created_at) if at is not None]
    kind = f"good checkpoint verified by level {level}" if level else "good checkpoint"
    return Due(max(known) + timedelta(seconds=seconds), f"There is no {kind} of the last {seconds} seconds.")

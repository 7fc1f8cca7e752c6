# SPDX-License-Identifier: Apache-2.0
"""How does a plan get what its published policy promises: its triggers and its scheduled operations?

They are made and kept by the policy: made with the plan, changed with the policy, removed with either. Where there is a
Keystone, all of a plan are done by one trust of whoever chose the policy for it.
"""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from karbor.api import trusts
from karbor.api.call import Call
from karbor.db.database import Transaction
from karbor.model import errors
from karbor.model.plan import Plan
from karbor.model.policy import PolicySchedule, PolicyWork, PublishedPolicy
from karbor.model.scheduled_operation import ScheduledOperation
from karbor.model.trigger import Trigger
from karbor.sdk.trigger import TriggerType

Kinds = Mapping[str, TriggerType]


@dataclass(frozen=True)
class Chooser:
    """For whom it is done, and by which trust (None: none is needed)."""

    user_id: str
    trust_id: str | None = None


@contextmanager
def chosen(call: Call, plan: Plan) -> Iterator[tuple[Chooser, trusts.Permission]]:
    """Whoever chooses a policy for the plan lets the service act later. Raises Forbidden, Unavailable."""
    if call.services.identity is not None and plan.project_id != call.project_id:
        raise errors.Forbidden("Whoever chooses a policy lets the service act: that takes a login in the project.")
    with trusts.for_schedule(call, str(uuid.uuid4())) as permission:
        yield Chooser(str(call.context.user_id or ""), permission.trust_id), permission


def choose(
    rows: Transaction, plan: Plan, policy: PublishedPolicy | None, chooser: Chooser | None, kinds: Kinds
) -> None:
    """Make, change and remove what the plan has by a policy, so that it is what this one says.

    ``chooser`` None: those who chose it stay. May be called twice. Raises Conflict where somebody changes one of them
    just now.
    """
    wanted = {schedule.name: schedule for schedule in policy.schedules} if policy else {}
    left: Chooser | None = chooser
    for work in rows.policies.work_of(plan.id):
        have = rows.scheduled_operations.get(work.scheduled_operation_id)
        trigger = rows.triggers.get(work.trigger_id, lock=True)
        left = left or Chooser(have.user_id, have.trust_id)
        schedule = wanted.get(work.entry)
        fits = schedule and (schedule.operation_type, schedule.trigger_type) == (have.operation_type, trigger.type)
        if policy is None or schedule is None or not fits:
            _remove(rows, work)
            continue
        del wanted[work.entry]
        _change(rows, plan, policy, schedule, have, trigger, kinds)
        if work.policy_id != policy.id:
            rows.policies.detach(work)
            rows.policies.attach(replace(work, policy_id=policy.id))
        if chooser is not None and chooser.trust_id is not None:
            rows.scheduled_operations.entrust(have.id, trust_id=chooser.trust_id, user_id=chooser.user_id)
    for schedule in wanted.values() if policy else ():
        _make(rows, plan, policy, schedule, left, kinds)


def trusts_of(rows: Transaction, plan_id: str) -> set[str]:
    """The trusts by which the plan's policy is done."""
    found = [rows.scheduled_operations.get(work.scheduled_operation_id) for work in rows.policies.work_of(plan_id)]
    return {one.trust_id for one in found if one.trust_id}


def _make(
    rows: Transaction,
    plan: Plan,
    policy: PublishedPolicy | None,
    schedule: PolicySchedule,
    chooser: Chooser | None,
    kinds: Kinds,
) -> None:
    assert policy is not None and chooser is not None  # a plan with a policy has whoever chose it
    now, id = rows.fires.now(), str(uuid.uuid4())
    trigger = rows.triggers.create(
        Trigger(
            id=id,
            project_id=plan.project_id,
            name=_name(policy, schedule, plan),
            type=schedule.trigger_type,
            properties=schedule.properties,
            created_at=now,
            next_fire=_next(kinds, schedule, id, created_at=now, after=now),
        )
    )
    made = rows.scheduled_operations.create(
        ScheduledOperation(
            id=str(uuid.uuid4()),
            project_id=plan.project_id,
            user_id=chooser.user_id,
            name=_name(policy, schedule, plan),
            operation_type=schedule.operation_type,
            trigger_id=trigger.id,
            operation_definition=_definition(schedule, plan),
        )
    )
    if chooser.trust_id is not None:
        rows.scheduled_operations.entrust(made.id, trust_id=chooser.trust_id, user_id=chooser.user_id)
    rows.policies.attach(PolicyWork(made.id, trigger.id, plan.id, policy.id, schedule.name))


def _change(
    rows: Transaction,
    plan: Plan,
    policy: PublishedPolicy,
    schedule: PolicySchedule,
    have: ScheduledOperation,
    trigger: Trigger,
    kinds: Kinds,
) -> None:
    name = _name(policy, schedule, plan)
    if trigger.properties != schedule.properties:
        now = rows.fires.now()
        following = _next(kinds, schedule, trigger.id, created_at=trigger.created_at or now, after=now)
        rows.triggers.update(replace(trigger, name=name, properties=schedule.properties, next_fire=following))
    after = replace(have, name=name, operation_definition=_definition(schedule, plan))
    if after != have:
        rows.scheduled_operations.update(after)


def _remove(rows: Transaction, work: PolicyWork) -> None:
    rows.policies.detach(work)
    rows.scheduled_operations.delete(work.scheduled_operation_id)
    try:
        rows.triggers.delete(work.trigger_id)
    except errors.Conflict:
        return  # a schedule of the tenant's own goes by it: from now on it is the tenant's


def _next(
    kinds: Kinds, schedule: PolicySchedule, trigger_id: str, *, created_at: datetime, after: datetime
) -> datetime | None:
    fires = kinds[schedule.trigger_type].fires(schedule.properties, created_at=created_at, after=after, seed=trigger_id)
    return next(iter(fires), None)


def _definition(schedule: PolicySchedule, plan: Plan) -> dict[str, object]:
    return {**schedule.definition, "plan_id": plan.id, "provider_id": plan.provider_id}


def _name(policy: PublishedPolicy, schedule: PolicySchedule, plan: Plan) -> str:
    return f"{policy.name} {schedule.name}: {plan.name}"[:255]

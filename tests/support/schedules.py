# SPDX-License-Identifier: Apache-2.0
"""Which schedules do tests of the engine begin with? Rows, and engines over them."""

from datetime import timedelta

import sqlalchemy as sa

from karbor.db.fires import Fired, Settled
from karbor.db.scheduletables import TRIGGERS
from karbor.model.page import PageRequest
from karbor.operationengine.engine import Engine, EngineSettings
from karbor.operationengine.steps import Steps, StepSettings
from karbor.sdk.trigger import Limits, load_types
from tests.support import rows as make

LEASE = 60_000
BEGIN = {"owner": "engine-1", "lease_ms": LEASE, "limit": 100, "per_project": 0, "per_provider": 0}


def scheduled(rows, *names, trigger="trigger-1", definition=None, **given):
    """Scheduled operations of these names, with a plan each, on one trigger; made where it is not there.

    The trigger is due at once.
    """
    if not rows.fires.next_of_triggers([trigger]):
        rows.triggers.create(make.trigger(trigger, next_fire=rows.fires.now() + timedelta(days=1)))
    for name in names:
        rows.plans.create(make.plan(f"plan-{name}"))
        what = {"plan_id": f"plan-{name}", "provider_id": make.PROVIDER, **(definition or {})}
        values = {"trigger_id": trigger, "operation_definition": what, **given}
        rows.scheduled_operations.create(make.scheduled_operation(name, **values))
    due = sa.update(TRIGGERS).where(TRIGGERS.c.id == trigger).values(next_fire_ms=rows.fires.now_ms())
    rows.connection.execute(due)  # behind all of them


def fire(rows, *, window=900_000, missed=""):
    """Every trigger that is due fires; it does not do so again. Returns the number of runs."""
    due = rows.fires.due(1000)
    made = [Fired(one.at_ms, until_ms=None if missed else one.at_ms + window, missed=missed) for one in due]
    return rows.fires.claim([Settled(one, None, (fired,)) for one, fired in zip(due, made, strict=True)])


def run_of(rows, name="a"):
    """The newest run of an operation."""
    return rows.scheduled_runs.list(PageRequest(filters={"scheduled_operation_id": name})).items[0]


def engine_for(database, north, clock, *, owner="engine-1", host="host-1", limits=None, **given):
    """An engine whose thread is not started: tests say when it looks."""
    steps = Steps(database, north, StepSettings(lease=LEASE, watch=1000, retry=1000))
    settings = EngineSettings(**{"lease_ms": LEASE, "threads": 4, **given})
    kinds = load_types(limits or Limits(3600, 900, 1800))
    return Engine(database, steps, kinds, settings, clock=clock, owner=owner, host=host)

# SPDX-License-Identifier: Apache-2.0
"""What would the schedules remove now, and what would they have kept after a year? Nothing is changed by asking."""

from karbor.api import outlook
from karbor.api.call import Call
from karbor.api.node import Node
from karbor.api.operation import Answer, operation
from karbor.api.v1.scheduled_runs import operation_of
from karbor.api.v1.trigger_kinds import Typed
from karbor.model import errors
from karbor.model.plan import Plan
from karbor.schema.nouns.retention import FORECAST, FORECASTS, RETENTION, RETENTIONS
from karbor.schema.types import Schema

_DAYS: dict[str, Schema] = {
    "days": {
        "type": "integer",
        "minimum": 1,
        "maximum": outlook.MAX_DAYS,
        "description": f"For so many days; {outlook.DAYS} where it is absent.",
    }
}


class ScheduleRetention(Node):
    """``/scheduled_operations/{id}/retention``"""

    @operation("scheduled_operation:get_retention", response=RETENTION, errors=(400, 404))
    def get(self, call: Call) -> Answer:
        """Show what a schedule would remove now, and why the rest stays.

        As if it had just made a checkpoint: what it makes next is not counted.
        """
        with call.services.database.read() as rows:
            return {"retention": outlook.retention(rows, operation_of(call, rows))}


class ScheduleForecast(Typed):
    """``/scheduled_operations/{id}/forecast``"""

    @operation("scheduled_operation:get_forecast", response=FORECAST, parameters=_DAYS, errors=(400, 404, 409))
    def get(self, call: Call) -> Answer:
        """Show what a schedule would have kept after a year.

        As if each of its planned times made a good checkpoint, and the schedules that verify the plan found no damage.
        """
        days = _days(call)
        with call.services.database.read() as rows:
            return {"forecast": outlook.predict(rows, operation_of(call, rows), self.kinds, days=days)}


class PlanRetention(Node):
    """``/plans/{id}/retention``"""

    @operation("plan:get_retention", response=RETENTIONS, errors=(400, 404))
    def get(self, call: Call) -> Answer:
        """Show what each schedule of a plan that removes checkpoints would remove now."""
        plan = _plan(call)
        with call.services.database.read() as rows:
            found = outlook.schedules_of(rows, plan.id, "retention_protect")
            return {"retentions": [outlook.retention(rows, schedule) for schedule in found]}


class PlanForecast(Typed):
    """``/plans/{id}/forecast``"""

    @operation("plan:get_forecast", response=FORECASTS, parameters=_DAYS, errors=(400, 404, 409))
    def get(self, call: Call) -> Answer:
        """Show what each schedule of a plan would have kept after a year, as if it were alone."""
        days, plan = _days(call), _plan(call)
        with call.services.database.read() as rows:
            found = outlook.schedules_of(rows, plan.id)
            return {"forecasts": [outlook.predict(rows, schedule, self.kinds, days=days) for schedule in found]}


def _plan(call: Call) -> Plan:
    with call.services.database.read() as rows:
        plan = rows.plans.get(call.path["plan_id"], project_id=call.scope)
    call.allow(project_id=plan.project_id)
    return plan


def _days(call: Call) -> int:
    text = call.query.get("days", str(outlook.DAYS)).strip()
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:20]) <= outlook.MAX_DAYS):
        raise errors.InvalidInput(f"days must be a number from 1 to {outlook.MAX_DAYS}.")
    return int(text)

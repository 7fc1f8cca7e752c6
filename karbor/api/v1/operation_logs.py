# SPDX-License-Identifier: Apache-2.0
"""Operation logs: what was done, when, and how did it end?"""

from typing import Any

from karbor.api import paging
from karbor.api.call import Call
from karbor.api.node import Item, Node
from karbor.api.operation import Answer, operation
from karbor.api.v1.views import moment
from karbor.model.operation import OperationLog as Entry
from karbor.schema.nouns.operation_log import OPERATION_LOG
from karbor.schema.query import ListQuery
from karbor.schema.types import UUID

QUERY = ListQuery(
    filters={
        "checkpoint_id": "Only what was done with this checkpoint.",
        "plan_id": "Only what was done with this plan.",
        "restore_id": "Only what was done for this restore.",
        "verification_id": "Only what was done for this verification.",
        "provider_id": "Only what this provider did.",
        "scheduled_operation_id": "Only what this scheduled operation asked for.",
        "operation_type": "Only operations of this type.",
        "status": "Only what stands so.",
        "start_date": "Only what was asked for from this day on (YYYY-MM-DD).",
        "end_date": "Only what was asked for until this day (YYYY-MM-DD), the day included.",
    },
    sort=("id", "status", "started_at", "created_at"),
    offset=True,
    tenants=True,
)


def view(log: Entry) -> dict[str, Any]:
    """An entry as it is shown."""
    return {
        "id": log.id,
        "operation_type": log.operation_type,
        "checkpoint_id": log.checkpoint_id,
        "plan_id": log.plan_id,
        "provider_id": log.provider_id,
        "restore_id": log.restore_id,
        "verification_id": log.verification_id,
        "scheduled_operation_id": log.scheduled_operation_id,
        "status": log.status,
        "started_at": moment(log.started_at),
        "ended_at": moment(log.ended_at),
        "error_info": log.error_info,
        "extra_info": dict(log.extra_info) or None,
        "project_id": log.project_id,
        "request_id": log.extra_info.get("request_id"),
    }


class OperationLog(Node):
    """``/operation_logs/{id}``"""

    @operation("operation_log:get", response=OPERATION_LOG.show, errors=(400, 404))
    def get(self, call: Call) -> Answer:
        """Show one entry of the operation log."""
        with call.services.database.read() as rows:
            log = rows.operation_logs.get(call.path["operation_log_id"], project_id=call.scope)
        call.allow(project_id=log.project_id)
        return {"operation_log": view(log)}


class OperationLogs(Node):
    """``/operation_logs``"""

    item = Item("operation_log_id", UUID, OperationLog)

    @operation("operation_log:list", response=OPERATION_LOG.list, query=QUERY, errors=(400,))
    def get(self, call: Call) -> Answer:
        """List what was done."""
        with call.services.database.read() as rows:
            page = rows.operation_logs.list(call.page)
        return paging.listing(call, "operation_logs", [view(log) for log in page.items], full=page.full)

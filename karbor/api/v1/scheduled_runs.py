# SPDX-License-Identifier: Apache-2.0
"""Runs of scheduled operations: what became of each planned time, and how is one asked for now?"""

import logging
from dataclasses import replace

from karbor.api import paging, repeats
from karbor.api.call import Call
from karbor.api.node import Item, Node
from karbor.api.operation import Answer, operation
from karbor.api.v1.views import scheduled_run
from karbor.db.database import Transaction
from karbor.model import errors
from karbor.model.scheduled_operation import ScheduledOperation
from karbor.schema.nouns.scheduled_run import RUN, SCHEDULED_RUN
from karbor.schema.query import ListQuery
from karbor.schema.types import UUID

LOG = logging.getLogger(__name__)
RUNS = ListQuery(
    filters={"status": "Only those in this status."},
    sort=("id", "scheduled_for"),
    default_sort=(("scheduled_for", "desc"),),
)


def operation_of(call: Call, rows: Transaction) -> ScheduledOperation:
    """The scheduled operation that the URL names. Raises NotFound, Forbidden."""
    found = rows.scheduled_operations.get(call.path["scheduled_operation_id"], project_id=call.scope)
    call.allow(project_id=found.project_id)
    return found


class Run(Node):
    """``/scheduled_operations/{id}/runs/{id}``"""

    @operation("scheduled_operation:get_run", response=SCHEDULED_RUN.show, errors=(400, 404))
    def get(self, call: Call) -> Answer:
        """Show what became of one planned time."""
        with call.services.database.read() as rows:
            found = operation_of(call, rows)
            run = rows.scheduled_runs.get(call.path["run_id"])
        if run.scheduled_operation_id != found.id:
            raise errors.NotFound(f"The run {run.id} could not be found.")
        return {"run": scheduled_run(run, call)}


class Runs(Node):
    """``/scheduled_operations/{id}/runs``"""

    item = Item("run_id", UUID, Run)

    @operation("scheduled_operation:get_runs", response=SCHEDULED_RUN.list, query=RUNS, errors=(400, 404))
    def get(self, call: Call) -> Answer:
        """List what became of its planned times: those that were missed or skipped, too."""
        with call.services.database.read() as rows:
            found = operation_of(call, rows)
            filters = {**call.page.filters, "scheduled_operation_id": found.id}
            page = rows.scheduled_runs.list(replace(call.page, filters=filters, project_id=found.project_id))
        return paging.listing(call, "runs", [scheduled_run(run, call) for run in page.items], full=page.full)


class Action(Node):
    """``/scheduled_operations/{id}/action``"""

    @operation(
        "scheduled_operation:run",
        role="member",
        body=RUN,
        response=SCHEDULED_RUN.show,
        status=202,
        errors=(400, 404, 413),
        repeatable=True,
        begins_work=True,
    )
    def post(self, call: Call) -> Answer:
        """Do it now, whatever its trigger says and whether it is enabled.

        An engine begins it. Where the last run has not ended, its `overlap` decides what becomes of this one.
        """

        def ask(rows: Transaction) -> repeats.Made:
            return {"run": scheduled_run(rows.scheduled_runs.ask(operation_of(call, rows)), call)}, ()

        answer, _jobs = repeats.once(call, ask)
        LOG.info(
            "run asked for run=%s scheduled_operation=%s project=%s request=%s",
            answer["run"]["id"], answer["run"]["scheduled_operation_id"], call.project_id, call.context.request_id,
        )  # fmt: skip
        return answer

# SPDX-License-Identifier: Apache-2.0
"""How is a checkpoint brought back? By the graph and the saved data in its record, never by today's inventory."""

from collections.abc import Mapping, Sequence
from typing import Any

from karbor.db.database import Transaction
from karbor.model.checkpoint import CheckpointRecord, Reason, SavedResource
from karbor.model.graph import ResourceGraph
from karbor.model.resource import ResourceKey
from karbor.protection import flows
from karbor.protection.flows import Step
from karbor.protection.operation import Operation, reason_of
from karbor.protection.protect import require_record
from karbor.protection.work import StepWork
from karbor.sdk.protection import Protection, Restored


class RestoreOperation(Operation):
    """Brings one checkpoint back."""

    _record: CheckpointRecord

    def plan(self) -> Sequence[Step]:
        with self.parts.database.read() as rows:
            restore = rows.restores.get(self.restore_id, project_id=None)
        self.parameters = restore.parameters
        self._record = require_record(self.domain, self.checkpoint_id)
        self.graph = ResourceGraph.from_dict(self._record.graph)
        return self.remember_first_steps(flows.restore_steps(self.graph, self.has))

    def options(self, plugin: Protection, values: Mapping[str, Any]) -> Any:
        return plugin.Restore.parse(values)

    def saved(self, key: ResourceKey) -> SavedResource | None:
        return self._record.resource(key.text)

    def resource_step(self, step: Step, plugin: Protection, work: StepWork) -> Any:
        if step.phase != "restore":
            return getattr(plugin, step.phase)(work)
        done: Restored = plugin.restore(work)
        self._show(work.key.type, done.new_id, "available")
        return {"new_id": done.new_id, "result": dict(done.result)}

    def engine_step(self, step: Step, results: Mapping[str, Any]) -> Any:
        """Finish: every resource is there; the rows are written by ``ended_well``."""
        return None

    def abandon(self, plugin: Protection, work: StepWork) -> None:
        plugin.restore_abandon(work)

    def failed(self, step: Step, fault: BaseException) -> None:
        super().failed(step, fault)
        if step.key is not None:
            reason = reason_of(fault, resource="", step=step.phase)
            self._show(step.key.type, step.key.id, "error", _text(reason.cause, reason))

    def ended_well(self, rows: Transaction) -> None:
        rows.restores.transition(self.restore_id, "success", finished_at=self.parts.clock.now())

    def ended_badly(self, rows: Transaction, reason: Reason) -> None:
        text = _text(f"{reason.step}: {reason.cause}", reason)
        for key, status in rows.restores.get(self.restore_id).resources_status.items():
            if status == "available":  # it was, until everything was undone
                rows.restores.set_resource(
                    self.restore_id,
                    key,
                    "error",
                    f"It was removed again, because {reason.resource or 'the restore'} failed.",
                )
        if not reason.resource:
            rows.restores.set_resource(self.restore_id, f"Checkpoint#{self.checkpoint_id}", "error", text)
        rows.restores.transition(self.restore_id, "fail", finished_at=self.parts.clock.now())

    def _show(self, type_: str, id_: str, status: str, reason: str = "") -> None:
        with self.parts.database.write() as rows:
            rows.jobs.check(self.job)
            rows.restores.set_resource(self.restore_id, f"{type_}#{id_}", status, reason)


def _text(cause: str, reason: Reason) -> str:
    return cause + (f" Next: {reason.next_action}." if reason.next_action else "")

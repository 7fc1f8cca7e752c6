# SPDX-License-Identifier: Apache-2.0
"""How is a checkpoint removed, also one that never became complete?"""

from collections.abc import Mapping, Sequence
from typing import Any

from karbor.db.database import Transaction
from karbor.model import errors
from karbor.model.checkpoint import CheckpointRecord, Reason, SavedResource
from karbor.model.graph import ResourceGraph
from karbor.model.lock import Lock
from karbor.model.resource import ResourceKey
from karbor.protection import flows
from karbor.protection.flows import Step
from karbor.protection.operation import RECORD, Operation
from karbor.protection.work import StepWork
from karbor.sdk.protection import Protection


class DeleteOperation(Operation):
    """Removes one checkpoint: what plug-ins keep outside the bank, then the record. Chunks that nothing refers to any
    more stay until the bank is cleaned up."""

    _record: CheckpointRecord | None = None
    _locked: Lock | None = None  # why nothing was deleted

    def plan(self) -> Sequence[Step]:
        self._refuse_locked()
        try:
            self._record = CheckpointRecord.from_dict(self.domain.get_record(RECORD, self.checkpoint_id))
            self.graph = ResourceGraph.from_dict(self._record.graph)
        except errors.NotFound:
            self._record = None  # it failed before it was committed, or an earlier attempt removed it
        except errors.KeyDestroyed:
            self._record = None  # nobody can tell any more what it was, neither for plug-ins nor for a restore
        return self.remember_first_steps(flows.delete_steps(self.graph, self.has))

    def _refuse_locked(self) -> None:
        """Before anything is touched: the bank decides, whatever the catalog says. Raises CheckpointLocked."""
        try:
            self.domain.require_unlocked(RECORD, self.checkpoint_id)
        except errors.CheckpointLocked:
            self._locked = self.domain.locks_of(RECORD, self.checkpoint_id)
            raise
        except errors.KeyDestroyed:
            return  # nobody can read what it says, nor what it would keep

    def options(self, plugin: Protection, values: Mapping[str, Any]) -> Any:
        return None

    def saved(self, key: ResourceKey) -> SavedResource | None:
        return self._record.resource(key.text) if self._record else None

    def resource_step(self, step: Step, plugin: Protection, work: StepWork) -> Any:
        plugin.delete(work)
        return None

    def engine_step(self, step: Step, results: Mapping[str, Any]) -> Any:
        """Remove the record: from here on the checkpoint does not exist."""
        try:
            self.domain.delete_record(RECORD, self.checkpoint_id)
        except errors.KeyDestroyed:
            return None  # no tombstone can be sealed, and clean-up removes all there is
        return None

    def abandon(self, plugin: Protection, work: StepWork) -> None:
        """What was deleted stays deleted; the next delete goes on."""

    def ended_well(self, rows: Transaction) -> None:
        rows.checkpoints.save_resources(self.checkpoint_id, ())
        rows.checkpoints.transition(self.checkpoint_id, "deleted", finished_at=self.parts.clock.now())

    def ended_badly(self, rows: Transaction, reason: Reason) -> None:
        if self._locked is not None:
            before = self.job.payload.get("was", "available")
            rows.checkpoints.transition(self.checkpoint_id, before, **self._locked.to_catalog())
            return
        rows.checkpoints.transition(self.checkpoint_id, "error-deleting", reason=reason)

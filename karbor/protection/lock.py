# SPDX-License-Identifier: Apache-2.0
"""How does the bank learn that a checkpoint must stay, and the catalog of what the bank knows?"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from karbor.db.database import Transaction
from karbor.model import errors
from karbor.model.checkpoint import RECORD, Reason
from karbor.model.lock import LOCK, MODES, PARAMETER, Lock, moment
from karbor.protection import flows
from karbor.protection.flows import Step
from karbor.protection.operation import Operation
from karbor.protection.work import StepWork
from karbor.sdk.protection import Protection


class LockOperation(Operation):
    """One change: lock, unlock, hold or release. What was asked for is refused where the bank knows better."""

    _found: Lock | None = None

    def plan(self) -> Sequence[Step]:
        self._found = self.domain.locks_of(RECORD, self.checkpoint_id)
        return [Step(flows.LOCK, flows.LOCK)]

    def engine_step(self, step: Step, results: Mapping[str, Any]) -> Any:
        """May be repeated: what holds already is not written again."""
        wish = self.job.payload
        given: dict[str, Any] = {"reason": wish["reason"]} if "reason" in wish else {}
        if wish["action"] == LOCK:
            given = {"mode": wish["mode"], "until": moment(wish["until"])}
        try:
            self._found = self.domain.lock_record(RECORD, self.checkpoint_id, wish["action"], **given)
        except (errors.Conflict, errors.IntegrityError):  # it may be known already, or somebody else locked it
            self._found = self.domain.locks_of(RECORD, self.checkpoint_id)
            raise
        return None

    def ended_well(self, rows: Transaction) -> None:
        if self._found is not None:
            rows.checkpoints.update(self.checkpoint_id, **self._found.to_catalog())

    def ended_badly(self, rows: Transaction, reason: Reason) -> None:
        """The operation log says why; what holds all the same is shown."""
        self.ended_well(rows)

    def options(self, plugin: Protection, values: Mapping[str, Any]) -> Any:
        return None

    def resource_step(self, step: Step, plugin: Protection, work: StepWork) -> Any:
        """There are none."""

    def abandon(self, plugin: Protection, work: StepWork) -> None:
        """There is nothing to undo: what the bank knows stays."""


def lock_for(provider: tuple[str, int] | None, plan: Mapping[str, Any], now: datetime) -> tuple[str, datetime] | None:
    """Mode and end of the lock that a new checkpoint gets: of what its provider and its plan ask for, the stricter mode
    and the longer time. None where neither asks."""
    own = (plan.get("parameters") or {}).get(PARAMETER) or {}
    wishes = [wish for wish in (provider, _wish(own)) if wish is not None]
    if not wishes:
        return None
    mode = max((mode for mode, _ in wishes), key=MODES.index)
    return mode, now + timedelta(days=max(days for _, days in wishes))


def _wish(own: Mapping[str, Any]) -> tuple[str, int] | None:
    """Either option has a default where the other one is given."""
    if not own:
        return None
    return str(own.get("mode", MODES[0])), int(own.get("days", 30))

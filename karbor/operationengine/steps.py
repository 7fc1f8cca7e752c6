# SPDX-License-Identifier: Apache-2.0
"""What is done next for a run that was taken?

Each step is short: ask for something, or look how it stands; then the run is given back, and any engine does the next
step. What a step learns is in the row of the run before the next one begins, so nothing depends on who does it. The
outcome of a run is the outcome of what it made.
"""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from karbor.db.database import Database
from karbor.model import errors, retention
from karbor.model.scheduled_run import ScheduledRun
from karbor.operationengine.grip import Grip
from karbor.operationengine.grip import StepSettings as StepSettings
from karbor.operationengine.happenings import Happenings
from karbor.operationengine.northbound import Northbound, Shown

LOG = logging.getLogger(__name__)
DELETES = 20  # in one step
_TOLD = 5  # conflicts of a restore


class Steps:
    """The steps of all types of operations. Used by many threads."""

    def __init__(
        self, database: Database, north: Northbound, settings: StepSettings, happenings: Happenings | None = None
    ) -> None:
        """``happenings`` is told of every run that has ended."""
        self._database = database
        self._north = north
        self._grip = Grip(database, settings, happenings or Happenings({}))
        self._types: Mapping[str, Callable[[ScheduledRun], None]] = {
            "protect": self._protect,
            "retention_protect": self._retention_protect,
            "verify": self._verify,
            "copy": self._copy,
            "restore_check": self._restore_check,
        }

    def step(self, run: ScheduledRun) -> None:
        """Do the next step of a run that is ours, and give it back."""
        try:
            try:
                self._types.get(run.operation_type, self._unknown)(run)
            except errors.LeaseLost:
                raise
            except errors.KarborError as fault:
                self._failed(run, fault)
        except errors.LeaseLost:
            LOG.info("run taken over run=%s fence=%d", run.id, run.fence)

    def give_back(self, run: ScheduledRun) -> None:
        """Do nothing for a run that is ours; another engine may take it at once."""
        try:
            self._grip.pause(run, delay_ms=0)
        except errors.LeaseLost:
            LOG.info("run taken over run=%s fence=%d", run.id, run.fence)

    def _unknown(self, run: ScheduledRun) -> None:
        raise errors.NotSupported(f"This release cannot do {run.operation_type}.")

    def _failed(self, run: ScheduledRun, fault: errors.KarborError) -> None:
        """A request of the step was not answered well: again later, or never."""
        if fault.permanent and not isinstance(fault, errors.Forbidden):
            self._grip.end(run, "failed", reason=fault.message)
            return
        LOG.warning("step not done run=%s %s", run.id, fault.operator_text())
        self._grip.later(run, fault)

    def _protect(self, run: ScheduledRun) -> None:
        if (checkpoint := self._made(run)) is not None:
            self._grip.end(run, "success", checkpoint_id=checkpoint["id"])

    def _retention_protect(self, run: ScheduledRun) -> None:
        if run.result.get("retention") != "due":
            checkpoint = self._made(run)
            if checkpoint is None:
                return
            run = self._grip.note(run, checkpoint_id=checkpoint["id"], retention="due")
        try:
            self._clean_up(run)
        except (errors.Unavailable, errors.LeaseLost):
            raise
        except errors.KarborError as fault:
            self._grip.end(run, "success", reason=f"Old checkpoints were not removed: {fault.message}", retention=None)

    def _made(self, run: ScheduledRun) -> Shown | None:
        """The checkpoint of this run when it is good; None while it is not, and the run is given back or has ended."""
        id = run.result.get("checkpoint_id")
        if id is None:
            if self._replaced(run):
                # The request carries the fence: the API begins nothing for an engine that lost the run.
                self._grip.pause(run, checkpoint_id=self._north.protect(run)["id"])
            return None
        try:
            checkpoint = self._north.checkpoint(run, str(run.provider_id), str(id))
        except errors.NotFound:
            self._grip.end(run, "failed", reason="Its checkpoint was deleted.")
            return None
        status = checkpoint["status"]
        if status == "available":
            return checkpoint
        if status == "protecting":
            self._grip.pause(run)
        elif run.attempts <= int(run.definition.get("max_retries") or 0) and not run.result.get("replaced"):
            self._grip.again(run, _reason(checkpoint))
        else:
            self._grip.end(run, "failed", reason=_reason(checkpoint))
        return None

    def _replaced(self, run: ScheduledRun) -> bool:
        """Whether nothing is in the way: earlier runs of the operation, which this one replaces, have ended."""
        if run.overlap != "replace":
            return True
        earlier = self._database.retrying(lambda rows: rows.scheduled_runs.replace_earlier(run))
        for other in earlier:
            try:
                self._north.cancel(other, str(other.result["checkpoint_id"]))
            except (errors.Conflict, errors.NotFound) as fault:
                LOG.info("nothing to cancel run=%s cause=%s", other.id, fault.message)
        if earlier:
            self._grip.pause(run, reason="It waits for the end of the run that it replaces.")
        return not earlier

    def _clean_up(self, run: ScheduledRun) -> None:
        """Delete what the policy lets go, some at a time."""
        policy = retention.policy_of(run.definition)
        now = self._now()
        points = [_point(run, policy, shown) for shown in self._north.checkpoints(run)]
        busy = set(run.result.get("busy", ()))
        _stay, going = retention.choose(points, policy, now)
        left = [id for id in reversed(going) if id not in busy]  # the oldest first
        deleted = int(run.result.get("deleted", 0))
        for id in left[:DELETES]:
            self._grip.hold(run)
            try:
                self._north.delete(run, id)
                deleted += 1
            except errors.NotFound:
                deleted += 1
            except errors.Conflict:
                busy.add(id)  # something works on it; the next run will see to it
        if len(left) > DELETES:
            self._grip.pause(run, delay_ms=0, deleted=deleted, busy=sorted(busy))
        else:
            self._grip.end(run, "success", retention=None, deleted=deleted, busy=sorted(busy) or None)

    def _verify(self, run: ScheduledRun) -> None:
        if run.result.get("verification_id") is None:
            self._begin_verification(run, self._newest(run), run.definition.get("level"))
        else:
            self._watch_verification(run)

    def _restore_check(self, run: ScheduledRun) -> None:
        """What a restore would do is asked for, and everything that it would read is read. Nothing is restored."""
        if run.result.get("verification_id") is not None:
            told = "; ".join(run.result.get("conflicts", ()))
            self._watch_verification(run, told=f"A restore would be refused now: {told}" if told else None)
            return
        newest = self._newest(run)
        plan = self._north.plan_restore(run, newest["id"])
        conflicts = [str(one["reason"]) for one in plan.get("conflicts", ())][:_TOLD]
        if conflicts and run.definition.get("conflicts") == "fail":
            self._grip.end(run, "failed", reason=f"A restore would be refused now: {'; '.join(conflicts)}")
            return
        self._begin_verification(run, newest, run.definition.get("level") or "data", conflicts=conflicts or None)

    def _newest(self, run: ScheduledRun) -> Shown:
        """The newest good checkpoint of the plan that is no copy. Raises NotFound."""
        good = self._north.checkpoints(run, status="available", limit="20")
        newest = next((shown for shown in good if not shown.get("source_id")), None)
        if newest is None:
            raise errors.NotFound("The plan has no available checkpoint.")
        return newest

    def _begin_verification(self, run: ScheduledRun, checkpoint: Shown, level: object, **result: Any) -> None:
        self._grip.hold(run)
        made = self._north.verify(run, checkpoint["id"], _levels(checkpoint, level))
        self._grip.pause(run, verification_id=made["id"], verified_checkpoint_id=made["checkpoint_id"], **result)

    def _watch_verification(self, run: ScheduledRun, *, told: str | None = None) -> None:
        found = self._north.verification(run, str(run.result["verification_id"]))
        if found["status"] == "in_progress":
            self._grip.pause(run)
        elif found["status"] == "success":
            self._grip.end(run, "success", reason=told)
        else:
            reasons = "; ".join(found.get("resources_reason", {}).values())
            self._grip.end(run, "failed", reason=f"The verification failed. {reasons}".strip())

    def _copy(self, run: ScheduledRun) -> None:
        target = str(run.definition.get("target_provider_id"))
        copies = run.result.get("copies")
        if copies is None:
            self._grip.hold(run)
            self._grip.pause(run, delay_ms=0, copies=list(self._north.copy(run, target)))
            return
        shown = [self._north.checkpoint(run, target, str(id)) for id in copies]
        failed = [one for one in shown if one["status"] not in ("wait_copying", "copying", "available")]
        if any(one["status"] in ("wait_copying", "copying") for one in shown):
            self._grip.pause(run)
        elif failed:
            self._grip.end(run, "failed", reason=f"{len(failed)} of {len(shown)} copies failed. {_reason(failed[0])}")
        else:
            self._grip.end(run, "success")

    def _now(self) -> datetime:
        with self._database.read() as rows:
            found: datetime = rows.fires.now()
        return found


def _reason(checkpoint: Shown) -> str:
    """Why a checkpoint is not good."""
    given = checkpoint.get("reason") or {}
    parts = [given.get(name) for name in ("resource", "step", "cause", "next_action")]
    return f"The checkpoint is {checkpoint['status']}. {'; '.join(str(part) for part in parts if part)}".strip()


def _point(run: ScheduledRun, policy: retention.Policy, shown: Shown) -> retention.Point:
    notes = json.loads(shown["extra_info"]) if shown.get("extra_info") else {}
    until, copy = shown.get("locked_until"), bool(shown.get("source_id"))
    return retention.Point(
        id=shown["id"],
        at=datetime.fromisoformat(shown["created_at"]).replace(tzinfo=UTC),
        status=shown["status"],
        own=retention.is_own(notes, policy, run.scheduled_operation_id) and not copy,
        held=bool(shown.get("held")),
        verified_level=shown.get("verified_level"),
        locked_until=datetime.fromisoformat(until).replace(tzinfo=UTC) if until else None,
        copy=copy,
    )


def _levels(checkpoint: Shown, level: object) -> dict[str, Any]:
    """The options of a verification of that depth; as the service chooses where none is asked for."""
    if not level:
        return {}
    types = {resource["type"] for resource in checkpoint["protection_plan"].get("resources", ())}
    return {type_: {"level": level} for type_ in sorted(types)}

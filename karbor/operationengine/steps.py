# SPDX-License-Identifier: Apache-2.0
"""What is done next for a run that was taken?

Each step is short: ask for something, or look how it stands; then the run is given back, and any engine does the next
step. What a step learns is in the row of the run before the next one begins, so nothing depends on who does it. The
outcome of a run is the outcome of what it made.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from karbor.db.database import Database
from karbor.db.fires import milliseconds
from karbor.model import errors
from karbor.model.scheduled_run import ScheduledRun
from karbor.operationengine import retention
from karbor.operationengine.northbound import Northbound, Shown

LOG = logging.getLogger(__name__)
DELETES = 20  # in one step
_DOUBLINGS = 6
#: Milliseconds for which a request is sent again whose outcome is not known; its key is kept longer.
_GIVE_UP_MS = 20 * 3600 * 1000


@dataclass(frozen=True)
class StepSettings:
    """In milliseconds. ``lease``: for one step. ``watch``: between two looks. ``retry``: before it is tried again."""

    lease: int = 120_000
    watch: int = 5_000
    retry: int = 10_000


class Steps:
    """The steps of all types of operations. Used by many threads."""

    def __init__(self, database: Database, north: Northbound, settings: StepSettings) -> None:
        self._database = database
        self._north = north
        self._settings = settings
        self._types: Mapping[str, Callable[[ScheduledRun], None]] = {
            "protect": self._protect,
            "retention_protect": self._retention_protect,
            "verify": self._verify,
            "copy": self._copy,
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
            self._pause(run, delay_ms=0)
        except errors.LeaseLost:
            LOG.info("run taken over run=%s fence=%d", run.id, run.fence)

    def _unknown(self, run: ScheduledRun) -> None:
        raise errors.NotSupported(f"This release cannot do {run.operation_type}.")

    def _failed(self, run: ScheduledRun, fault: errors.KarborError) -> None:
        """A request of the step was not answered well: again later, or never."""
        if fault.permanent and not isinstance(fault, errors.Forbidden):
            self._end(run, "failed", reason=fault.message)
            return
        LOG.warning("step not done run=%s %s", run.id, fault.operator_text())

        def later(rows: Any) -> str:
            now, kept = rows.fires.now_ms(), rows.scheduled_runs.get(run.id, lock=True)
            begun = any(kept.result.get(name) for name in ("checkpoint_id", "verification_id", "copies"))
            until = kept.begin_until_ms if kept.attempts == 1 else None
            since = milliseconds(kept.started_at) if kept.started_at else now
            if not begun and until is not None and until < now:
                rows.scheduled_runs.end(run, "missed", reason=f"It could not begin within its window: {fault.message}")
                return "missed"
            if not begun and now - since > _GIVE_UP_MS:
                rows.scheduled_runs.end(run, "failed", reason=fault.message)
                return "failed"
            tries = int(kept.result.get("tries", 0))
            rows.scheduled_runs.note(run, tries=tries + 1)
            delay = self._settings.retry * 2 ** min(tries, _DOUBLINGS)
            if not begun and until is not None:
                delay = min(delay, max(100, until - now))  # one last time before the window ends
            rows.scheduled_runs.pause(run, delay_ms=delay, reason=fault.message)
            return ""

        if ended := self._database.retrying(later):
            _tell(run, ended, fault.message)

    def _protect(self, run: ScheduledRun) -> None:
        if (checkpoint := self._made(run)) is not None:
            self._end(run, "success", checkpoint_id=checkpoint["id"])

    def _retention_protect(self, run: ScheduledRun) -> None:
        if run.result.get("retention") != "due":
            checkpoint = self._made(run)
            if checkpoint is None:
                return
            run = self._note(run, checkpoint_id=checkpoint["id"], retention="due")
        try:
            self._clean_up(run)
        except (errors.Unavailable, errors.LeaseLost):
            raise
        except errors.KarborError as fault:
            self._end(run, "success", reason=f"Old checkpoints were not removed: {fault.message}", retention=None)

    def _made(self, run: ScheduledRun) -> Shown | None:
        """The checkpoint of this run when it is good; None while it is not, and the run is given back or has ended."""
        id = run.result.get("checkpoint_id")
        if id is None:
            if self._replaced(run):
                # The request carries the fence: the API begins nothing for an engine that lost the run.
                self._pause(run, checkpoint_id=self._north.protect(run)["id"])
            return None
        try:
            checkpoint = self._north.checkpoint(run, str(run.provider_id), str(id))
        except errors.NotFound:
            self._end(run, "failed", reason="Its checkpoint was deleted.")
            return None
        status = checkpoint["status"]
        if status == "available":
            return checkpoint
        if status == "protecting":
            self._pause(run)
        elif run.attempts <= int(run.definition.get("max_retries") or 0) and not run.result.get("replaced"):
            delay = self._settings.retry * 2 ** min(run.attempts - 1, _DOUBLINGS)
            reason = _reason(checkpoint)
            self._database.retrying(lambda rows: rows.scheduled_runs.again(run, delay_ms=delay, reason=reason))
        else:
            self._end(run, "failed", reason=_reason(checkpoint))
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
            self._pause(run, reason="It waits for the end of the run that it replaces.")
        return not earlier

    def _clean_up(self, run: ScheduledRun) -> None:
        """Delete what the policy lets go, some at a time."""
        policy = retention.policy_of(run.definition)
        points = [_point(run, shown) for shown in self._north.checkpoints(run)]
        busy = set(run.result.get("busy", ()))
        _stay, going = retention.choose(points, policy, self._now())
        left = [id for id in reversed(going) if id not in busy]  # the oldest first
        deleted = int(run.result.get("deleted", 0))
        for id in left[:DELETES]:
            self._hold(run)
            try:
                self._north.delete(run, id)
                deleted += 1
            except errors.NotFound:
                deleted += 1
            except errors.Conflict:
                busy.add(id)  # something works on it; the next run will see to it
        if len(left) > DELETES:
            self._pause(run, delay_ms=0, deleted=deleted, busy=sorted(busy))
        else:
            self._end(run, "success", retention=None, deleted=deleted, busy=sorted(busy) or None)

    def _verify(self, run: ScheduledRun) -> None:
        id = run.result.get("verification_id")
        if id is None:
            good = self._north.checkpoints(run, status="available", limit="20")
            newest = next((shown for shown in good if not shown.get("source_id")), None)
            if newest is None:
                raise errors.NotFound("The plan has no available checkpoint.")
            self._hold(run)
            made = self._north.verify(run, newest["id"], _levels(newest, run.definition.get("level")))
            self._pause(run, verification_id=made["id"], verified_checkpoint_id=made["checkpoint_id"])
            return
        found = self._north.verification(run, str(id))
        if found["status"] == "in_progress":
            self._pause(run)
        elif found["status"] == "success":
            self._end(run, "success")
        else:
            reasons = "; ".join(found.get("resources_reason", {}).values())
            self._end(run, "failed", reason=f"The verification failed. {reasons}".strip())

    def _copy(self, run: ScheduledRun) -> None:
        target = str(run.definition.get("target_provider_id"))
        copies = run.result.get("copies")
        if copies is None:
            self._hold(run)
            self._pause(run, delay_ms=0, copies=list(self._north.copy(run, target)))
            return
        shown = [self._north.checkpoint(run, target, str(id)) for id in copies]
        failed = [one for one in shown if one["status"] not in ("wait_copying", "copying", "available")]
        if any(one["status"] in ("wait_copying", "copying") for one in shown):
            self._pause(run)
        elif failed:
            self._end(run, "failed", reason=f"{len(failed)} of {len(shown)} copies failed. {_reason(failed[0])}")
        else:
            self._end(run, "success")

    def _now(self) -> datetime:
        with self._database.read() as rows:
            found: datetime = rows.fires.now()
        return found

    def _hold(self, run: ScheduledRun) -> None:
        """Right before a request that changes something: still ours, and for long enough. Raises LeaseLost."""
        self._database.retrying(lambda rows: rows.scheduled_runs.check(run, lease_ms=self._settings.lease))

    def _note(self, run: ScheduledRun, **result: Any) -> ScheduledRun:
        return self._database.retrying(lambda rows: rows.scheduled_runs.note(run, **result))

    def _pause(
        self, run: ScheduledRun, *, delay_ms: int | None = None, reason: str | None = None, **result: Any
    ) -> None:
        delay = self._settings.watch if delay_ms is None else delay_ms
        self._database.retrying(lambda rows: rows.scheduled_runs.pause(run, delay_ms=delay, reason=reason, **result))

    def _end(self, run: ScheduledRun, status: str, *, reason: str | None = None, **result: Any) -> None:
        self._database.retrying(lambda rows: rows.scheduled_runs.end(run, status, reason=reason, tries=None, **result))
        _tell(run, status, reason)


def _tell(run: ScheduledRun, status: str, reason: str | None) -> None:
    LOG.info(
        "run ended run=%s scheduled_operation=%s scheduled_for=%s status=%s project=%s reason=%s",
        run.id, run.scheduled_operation_id, run.scheduled_for.isoformat(), status, run.project_id, reason,
    )  # fmt: skip


def _reason(checkpoint: Shown) -> str:
    """Why a checkpoint is not good."""
    given = checkpoint.get("reason") or {}
    parts = [given.get(name) for name in ("resource", "step", "cause", "next_action")]
    return f"The checkpoint is {checkpoint['status']}. {'; '.join(str(part) for part in parts if part)}".strip()


def _point(run: ScheduledRun, shown: Shown) -> retention.Point:
    notes = json.loads(shown["extra_info"]) if shown.get("extra_info") else {}
    return retention.Point(
        id=shown["id"],
        at=datetime.fromisoformat(shown["created_at"]).replace(tzinfo=UTC),
        status=shown["status"],
        own=notes.get("scheduled_operation_id") == run.scheduled_operation_id and not shown.get("source_id"),
        held=bool(shown.get("held")),
        verified_level=shown.get("verified_level"),
    )


def _levels(checkpoint: Shown, level: object) -> dict[str, Any]:
    """The options of a verification of that depth; as the service chooses where none is asked for."""
    if not level:
        return {}
    types = {resource["type"] for resource in checkpoint["protection_plan"].get("resources", ())}
    return {type_: {"level": level} for type_ in sorted(types)}

# SPDX-License-Identifier: Apache-2.0
"""How is it proven that a checkpoint can be restored, and told what exactly is lost where it cannot?

By the graph and the streams in its record. A resource that is damaged does not stop the look at the others. Only damage
that is proven makes a checkpoint unusable: a bank that cannot be reached fails the verification and nothing else.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from karbor.db.database import Transaction
from karbor.model import errors
from karbor.model.checkpoint import CheckpointRecord, Reason, SavedResource
from karbor.model.graph import ResourceGraph
from karbor.model.plan import options_for
from karbor.model.resource import ResourceKey
from karbor.model.retention import BOOT, DATA, LEVELS
from karbor.protection import findings, flows
from karbor.protection.control import Control
from karbor.protection.findings import RECORD_KEY
from karbor.protection.flows import Step, step_name
from karbor.protection.operation import LOG, RECORD, Operation, Parts
from karbor.protection.work import StepWork
from karbor.sdk.protection import Protection
from karbor.vault.check import Check

BANK = "bank"  # key of a report: objects that are damaged or missing without costing a byte
_NAMED = 3  # resources that a reason names
_ELSEWHERE = "restore from another checkpoint, and look at the bank with karbor-manage bank check"


class VerifyOperation(Operation):
    """Looks at one checkpoint. Changes nothing in the bank, but that it notes damage there."""

    _record: CheckpointRecord | None = None
    _lost = ""  # why nothing of the checkpoint can be opened

    def __init__(self, parts: Parts, control: Control) -> None:
        super().__init__(parts, control)
        self.verification_id = self.job.verification_id or ""
        self._checks: dict[str, Check] = {}
        self._lock = threading.Lock()  # guards _checks

    def plan(self) -> Sequence[Step]:
        with self.parts.database.read() as rows:
            self.parameters = rows.verifications.get(self.verification_id).parameters
            known = rows.providers.bank_identity(self.job.provider_id)
        if known not in (None, self.provider.bank.identity()):
            raise errors.BankUnavailable("The bank is not the one that this provider used before.")
        self._read_record()
        if self._record is None:
            return [Step(flows.FINISH, flows.FINISH)]
        self.graph = ResourceGraph.from_dict(self._record.graph)
        self.control.expect("", self._record.sizes.logical)
        return self.remember_first_steps(flows.verify_steps(self.graph, self.has))

    def _read_record(self) -> None:
        try:
            self.domain.check_keys()
            document = self.domain.get_record(RECORD, self.checkpoint_id)
        except (errors.ObjectNotFound, errors.IntegrityError) as fault:
            self._lost = f"{fault.message} ({fault.detail})"
            return
        try:
            self._record = CheckpointRecord.from_dict(document)
        except (ValueError, KeyError) as fault:
            raise errors.NotSupported(
                "The record of this checkpoint is of another release.", detail=str(fault)
            ) from fault

    def has(self, key: ResourceKey, phase: str) -> bool:
        """A resource without streams needs no step, unless its plug-in has something to prove."""
        saved = self.saved(key)
        return super().has(key, phase) or bool(saved and saved.streams)

    def options(self, plugin: Protection, values: Mapping[str, Any]) -> Any:
        return plugin.Verify.parse(values)

    def saved(self, key: ResourceKey) -> SavedResource | None:
        return self._record.resource(key.text) if self._record else None

    def resource_step(self, step: Step, plugin: Protection, work: StepWork) -> Any:
        self._show(work.key, "verifying", "")
        streams = dict(work.saved.streams) if work.saved else {}
        level = work.options.level
        found: dict[str, Any] = {"level": level, "damage": [], BANK: [], "unproven": []}
        for name, stream_id in sorted(streams.items()):
            report = self._check(DATA if level == BOOT else level).stream(stream_id, work.advance)
            found["damage"] += findings.ranges(name, report)
            found[BANK] += [flaw.to_dict() for flaw in report.flaws]
            found["unproven"] += list(report.unproven)
        if plugin.has("verify") and not found["damage"]:
            try:
                found["details"] = plugin.verify(work)
            except (errors.IntegrityError, errors.ResourceNotFound) as fault:
                found["damage"].append({"stream": None, "offset": 0, "length": None, "reason": fault.message})
            except errors.StepFailed as fault:
                found["failed"] = {"reason": fault.message, "detail": fault.detail, "next_action": fault.next_action}
                LOG.error("not proven verification=%s %s", self.verification_id, fault.operator_text())
        self._show(work.key, *findings.fate(found))
        return found

    def engine_step(self, step: Step, results: Mapping[str, Any]) -> Any:
        """Put the report together and keep it. Raises IntegrityError where anything is not as it was written."""
        if self._record is None:
            report: dict[str, Any] = {RECORD_KEY: [{"reason": self._lost}]}
            self._keep(report, {})
            raise errors.IntegrityError("The record of the checkpoint is lost.", detail=self._lost)
        found = {node.key: results.get(step_name(node.key, "verify")) or {} for node in self.graph}
        report = {key.text: entry["damage"] for key, entry in found.items() if entry.get("damage")}
        flaws = list({flaw["object"]: flaw for entry in found.values() for flaw in entry.get(BANK, ())}.values())
        damaged = list(report)
        if flaws:
            report[BANK] = flaws
        for name in ("unproven", "details", "failed"):
            told = {key.text: entry[name] for key, entry in found.items() if entry.get(name)}
            if told:
                report[name] = told
        failed = [entry["failed"] for entry in found.values() if entry.get("failed")]
        reached = [self._level(key) for key in found] + [DATA for _ in failed]
        report["level"] = min(reached, key=LEVELS.index, default=DATA)
        self._keep(report, {key.text: findings.fate(entry) for key, entry in found.items()})
        if damaged:
            self._note_damage()
            raise errors.IntegrityError(self._cause(report, damaged), next_action=_ELSEWHERE)
        if flaws:
            raise errors.IntegrityError(
                f"Every byte of the checkpoint can be read, but {len(flaws)} objects of the bank are not as written.",
                detail=", ".join(flaw["object"] for flaw in flaws[:10]),
                next_action="look at the bank with karbor-manage bank check",
            )
        if failed:
            reasons = " ".join(entry["reason"] for entry in failed[:_NAMED])
            raise errors.StepFailed(reasons, next_action=failed[0]["next_action"])
        return None

    def abandon(self, plugin: Protection, work: StepWork) -> None:
        plugin.verify_abandon(work)

    def ended_well(self, rows: Transaction) -> None:
        now = self.parts.clock.now()
        verification = rows.verifications.transition(self.verification_id, "success", finished_at=now)
        level = (verification.report or {}).get("level", LEVELS[0])
        rows.checkpoints.update(self.checkpoint_id, verified_at=now, verified_level=level)

    def ended_badly(self, rows: Transaction, reason: Reason) -> None:
        verification = rows.verifications.get(self.verification_id)
        checkpoint = rows.checkpoints.get(self.checkpoint_id, lock=True)
        # Where none of the resources is to blame, it says itself why it failed.
        reasons = verification.resources_reason or {f"Checkpoint#{self.checkpoint_id}": reason.in_words()}
        rows.verifications.transition(
            self.verification_id, "fail", resources_reason=reasons, finished_at=self.parts.clock.now()
        )
        if checkpoint.status == "available" and findings.proven(verification.report or {}):
            said = Reason(reason.resource, "verify", reason.cause, _ELSEWHERE)
            rows.checkpoints.transition(self.checkpoint_id, "error", reason=said)
            LOG.error("checkpoint is damaged checkpoint=%s cause=%s", self.checkpoint_id, reason.cause)

    def close(self) -> None:
        with self._lock:
            for check in self._checks.values():
                check.close()
            self._checks.clear()

    def _check(self, level: str) -> Check:
        """The one run of that level: resources that share content have it read once."""
        with self._lock:
            if level not in self._checks:
                self._checks[level] = self.domain.check(level)
            return self._checks[level]

    def _note_damage(self) -> None:
        """Let every host know, so that the next checkpoint of that content does not rely on what is lost."""
        try:
            for check in self._checks.values():
                check.note_damage()
        except errors.BankUnavailable as fault:  # this host knows; the report counts more than the note
            LOG.warning("damage not noted in the bank verification=%s %s", self.verification_id, fault.operator_text())

    def _level(self, key: ResourceKey) -> str:
        """How deep it was looked at: a part whose bytes were read, of a guest that came up, has come up with it."""
        level = self._asked(key)
        if level == DATA and BOOT in map(self._asked, self.graph.parents(key)):
            return BOOT
        return level

    def _asked(self, key: ResourceKey) -> str:
        options = self.options(self.plugin(key), options_for(self.parameters, key.type, key.id))
        return str(options.level)

    def _show(self, key: ResourceKey, status: str, reason: str) -> None:
        with self.parts.database.write() as rows:
            rows.jobs.check(self.job)
            rows.verifications.set_resource(self.verification_id, key.text, status, reason)

    def _keep(self, report: Mapping[str, Any], fates: Mapping[str, tuple[str, str]]) -> None:
        with self.parts.database.write() as rows:
            rows.jobs.check(self.job)
            rows.verifications.transition(
                self.verification_id,
                "in_progress",
                report=report,
                resources_status={key: status for key, (status, _) in fates.items()},
                resources_reason={key: reason for key, (_, reason) in fates.items() if reason},
            )

    def _cause(self, report: Mapping[str, Any], damaged: Sequence[str]) -> str:
        names = []
        for key in damaged[:_NAMED]:
            names.append(f"{self.graph[ResourceKey.parse(key)].resource.name}: {findings.told(report[key])}")
        more = f"; and {len(damaged) - _NAMED} more resources" if len(damaged) > _NAMED else ""
        return f"The checkpoint is damaged. {'; '.join(names)}{more}."

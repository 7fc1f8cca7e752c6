# SPDX-License-Identifier: Apache-2.0
"""How does the catalog come back from a bank alone? Checkpoints and plans as their records tell; nothing is deleted.

May be run at any time, also beside working services, and as often as anybody likes: what is there already stays as it
is.
"""

import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from karbor.db.database import Database, Transaction
from karbor.model import errors
from karbor.model.checkpoint import Checkpoint, CheckpointRecord
from karbor.model.lock import Lock
from karbor.model.page import PageRequest
from karbor.model.plan import Plan
from karbor.model.resource import Resource
from karbor.model.selection import Choice
from karbor.protection.operation import RECORD
from karbor.protection.providers import Provider
from karbor.vault.domain import Domain

_PAGE = 500
#: What is done with a checkpoint or plan. Of "kept" ones only the number is told.
KEPT, RESTORED, MENDED = "kept", "restored", "mended"
LEFT = "left alone"  # the catalog knows better, or something works on it
UNREADABLE, VANISHED = "unreadable", "vanished"


@dataclass
class Rebuilt:
    """What came of it: how many of each outcome, and each that is worth a word."""

    counts: Counter[str] = field(default_factory=Counter)
    entries: list[dict[str, str]] = field(default_factory=list)

    def note(self, outcome: str, what: str, id_: str, project_id: str, reason: str = "") -> None:
        self.counts[f"{what}s {outcome}"] += 1
        if outcome != KEPT:
            entry = {"outcome": outcome, what: id_, "project": project_id}
            self.entries.append({**entry, **({"reason": reason} if reason else {})})

    def to_dict(self) -> dict[str, Any]:
        return {"counts": dict(sorted(self.counts.items())), "entries": self.entries}


class Rebuild:
    """One rebuild of what a provider's bank holds, of all projects. ``dry_run`` only tells."""

    def __init__(self, database: Database, provider: Provider, *, dry_run: bool = False) -> None:
        self._database = database
        self._provider = provider
        self._dry_run = dry_run
        self._seen: set[str] = set()
        self._owners: set[str] = set()  # projects with checkpoints in the domain at hand: several where it is shared
        self._plans: dict[str, str] = {}  # plans that this run made, and how new the checkpoint is that they are from
        self._kept = Lock()  # what keeps the checkpoint at hand
        self._done = Rebuilt()

    def run(self) -> Rebuilt:
        """Raises BankUnavailable, KeyUnavailable (no master key), Conflict where the bank is not the one it was."""
        self._describe()
        for domain in self._provider.vault.keyring.domains():
            try:
                project_id = self._provider.vault.keyring.label(domain)
                held = self._provider.vault.named(domain)
            except errors.KeyDestroyed:
                continue  # nobody can bring back what was destroyed on purpose
            except (errors.KeyUnavailable, errors.IntegrityError) as fault:
                self._done.note(UNREADABLE, "domain", domain, "", fault.message)
                continue
            for checkpoint_id in self._ids(held):
                self._seen.add(checkpoint_id)
                self._checkpoint(project_id, held, checkpoint_id)
            for owner in () if self._dry_run else sorted(self._owners or {project_id}):
                self._database.retrying(functools.partial(_reconcile_quotas, owner))
            self._owners.clear()
        self._vanished()
        return self._done

    def _describe(self) -> None:
        """The provider itself belongs to the catalog."""
        identity = self._provider.check()

        def describe(rows: Transaction) -> None:
            known = rows.providers.bank_identity(self._provider.id)
            if known not in (None, identity):
                raise errors.Conflict(
                    "The bank is not the one that this provider used before.",
                    detail=f"was {known}, is {identity}",
                    next_action="give the bank its place back, or make a provider of its own for this one",
                )
            if not self._dry_run:
                rows.providers.put(self._provider.info)
                rows.providers.set_bank_identity(self._provider.id, identity)

        self._database.retrying(describe)

    def _ids(self, domain: Domain) -> Iterator[str]:
        after = ""
        while True:
            page = domain.records(RECORD, after, _PAGE)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1]

    def _checkpoint(self, project_id: str, domain: Domain, checkpoint_id: str) -> None:
        try:
            document = domain.get_record(RECORD, checkpoint_id)
            record = CheckpointRecord.from_dict(document)
            plan = _plan(record)
            _moment(record)
            self._kept = domain.locks_of(RECORD, checkpoint_id)
        except errors.ObjectNotFound:
            return  # deleted since it was listed
        except (errors.IntegrityError, ValueError, KeyError, TypeError) as fault:
            text = fault.message if isinstance(fault, errors.KarborError) else f"The record is not understood: {fault}"
            self._done.note(UNREADABLE, "checkpoint", checkpoint_id, project_id, text)
            return
        labels = (record.project_id, self._provider.vault.label(record.project_id))
        if record.checkpoint_id != checkpoint_id or project_id not in labels:
            reason = f"The record is that of checkpoint {record.checkpoint_id} of project {record.project_id}."
            self._done.note(UNREADABLE, "checkpoint", checkpoint_id, project_id, reason)
            return
        project_id = record.project_id
        self._owners.add(project_id)
        if self._dry_run:
            with self._database.read() as rows:
                outcome, reason, made = self._decide(rows, record, plan, change=False)
        else:
            outcome, reason, made = self._database.retrying(lambda rows: self._decide(rows, record, plan, change=True))
        if made:
            if plan.id not in self._plans:
                self._done.note(RESTORED, "plan", plan.id, project_id)
            self._plans[plan.id] = record.created_at
        self._done.note(outcome, "checkpoint", checkpoint_id, project_id, reason)

    def _decide(
        self, rows: Transaction, record: CheckpointRecord, plan: Plan, *, change: bool
    ) -> tuple[str, str, bool]:
        """(outcome, reason, whether the plan was made or made newer)."""
        try:
            row = rows.checkpoints.get(record.checkpoint_id, lock=change)
        except errors.NotFound:
            made = self._restore_plan(rows, record, plan, change=change)
            if change:
                rows.checkpoints.create(self._row(record))
                rows.checkpoints.save_resources(record.checkpoint_id, record.resources)
            return RESTORED, "", made
        outcome, reason = self._reconcile(rows, row, record, change=change)
        return outcome, reason, False

    def _reconcile(
        self, rows: Transaction, row: Checkpoint, record: CheckpointRecord, *, change: bool
    ) -> tuple[str, str]:
        if (row.project_id, row.provider_id) != (record.project_id, self._provider.id):
            return LEFT, f"The catalog has it at the provider {row.provider_id} of project {row.project_id}."
        if rows.jobs.live_for(checkpoint_id=row.id):
            return LEFT, "An operation works on it."
        if row.status == "available" and rows.checkpoints.resources(row.id) == record.resources:
            if row.lock == self._kept or row.lock.to_catalog() == self._kept.to_catalog():
                return KEPT, ""
            if change:
                rows.checkpoints.update(row.id, **self._kept.to_catalog())
            return MENDED, "The catalog did not know what keeps it."
        if row.status not in ("available", "protecting", "copying"):
            return LEFT, f"The catalog says that it is {row.status}."
        if change:  # it was committed, and nobody was left to write that down
            rows.checkpoints.save_resources(row.id, record.resources)
            names = ("graph", "extra_info", "consistency", "mode", "sizes", "base_id", "chosen", "cost")
            known = {**{name: getattr(record, name) for name in names}, **self._kept.to_catalog()}
            rows.checkpoints.transition(row.id, "available", reason=None, **known)
        return MENDED, ""

    def _restore_plan(self, rows: Transaction, record: CheckpointRecord, plan: Plan, *, change: bool) -> bool:
        """A plan comes back with the first of its checkpoints that had to be restored, as the newest of them has it.
        So one that was deleted while its checkpoints stayed does not return."""
        newest = self._plans.get(plan.id)
        if newest is not None:
            if record.created_at > newest and change:
                rows.plans.update(replace(plan, updated_at=rows.plans.get(plan.id).updated_at))
            return record.created_at > newest
        try:
            rows.plans.get(plan.id)
        except errors.NotFound:
            if change:
                rows.plans.create(plan)
            return True
        return False

    def _row(self, record: CheckpointRecord) -> Checkpoint:
        return Checkpoint(
            id=record.checkpoint_id,
            project_id=record.project_id,
            provider_id=self._provider.id,
            plan_id=record.plan["id"],
            plan=record.plan,
            status="available",
            graph=record.graph,
            extra_info=record.extra_info,
            consistency=record.consistency,
            mode=record.mode,
            sizes=record.sizes,
            base_id=record.base_id,
            source_id=record.source_id,
            chosen=record.chosen,
            cost=record.cost,
            created_at=_moment(record),
            **self._kept.to_catalog(),
        )

    def _vanished(self) -> None:
        """Tell of checkpoints that the catalog calls available and whose records are gone from the bank."""
        marker: str | None = None
        while True:
            request = PageRequest(limit=_PAGE, marker=marker, filters={"status": "available"}, sort=(("id", "asc"),))
            with self._database.read() as rows:
                page = rows.checkpoints.list(request, provider_id=self._provider.id)
            for row in page.items:
                if row.id not in self._seen and self._is_gone(row):
                    self._done.note(VANISHED, "checkpoint", row.id, row.project_id, "The bank holds no record of it.")
            if not page.full:
                return
            marker = page.items[-1].id

    def _is_gone(self, row: Checkpoint) -> bool:
        """Whether there is no record now: it may have been made since the records were listed."""
        try:
            self._provider.vault.holder(row.project_id, RECORD, row.id).get_record(RECORD, row.id)
        except errors.ObjectNotFound:
            return True
        except (errors.IntegrityError, errors.KeyUnavailable):
            return False  # it is there, and was told of already
        return False


def _reconcile_quotas(project_id: str, rows: Transaction) -> None:
    rows.quotas.reconcile(project_id)


def _moment(record: CheckpointRecord) -> datetime:
    return datetime.fromisoformat(record.created_at).replace(tzinfo=UTC)


def _plan(record: CheckpointRecord) -> Plan:
    kept = record.plan
    return Plan(
        id=kept["id"],
        project_id=record.project_id,
        name=kept["name"],
        provider_id=kept["provider_id"],
        resources=tuple(Resource.from_dict(entry) for entry in kept["resources"]),
        parameters=kept.get("parameters") or {},
        selection=tuple(map(Choice.from_dict, kept.get("selection") or ())),
        created_at=_moment(record),
    )

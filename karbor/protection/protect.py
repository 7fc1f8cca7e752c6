# SPDX-License-Identifier: Apache-2.0
"""How is a checkpoint made: from the live inventory to a record in the bank that was read back?"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from karbor.common.clock import iso
from karbor.db.database import Transaction
from karbor.db.jobs import FLOW_KEY
from karbor.model import errors
from karbor.model.checkpoint import CONSISTENCY, Checkpoint, CheckpointRecord, Reason, SavedResource, Sizes
from karbor.model.graph import ResourceGraph
from karbor.model.plan import options_for
from karbor.model.resource import ResourceKey
from karbor.protection import costs, flows, leftovers
from karbor.protection.flows import Step, step_name
from karbor.protection.lock import lock_for
from karbor.protection.operation import HOSTS, LOG, RECORD, Operation
from karbor.protection.originals import kept_origins
from karbor.protection.work import StepWork
from karbor.sdk.protection import EarlierPoint, Protected, Protection
from karbor.vault.keeper import Keeper


@dataclass(frozen=True)
class _Written:
    """A stream as the vault's read-back wants it."""

    id: str
    packs: tuple[str, ...]


class ProtectOperation(Operation):
    """Makes one checkpoint."""

    _keeper: Keeper | None = None

    def plan(self) -> Sequence[Step]:
        with self.parts.database.read() as rows:
            checkpoint = rows.checkpoints.get(self.checkpoint_id)
        self.parameters = checkpoint.plan.get("parameters", {})
        if checkpoint.graph is None or not self.job.payload.get(FLOW_KEY):  # a new attempt looks at what is there now
            self.provider.bank.identity()  # a bank that is gone shows here, before a guest is touched
            self._look(checkpoint)
        else:
            self.graph = ResourceGraph.from_dict(checkpoint.graph)
        self.begin_writing()
        _uses, batches = self._uses()
        return self.remember_first_steps(flows.protect_steps(self.graph, self.has, batches))

    def _look(self, checkpoint: Checkpoint) -> None:
        """Find out what there is to be protected, and whether it fits into the quotas of the project."""
        if self.open_cloud is not None:  # what earlier jobs left counts against the quotas, too
            leftovers.sweep(self.parts.database, self.open_cloud, self.provider.protections)
        seen = self.parts.protectables.for_caller(self.open_cloud)
        chosen = seen.choose(self.job.project_id, checkpoint.plan)
        self.graph = seen.graph_below(self.job.project_id, chosen.roots)
        for node in self.graph:
            self.plugin(node.key)  # raises for a type that this provider cannot protect
        items = costs.costed(*self._uses(), self.open_cloud)
        hosts = self._hosts()
        with self.parts.database.write() as rows:
            self.control.job = rows.jobs.set_payload(self.control.job, **{HOSTS: hosts})
            why = chosen.to_dict() if checkpoint.plan.get("selection") else None
            cost = [item.to_dict() for item in items]
            rows.checkpoints.update(checkpoint.id, graph=self.graph.to_dict(), chosen=why, cost=cost)
        refusal = costs.refusal(items)
        if refusal is not None:
            raise refusal

    def _uses(self) -> tuple[costs.Uses, costs.Batches]:
        uses = costs.uses_of(self.graph, self.plugin, self.parameters)
        return uses, costs.batches_of(self.graph, self.plugin, uses, self.parts.max_passing)

    def _hosts(self) -> dict[str, str]:
        """The host of each resource whose steps another worker has to do."""
        others = self.parts.hosts.others() if self.parts.hosts is not None else ()
        if self.parts.hosts is None or not others:
            return {}
        own, found = self.parts.hosts.own, {}
        for node in self.graph:
            plugin = self.plugin(node.key)
            if plugin.has("host"):
                host = plugin.host(self._work(node.key, {}), [own, *others])
                if host and host != own:
                    found[node.key.text] = host
        return found

    def join(self, earlier: Operation | None, *, storing: bool) -> None:
        """See Operation."""
        if earlier is None:
            with self.parts.database.read() as rows:
                checkpoint = rows.checkpoints.get(self.checkpoint_id)
            self.parameters = checkpoint.plan.get("parameters", {})
            self.graph = ResourceGraph.from_dict(checkpoint.graph or {"nodes": []})
        else:
            self.share(earlier)
        if storing and self.borrowed is None:
            self.borrowed = self.domain.borrow(self.job.id, fence=self.job.fence)

    def begin_writing(self) -> None:
        """Take the write lease in the bank, or take it over from the worker that had this job before.

        Raises Conflict where the bank was cleaned up meanwhile: what the job had stored is not safe any more.
        """
        self.lease = self.domain.lease(self.job.id, fence=self.job.fence, record=(RECORD, self.checkpoint_id))
        self._keeper = Keeper(self.lease, every=self.provider.vault.terms.term / 12)
        self._keeper.start()

    def close(self) -> None:
        if self._keeper is not None:
            self._keeper.stop()

    def _end_writing(self, *, committed: bool) -> None:
        """What fails here mends itself when the lease runs out."""
        self.close()
        try:
            if self.lease is not None:
                self.lease.end(committed=committed)
            else:  # this attempt did not get that far, but an earlier one may have
                self.domain.end_lease(self.job.id, (RECORD, self.checkpoint_id))
        except errors.KarborError as fault:
            LOG.warning("write lease not ended job=%s %s", self.job.id, fault.operator_text())

    def options(self, plugin: Protection, values: Mapping[str, Any]) -> Any:
        return plugin.Protect.parse(values)

    def wishes(self, key: ResourceKey) -> frozenset[str]:
        plugin = self.plugin(key)
        given = self.options(plugin, options_for(self.parameters, key.type, key.id))
        return plugin.wishes(self.graph[key].resource, given)

    def earlier(self, key: ResourceKey) -> Sequence[EarlierPoint]:
        with self.parts.database.read() as rows:
            found = rows.checkpoints.earlier(
                project_id=self.job.project_id, provider_id=self.job.provider_id, key=key.text
            )
        return [EarlierPoint(checkpoint_id, saved) for checkpoint_id, saved in found]

    def resource_step(self, step: Step, plugin: Protection, work: StepWork) -> Any:
        if step.phase != "protect":
            return getattr(plugin, step.phase)(work)
        done: Protected = plugin.protect(work)
        plugin.Saved.parse(done.saved)
        return {
            "saved": dict(done.saved),
            "streams": {name: info.to_dict() for name, info in done.streams.items()},
            "logical": done.logical_bytes,
            "mode": done.mode,
            "base_id": done.base_id,
            "consistency": done.consistency,
        }

    def remember_first_steps(self, steps: Sequence[Step]) -> Sequence[Step]:
        """See Operation. Whoever protects in a cloud looks at the stacks of the user, too."""
        protects = any(step.phase == "protect" for step in steps)
        if protects and self.open_cloud is not None and any(self.plugin(node.key).acts_in_cloud for node in self.graph):
            steps = flows.with_origins(steps)
        return super().remember_first_steps(steps)

    def engine_step(self, step: Step, results: Mapping[str, Any]) -> Any:
        if step.phase == flows.ORIGINS:
            return kept_origins(self.open_cloud, self.graph)
        if step.phase == flows.READ_BACK:
            return self._read_back(self._protected(results))
        return self._commit(self._protected(results), (results.get(flows.ORIGINS) or {}).get("stacks") or ())

    def abandon(self, plugin: Protection, work: StepWork) -> None:
        plugin.abandon(work)

    def done_after_all(self) -> bool:
        """Where there is a record, everything was read back before it was put, and the checkpoint is complete."""
        with self.parts.database.read() as rows:
            if rows.checkpoints.get(self.checkpoint_id).status == "available":
                return True
        try:
            record = CheckpointRecord.from_dict(self.domain.get_record(RECORD, self.checkpoint_id))
        except errors.NotFound:
            return False
        except errors.KarborError as fault:
            LOG.warning("not known whether there is a record job=%s %s", self.job.id, fault.operator_text())
            return False
        self._publish(record)
        return True

    def ended_well(self, rows: Transaction) -> None:
        """Nothing is left to show: the checkpoint is available since it was published."""

    def ended_badly(self, rows: Transaction, reason: Reason) -> None:
        rows.checkpoints.transition(self.checkpoint_id, "error", reason=reason, finished_at=self.parts.clock.now())

    def let_go(self, *, well: bool) -> None:
        self._end_writing(committed=well)

    def _protected(self, results: Mapping[str, Any]) -> dict[ResourceKey, Any]:
        return {node.key: results[step_name(node.key, "protect")] for node in self.graph}

    def _read_back(self, protected: Mapping[ResourceKey, Any]) -> None:
        written = [
            _Written(info["id"], tuple(info["packs"]))
            for done in protected.values()
            for info in done["streams"].values()
        ]
        if not written:
            return
        try:
            self.domain.read_back(written, lambda _nbytes: self.control.check())
        except (errors.IntegrityError, errors.ObjectNotFound) as fault:
            raise errors.WrittenBadly(detail=fault.detail) from fault

    def _commit(self, protected: Mapping[ResourceKey, Any], stacks: Sequence[Mapping[str, Any]]) -> None:
        with self.parts.database.read() as rows:
            rows.jobs.check(self.job)
            checkpoint = rows.checkpoints.get(self.checkpoint_id)
        record = self._record(checkpoint, protected)
        record = replace(record, stacks=stacks) if stacks else record
        try:
            wanted = lock_for(self.provider.lock, checkpoint.plan, self.parts.clock.now())
            self.domain.put_record(RECORD, record.checkpoint_id, record.to_dict(), lease=self.lease, lock=wanted)
            self._publish(CheckpointRecord.from_dict(self.domain.get_record(RECORD, record.checkpoint_id)))
        except errors.LeaseLost:
            self._take_back()
            raise
        except errors.IntegrityError:  # the record itself is not what was put: it would only be in the way of clean-up
            with self.parts.database.read() as rows:
                rows.jobs.check(self.job)
            self._remove_record()
            raise

    def _take_back(self) -> None:
        """The job was lost between the look at the fence and the put. Where it was given up, nobody will say that the
        record does not count; where another worker has it, or ended it well, the record is that worker's."""
        with self.parts.database.read() as rows:
            given_up = rows.jobs.get(self.job.id).state == "failed"
        if given_up:
            self._remove_record()

    def _remove_record(self) -> None:
        try:
            self.domain.delete_record(RECORD, self.checkpoint_id)
        except errors.CheckpointLocked as fault:  # a catalog that is rebuilt knows it again
            LOG.warning("record left in the bank job=%s %s", self.job.id, fault.operator_text())

    def _publish(self, record: CheckpointRecord) -> None:
        """Write into the catalog what the record in the bank says, and what keeps it there."""
        kept = self.domain.settle_locks(RECORD, record.checkpoint_id)
        with self.parts.database.write() as rows:
            rows.jobs.check(self.job)
            rows.checkpoints.save_resources(record.checkpoint_id, record.resources)
            rows.checkpoints.transition(
                record.checkpoint_id,
                "available",
                consistency=record.consistency,
                mode=record.mode,
                sizes=record.sizes,
                extra_info=record.extra_info,
                base_id=record.base_id,
                **kept.to_catalog(),
                reason=None,
                finished_at=self.parts.clock.now(),
            )

    def _record(self, checkpoint: Checkpoint, protected: Mapping[ResourceKey, Any]) -> CheckpointRecord:
        """The record; made from kept results only, so that a repeated commit writes the same bytes."""
        infos = [info for done in protected.values() for info in done["streams"].values()]
        assert checkpoint.created_at is not None  # every row has one
        return CheckpointRecord(
            checkpoint_id=checkpoint.id,
            project_id=checkpoint.project_id,
            provider_id=checkpoint.provider_id,
            plan=checkpoint.plan,
            graph=self.graph.to_dict(),
            resources=tuple(self._saved(key, done) for key, done in protected.items()),
            created_at=iso(checkpoint.created_at),
            extra_info=checkpoint.extra_info,
            chosen=checkpoint.chosen,
            cost=checkpoint.cost,
            consistency=_weakest(done["consistency"] for done in protected.values()),
            mode="incremental" if any(done["mode"] == "incremental" for done in protected.values()) else "full",
            sizes=Sizes(
                logical=sum(done["logical"] for done in protected.values()),
                read=sum(info["bytes_read"] for info in infos),
                stored=sum(info["bytes_stored"] for info in infos),
            ),
        )

    def _saved(self, key: ResourceKey, done: Mapping[str, Any]) -> SavedResource:
        return SavedResource(
            key=key.text,
            plugin=self.provider.plugin_name(key.type),
            saved=done["saved"],
            streams={name: info["id"] for name, info in done["streams"].items()},
            consistency=done["consistency"] or "crash",
            mode=done["mode"] or "full",
            base_id=done["base_id"],
        )


def _weakest(levels: Iterable[str | None]) -> str:
    """The weakest level that any resource reached; those that have no say are left out."""
    known = [CONSISTENCY.index(level) for level in levels if level is not None]
    return CONSISTENCY[min(known)] if known else CONSISTENCY[0]


def require_record(domain: Any, checkpoint_id: str) -> CheckpointRecord:
    """The record of a checkpoint. Raises IntegrityError where the catalog knows it and the bank does not."""
    try:
        return CheckpointRecord.from_dict(domain.get_record(RECORD, checkpoint_id))
    except errors.ObjectNotFound as fault:
        raise errors.IntegrityError(
            "The bank does not hold this checkpoint any more.",
            detail=fault.operator_text(),
            next_action="check that the bank is the one that the provider used before",
        ) from fault
    except (ValueError, KeyError) as fault:
        raise errors.IntegrityError(
            "The record of this checkpoint cannot be read by this release.", detail=str(fault)
        ) from fault

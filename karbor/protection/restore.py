# SPDX-License-Identifier: Apache-2.0
"""How is a checkpoint brought back? By the graph and the saved data in its record, never by today's inventory."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from karbor.clients.sealedparameters import opened
from karbor.db.database import Transaction
from karbor.heat.options import STACK_TYPE, StackOptions
from karbor.model import errors
from karbor.model.checkpoint import CheckpointRecord, Reason, SavedResource
from karbor.model.graph import ResourceGraph
from karbor.model.plan import options_for
from karbor.model.resource import ResourceKey
from karbor.model.restore import Restore
from karbor.protection import flows, originals
from karbor.protection.flows import Step
from karbor.protection.operation import Operation, reason_of
from karbor.protection.protect import require_record
from karbor.protection.restoreplan import LookAhead, given_map, names_in
from karbor.protection.restorescope import scoped
from karbor.protection.stackstep import StackStep, builder_for, parts_of
from karbor.protection.work import Mapped, StepWork
from karbor.protection.world import World
from karbor.sdk.mapping import OldNames
from karbor.sdk.protection import Protection, Restored

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud

_REPLACED = "It was replaced in place; what it held before is gone."


class RestoreOperation(Operation):
    """Brings one checkpoint back."""

    _record: CheckpointRecord
    _names: OldNames
    _open_target: "Callable[[], Cloud] | None" = None  # the cloud that the user named, where that is not ours

    def plan(self) -> Sequence[Step]:
        with self.parts.database.read() as rows:
            restore = rows.restores.get(self.restore_id, project_id=None)
            self._open_target = self._target(restore, rows.restores.login(self.restore_id))
        self.parameters = self._opened(restore)
        self._record = require_record(self.domain, self.checkpoint_id)
        self.graph = scoped(ResourceGraph.from_dict(self._record.graph), restore.parameters)
        self._names = names_in(self.provider, self._record)
        through_heat = any(self.plugin(node.key).through_heat for node in self.graph)
        return self.remember_first_steps(flows.restore_steps(self.graph, self.has, through_heat=through_heat))

    def _target(self, restore: Restore, sealed: str | None) -> "Callable[[], Cloud] | None":
        clouds = self.parts.clouds
        if sealed and clouds is not None:
            return clouds.of_login(self.restore_id, sealed)
        if restore.restore_target and not self.job.trust_id:  # never into another cloud than the one that was named
            raise errors.KeyUnavailable("This worker does not know how to log in at the target of the restore.")
        return None

    def _opened(self, restore: Restore) -> Mapping[str, Mapping[str, Any]]:
        """Its parameters as the user gave them, in memory only."""
        clouds = self.parts.clouds
        return opened(restore.parameters, restore.id, clouds.opened) if clouds is not None else restore.parameters

    def cloud_opener(self, check: Callable[[], None]) -> "Callable[[], Cloud] | None":
        opener = self._open_target
        return super().cloud_opener(check) if opener is None else lambda: opener().watched(check)

    def options(self, plugin: Protection, values: Mapping[str, Any]) -> Any:
        return plugin.Restore.parse(values)

    def saved(self, key: ResourceKey) -> SavedResource | None:
        return self._record.resource(key.text)

    def resource_step(self, step: Step, plugin: Protection, work: StepWork) -> Any:
        if step.phase != "restore":
            return getattr(plugin, step.phase)(work)
        replaces = plugin.restore_replaces(work)
        if replaces:
            self._show(work.key.type, work.key.id, "restoring", replaces)
        done: Restored = plugin.restore(work)
        if done.new_id:
            self._show(work.key.type, done.new_id, "available", _REPLACED if replaces else "")
        parts = [part.to_dict() for part in done.template]
        return {"new_id": done.new_id, "result": dict(done.result), **({"template": parts} if parts else {})}

    def engine_step(self, step: Step, results: Mapping[str, Any]) -> Any:
        """Check: whether all of it can be. Stack: what the plug-ins left to Heat. Finish: every resource is there;
        ``ended_well`` writes the rows."""
        if step.phase == flows.CHECK:
            return self._check()
        if step.phase != flows.STACK or not any(parts_of(results)):
            return None
        return self._stack(self.control.check).build(results, description=self._description)

    def _check(self) -> dict[str, Any]:
        """Look ahead, as a dry run does, before anything is built. What is in the way is shown with what it concerns.

        Returns what the mapping means here: it is found out once, whatever becomes of the worker.
        """
        opener = self.cloud_opener(self.control.check)
        found = LookAhead(self.provider, self._record, self.domain, self.control, self.parameters, opener).look()
        texts: dict[tuple[str, str], list[str]] = {}
        for about, refusal in found.conflicts:
            reason = reason_of(refusal, resource="", step=flows.CHECK)
            texts.setdefault((about.type, about.id), []).append(_text(reason.cause, reason))
        for (type_, id_), told in texts.items():
            self._show(type_, id_, "error", " ".join(told))
        if found.conflicts:
            raise found.conflicts[0][1]
        return {"resolved": {kind: dict(known) for kind, known in found.resolved.items()}}

    def mapped(self, results: Mapping[str, Any]) -> Mapped:
        known = (results.get(flows.CHECK) or {}).get("resolved") or {}
        return World(given_map(self.parameters), self._names, known).mapped

    def undo_engine_step(self, step: Step, results: Mapping[str, Any]) -> None:
        if step.phase == flows.STACK and self.open_cloud is not None and not self._keeps:
            self._stack(self.control.check_ours).remove(results, description=self._description)

    def abandon(self, plugin: Protection, work: StepWork) -> None:
        if not (plugin.through_heat and self._keeps):
            plugin.restore_abandon(work)

    @functools.cached_property
    def _stack_options(self) -> StackOptions:
        return StackOptions.parse(options_for(self.parameters, STACK_TYPE, ""))

    @property
    def _keeps(self) -> bool:
        """Whether what was built stays when the restore fails."""
        return self._stack_options.on_failure == "keep"

    @property
    def _description(self) -> str:
        return f"Restore of checkpoint {self.checkpoint_id}"

    def _stack(self, check: Callable[[], None]) -> StackStep:
        open_cloud = self.cloud_opener(check)
        if open_cloud is None:
            raise errors.NotSupported("This restore needs a cloud, and has no right to act in one.")
        cloud = open_cloud()

        def put(container: str, name: str, content: bytes) -> None:
            cloud.object_store.put(f"/{quote(container)}")
            cloud.object_store.put(f"/{quote(container)}/{quote(name)}", data=content)

        options, id_, clock = self._stack_options, self.restore_id, self.parts.clock
        builder = builder_for(cloud, options, id_, clock, check)
        own = originals.Originals(cloud, originals.wanted(self._record, options), options, id_, clock, check)
        return StackStep(builder, options, id_, show=self._show, put=put, originals=own, hide=self._hide)

    def failed(self, step: Step, fault: BaseException) -> None:
        super().failed(step, fault)
        if step.key is not None:
            reason = reason_of(fault, resource="", step=step.phase)
            text = _text(reason.cause, reason)
            with self.parts.database.read() as rows:
                replaces = _standing(rows.restores.get(self.restore_id), f"{step.key.type}#{step.key.id}")
            self._show(step.key.type, step.key.id, "error", f"{text} {replaces}" if replaces else text)

    def ended_well(self, rows: Transaction) -> None:
        rows.restores.transition(self.restore_id, "success", finished_at=self.parts.clock.now())

    def ended_badly(self, rows: Transaction, reason: Reason) -> None:
        text = _text(f"{reason.step}: {reason.cause}", reason)
        what = "It was kept as it was" if self._keeps else "It was removed again"
        restore = rows.restores.get(self.restore_id)
        for key, status in restore.resources_status.items():
            if status in ("available", "restoring"):  # it was, until everything was undone
                because = f"because {reason.resource or 'the restore'} failed."
                replaced = _standing(restore, key)
                fate = f"{replaced} The restore did not end well, {because}" if replaced else f"{what}, {because}"
                rows.restores.set_resource(self.restore_id, key, "error", fate)
        if not reason.resource:
            rows.restores.set_resource(self.restore_id, f"Checkpoint#{self.checkpoint_id}", "error", text)
        rows.restores.transition(self.restore_id, "fail", finished_at=self.parts.clock.now())

    def tell(self, type_: str, id_: str, status: str, text: str) -> None:
        self._show(type_, id_, status, text)

    def _hide(self, type_: str, id_: str) -> None:
        with self.parts.database.write() as rows:
            rows.jobs.check(self.job)
            rows.restores.drop_resource(self.restore_id, f"{type_}#{id_}")

    def _show(self, type_: str, id_: str, status: str, reason: str = "") -> None:
        with self.parts.database.write() as rows:
            rows.jobs.check(self.job)
            rows.restores.set_resource(self.restore_id, f"{type_}#{id_}", status, reason)


def _standing(restore: Restore, key: str) -> str:
    """What is shown of a resource that is replaced for good, or was; empty for others."""
    shown = restore.resources_status.get(key) in ("restoring", "available")
    return restore.resources_reason.get(key, "") if shown else ""


def _text(cause: str, reason: Reason) -> str:
    return cause + (f" Next: {reason.next_action}." if reason.next_action else "")

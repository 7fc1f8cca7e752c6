# SPDX-License-Identifier: Apache-2.0
"""What would a restore do now? Asked of the same plug-ins that would do it, in the same order; nothing is changed."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from karbor.common.clock import Clock
from karbor.model import errors
from karbor.model.checkpoint import RECORD
from karbor.model.graph import ResourceGraph
from karbor.model.operation import Job
from karbor.model.plan import options_for
from karbor.model.resource import ResourceKey
from karbor.protection.control import Control
from karbor.protection.flows import step_name
from karbor.protection.protect import require_record
from karbor.protection.providers import Provider
from karbor.protection.work import StepWork
from karbor.sdk.protection import RestorePlan

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud

NO_ID = "00000000-0000-0000-0000-000000000000"  # of the operation that does not exist


def plan_restore(
    provider: Provider,
    *,
    project_id: str,
    checkpoint_id: str,
    parameters: Mapping[str, Mapping[str, Any]],
    clock: Clock,
    open_cloud: "Callable[[], Cloud] | None" = None,
) -> dict[str, Any]:
    """``{"creates", "replaces", "keeps", "conflicts", "warnings", "untold", "bytes"}``, all but ``bytes`` lists.

    Each entry names the ``type`` and ``id`` of the resource in the checkpoint. Whatever would make the restore fail as
    things stand is a conflict, a damaged record among them. ``untold`` are resources whose plug-in cannot tell in
    advance. Raises only what may pass: BankUnavailable, KeyUnavailable, HypervisorUnavailable.
    """
    found = _Found()
    domain = provider.vault.holder(project_id, RECORD, checkpoint_id)
    try:
        record = require_record(domain, checkpoint_id)
    except errors.IntegrityError as refusal:
        found.conflict(ResourceKey("Checkpoint", checkpoint_id), refusal)
        return found.answer
    graph = ResourceGraph.from_dict(record.graph)
    job = Job(NO_ID, "restore", project_id, provider.id, checkpoint_id=checkpoint_id)
    control = Control(job, clock=clock)
    results: dict[str, Any] = {}
    for node in reversed(list(graph)):
        key = node.key
        try:
            plugin = provider.protection(key.type)
            options = plugin.Restore.parse(options_for(parameters, key.type, key.id))
            saved = record.resource(key.text)
            work = StepWork(
                job,
                control,
                graph,
                key,
                domain=domain,
                options=options,
                results=results,
                saved=saved,
                open_cloud=open_cloud,
            )
            if plugin.has("restore_plan"):
                plan = plugin.restore_plan(work)
                results[step_name(key, "restore_prepare")] = plan.decided
                found.plan(key, plan)
            else:
                found.untold(key, node.resource.name)
        except errors.Unavailable:
            raise
        except errors.KarborError as refusal:
            found.conflict(key, refusal)
    return found.answer


class _Found:
    """Gathers the answer."""

    def __init__(self) -> None:
        lists = ("creates", "replaces", "keeps", "conflicts", "warnings", "untold")
        self.answer: dict[str, Any] = {**{name: [] for name in lists}, "bytes": 0}

    def plan(self, key: ResourceKey, plan: RestorePlan) -> None:
        self._entries("creates", key, plan.creates)
        self._entries("replaces", key, plan.replaces)
        self._entries("keeps", key, plan.keeps)
        for refusal in plan.conflicts:
            self.conflict(key, refusal)
        self.answer["warnings"] += [{**_of(key), "reason": text} for text in plan.warnings]
        self.answer["bytes"] += plan.bytes

    def conflict(self, key: ResourceKey, refusal: errors.KarborError) -> None:
        entry = {**_of(key), "reason": refusal.message, "next_action": refusal.next_action}
        self.answer["conflicts"].append(entry)

    def untold(self, key: ResourceKey, name: str) -> None:
        self.answer["untold"].append({**_of(key), "name": name, "place": None})

    def _entries(self, what: str, key: ResourceKey, entries: Sequence[Mapping[str, str]]) -> None:
        self.answer[what] += [{**_of(key), "name": e["name"], "place": e.get("place")} for e in entries]


def _of(key: ResourceKey) -> dict[str, str]:
    return {"type": key.type, "id": key.id}

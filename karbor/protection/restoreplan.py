# SPDX-License-Identifier: Apache-2.0
"""What would a restore do now? Asked of the same plug-ins that would do it, in the same order; nothing is changed.

A dry run shows the answer. A restore into a cloud asks the same before it begins, and begins nothing where anything is
in the way.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from karbor.common.clock import Clock
from karbor.heat.options import STACK_TYPE, StackOptions
from karbor.model import errors
from karbor.model.checkpoint import RECORD, CheckpointRecord
from karbor.model.graph import ResourceGraph
from karbor.model.mapping import MAPPING_TYPE, NAMES
from karbor.model.operation import Job
from karbor.model.plan import options_for
from karbor.model.resource import ResourceKey
from karbor.protection import originals
from karbor.protection.control import Control
from karbor.protection.flows import step_name
from karbor.protection.outlook import Entry, Outlook
from karbor.protection.protect import require_record
from karbor.protection.providers import Provider
from karbor.protection.restorescope import SCOPE_TYPE, scoped
from karbor.protection.stackstep import builder_for
from karbor.protection.target import Target
from karbor.protection.templatecheck import Part, check_template
from karbor.protection.work import StepWork
from karbor.protection.world import World, merged
from karbor.sdk.mapping import OldNames, WorldMap
from karbor.sdk.template import HeatParameter
from karbor.vault.domain import Domain

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud

NO_ID = "00000000-0000-0000-0000-000000000000"  # of the operation that does not exist
#: Kinds without which nothing can be built and that nobody chooses another one for. What a template refers to is looked
#: at when it is put together; for flavors, key pairs and server groups the plug-ins have rules of their own.
_DATABASE = "OS::Trove::Instance"  # of whose flavors nobody chooses the nearest one
NEEDED = ("volume_type", "availability_zone", "share_type", "share_network")


def plan_restore(
    provider: Provider,
    *,
    project_id: str,
    checkpoint_id: str,
    parameters: Mapping[str, Mapping[str, Any]],
    clock: Clock,
    open_cloud: "Callable[[], Cloud] | None" = None,
) -> dict[str, Any]:
    """The ``answer`` of an Outlook.

    Whatever would make the restore fail as things stand is a conflict, a damaged record among them. Raises only what
    may pass: BankUnavailable, KeyUnavailable, HypervisorUnavailable.
    """
    domain = provider.vault.holder(project_id, RECORD, checkpoint_id)
    try:
        record = require_record(domain, checkpoint_id)
    except errors.IntegrityError as refusal:
        found = Outlook()
        found.conflict(ResourceKey("Checkpoint", checkpoint_id), refusal)
        return found.answer
    job = Job(NO_ID, "restore", project_id, provider.id, checkpoint_id=checkpoint_id)
    ahead = LookAhead(provider, record, domain, Control(job, clock=clock), parameters, open_cloud)
    return ahead.look().answer


def given_map(parameters: Mapping[str, Mapping[str, Any]]) -> WorldMap:
    """The mapping among the parameters of a restore. Raises InvalidInput."""
    return WorldMap.parse(options_for(parameters, MAPPING_TYPE, ""))


def names_in(provider: Provider, record: CheckpointRecord) -> OldNames:
    """The names that things had, as far as the resources of this record tell. Of a resource that the provider has no
    plug-in for nothing is known."""
    found = []
    for node in ResourceGraph.from_dict(record.graph):
        saved = record.resource(node.key.text)
        with contextlib.suppress(errors.InvalidInput):
            if saved is not None:
                found.append(provider.protection(node.key.type).old_names(saved))
    return merged(found)


class LookAhead:
    """One look at what a restore of a checkpoint would do. ``control`` belongs to whoever asks; its job says for which
    project and checkpoint."""

    def __init__(
        self,
        provider: Provider,
        record: CheckpointRecord,
        domain: Domain,
        control: Control,
        parameters: Mapping[str, Mapping[str, Any]],
        open_cloud: "Callable[[], Cloud] | None",
    ) -> None:
        self._provider, self._record, self._domain = provider, record, domain
        self._control, self._parameters, self._open_cloud = control, parameters, open_cloud
        self._graph = ResourceGraph(())
        self._target = Target(open_cloud) if open_cloud is not None else None
        self._found = Outlook()
        self._parts: list[Part] = []
        self._unclear: list[ResourceKey] = []  # those of which no part of a template is known

    def look(self) -> Outlook:
        """What there is to be told. Raises Unavailable."""
        try:
            self._graph = scoped(ResourceGraph.from_dict(self._record.graph), self._parameters)
        except errors.InvalidInput as refusal:
            self._found.conflict(Entry("only", SCOPE_TYPE), refusal)
        world = self._world()
        results: dict[str, Any] = {}
        for node in reversed(list(self._graph)):
            self._control.check()
            try:
                self._plan(node.key, node.resource.name, world, results)
            except errors.Unavailable:
                raise
            except errors.KarborError as refusal:
                self._found.conflict(node.key, refusal)
                self._unclear.append(node.key)
        self._look_at_stacks()
        if self._target is not None:
            self._check_needed(world, self._target)
            check_template(self._parts, self._unclear, world, self._target, self._found)
        for kind, old in world.unused():
            self._found.warning(Entry(f"{kind}/{old}"), "Nothing in this restore asks for it.")
        return self._found

    def _look_at_stacks(self) -> None:
        """The user's own stacks that would be made again."""
        try:
            options = StackOptions.parse(options_for(self._parameters, STACK_TYPE, ""))
            stacks = originals.wanted(self._record, options)
            if self._open_cloud is None or not self._parts:
                return
            cloud, clock, check = self._open_cloud(), self._control.clock, self._control.check
            builder_for(cloud, options, NO_ID, clock, check)
            if not stacks:
                return
            own = originals.Originals(cloud, stacks, options, NO_ID, clock, check)
            conflicts = own.refusals(self._graph)
        except (errors.InvalidInput, errors.NotSupported) as refusal:
            self._found.conflict(Entry("", STACK_TYPE), refusal)
            return
        for origin, reason in conflicts:
            self._found.conflict(Entry(origin.id, STACK_TYPE), reason)
        division = own.divide([one.part for one in self._parts])
        for origin in own.touched(division) if not conflicts else ():
            about, name = Entry(origin.id, STACK_TYPE), own.told_name(origin)
            self._found.creates(about, name)
            if name != origin.name:
                self._found.warning(about, f"There is a stack {origin.name}: another one is made beside it.")
        left = {part.original_id: part for part in (*division.before, *division.after)}
        left |= {id_: HeatParameter(id_, "", "Made by a stack of yours") for id_ in division.own}
        self._parts = [
            replace(one, part=left[one.part.original_id]) for one in self._parts if one.part.original_id in left
        ]

    def _world(self) -> World:
        """The mapping, with what its entries mean in the target; an entry that means nothing there is a conflict."""
        try:
            given = given_map(self._parameters)
        except errors.InvalidInput as refusal:
            self._found.conflict(Entry(""), refusal)
            given = WorldMap()
        resolved: dict[str, dict[str, str]] = {}
        for kind, entries in given.entries.items():
            for old, new in entries.items():
                if kind == NAMES or self._target is None:
                    continue
                try:
                    resolved.setdefault(kind, {})[new] = self._target.resolve(kind, new)
                except errors.Unavailable:
                    raise
                except errors.KarborError as refusal:
                    self._found.conflict(Entry(f"{kind}/{old}"), refusal)
        self._found.resolved = resolved
        return World(given, names_in(self._provider, self._record), resolved)

    def _plan(self, key: ResourceKey, name: str, world: World, results: dict[str, Any]) -> None:
        plugin = self._provider.protection(key.type)
        if not plugin.has("restore_plan"):
            self._found.untold(key, name)
            self._unclear.append(key)
            return
        work = StepWork(
            self._job(),
            self._control,
            self._graph,
            key,
            domain=self._domain,
            options=plugin.Restore.parse(options_for(self._parameters, key.type, key.id)),
            results=results,
            saved=self._record.resource(key.text),
            open_cloud=self._open_cloud,
            mapped=world.mapped,
        )
        plan = plugin.restore_plan(work)
        results[step_name(key, "restore_prepare")] = plan.decided
        self._found.plan(key, plan)
        self._parts += [Part(key, name, part) for part in plan.template]
        if plan.conflicts:
            self._unclear.append(key)

    def _job(self) -> Job:
        own = self._control.job
        return Job(NO_ID, "restore", own.project_id, own.provider_id, checkpoint_id=own.checkpoint_id)

    def _check_needed(self, world: World, target: Target) -> None:
        told = set()
        for asked in world.asked:
            one = (asked.key, asked.kind, asked.new)
            needed = asked.kind in NEEDED or (asked.kind == "flavor" and asked.key.type == _DATABASE)
            if not needed or not asked.new or one in told:
                continue
            told.add(one)
            if not target.has(asked.kind, asked.new, asked.key.type):
                word = asked.kind.replace("_", " ")
                self._found.conflict(
                    asked.key,
                    errors.Conflict(
                        f"There is no {word} {asked.new!r} here.",
                        next_action=f'name one under "{asked.kind}" in {MAPPING_TYPE}, such as '
                        f'{{"{asked.kind}": {{"{asked.old}": "..."}}}}',
                    ),
                )

# SPDX-License-Identifier: Apache-2.0
"""Which stacks of the user does a restore make again, under which names, and how are they taken back?"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from karbor.clients.heat import HeatStacks
from karbor.clients.stacks import BuiltResource, StackState
from karbor.common.clock import Clock
from karbor.common.redact import Redactor
from karbor.common.waiting import wait_for
from karbor.heat.building import Report
from karbor.heat.division import Division, Part, divided
from karbor.heat.options import StackOptions
from karbor.heat.original import VOLUME, RebuiltTemplate, brought_back, linked, rebuilt, refusals
from karbor.heat.origins import Origin, origins
from karbor.heat.serverkinds import Volume
from karbor.heat.stack import StackBuilder
from karbor.model import errors
from karbor.model.checkpoint import CheckpointRecord
from karbor.model.graph import ResourceGraph
from karbor.sdk.template import HeatParameter

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud

LOG = logging.getLogger(__name__)
_NETWORKS = "OS::Neutron::Network"
_REMOVAL = 1800.0  # seconds that the removal of one volume may take


def wanted(record: CheckpointRecord, options: StackOptions) -> list[Origin]:
    """The stacks that a restore of this checkpoint makes again, as the user wants it."""
    return [Origin.from_dict(one) for one in record.stacks or ()] if options.rebuild_stacks == "yes" else []


def concerned(origin: Origin, graph: ResourceGraph) -> set[str]:
    """The ids of its members that may be restored with this graph: networks are one node for all of a project."""
    ids = {node.key.id for node in graph}
    networks = any(node.key.type == _NETWORKS for node in graph)
    return {one.id for one in origin.members if one.id in ids or (networks and one.type.startswith("OS::Neutron::"))}


def kept_origins(open_cloud: "Callable[[], Cloud] | None", graph: ResourceGraph) -> dict[str, Any]:
    """``{"stacks": [...]}``: what a checkpoint of this graph keeps of the user's stacks.

    A Heat that does not answer, or may not be asked, keeps nobody from protecting: then nothing is known of them.
    """
    cloud = open_cloud() if open_cloud is not None else None
    if cloud is None or not cloud.has("orchestration"):
        return {"stacks": []}
    ids = {node.key.id for node in graph}
    networks = any(node.key.type == _NETWORKS for node in graph)
    try:
        return {"stacks": [one.to_dict() for one in origins(cloud, ids, networks=networks)]}
    except (errors.Cancelled, errors.LeaseLost):
        raise
    except errors.KarborError as fault:
        LOG.warning("stacks of the user are not known %s", fault.operator_text())
        return {"stacks": []}


class Originals:
    """The stacks of one user that one restore makes again."""

    def __init__(
        self,
        cloud: "Cloud",
        stacks: Sequence[Origin],
        options: StackOptions,
        restore_id: str,
        clock: Clock,
        check: Callable[[], None],
        *,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self._cloud, self.origins = cloud, stacks
        self._given, self._build = options.given_parameters(), options.build
        self._timeout = options.timeout_minutes
        self._restore_id, self._mark = restore_id, f"karbor-restore-{restore_id}"
        self._clock, self._check, self._pause = clock, check, pause
        self._stacks = HeatStacks(cloud)
        self._builder = StackBuilder(self._stacks, clock, check, tags=("karbor", self._mark), pause=pause)

    def refusals(self, graph: ResourceGraph) -> list[tuple[Origin, errors.KarborError]]:
        """Why any of them cannot be made again; empty where all can."""
        if not self.origins:
            return []
        if not self._cloud.has("orchestration"):
            refusal = errors.NotSupported(
                "This cloud has no Heat, which alone can make stacks again.",
                next_action="restore with rebuild_stacks no",
            )
            return [(self.origins[0], refusal)]
        if self._build == "no":
            excluded = errors.InvalidInput("Stacks cannot be made again where build is no.")
            return [(self.origins[0], excluded)]
        unknown = sorted(set(self._given) - {one.name for one in self.origins})
        found: list[tuple[Origin, errors.KarborError]] = []
        if unknown:
            text = f"stack_parameters names {', '.join(unknown)}, which is no stack of this checkpoint."
            found.append((self.origins[0], errors.InvalidInput(text)))
        for origin in (one for one in self.origins if concerned(one, graph)):
            given = self._given.get(origin.name, {})
            found += [(origin, one) for one in refusals(origin, concerned(origin, graph), given)]
        return found

    def divide(self, parts: Sequence[Part]) -> Division:
        """What they bring back, and what stands before and behind it."""
        ids = {part.original_id for part in parts}
        members: set[str] = set()
        ties: set[frozenset[str]] = set()
        for origin in self.origins:
            members |= {one.id for one in brought_back(origin, ids)}
            ties |= linked(origin, ids)
        return divided(parts, members, ties)

    def touched(self, division: Division) -> list[Origin]:
        """Those of which this restore brings anything back; others are left alone."""
        return [origin for origin in self.origins if brought_back(origin, division.own)]

    def name(self, origin: Origin) -> str:
        """The name that the new stack has, or will have: the old one, unless another stack has that."""
        longer = f"{origin.name}-{self._restore_id}"
        if self._stacks.find(longer) is not None:
            return longer
        old = self._stacks.find(origin.name)
        return origin.name if old is None or self._mark in old.tags else longer

    def told_name(self, origin: Origin) -> str:
        """The name that the new stack will have, for people who do not know the restore's id yet."""
        return origin.name if self._stacks.find(origin.name) is None else f"{origin.name}-RESTORE_ID"

    def template(self, origin: Origin, own: Mapping[str, Part], values: Mapping[str, str]) -> RebuiltTemplate:
        """What Heat is given. ``values``: new ids of what is there, by original id."""
        return rebuilt(origin, own, values, self._given.get(origin.name, {}))

    def build(self, origin: Origin, template: RebuiltTemplate, *, report: Report) -> Mapping[str, str]:
        """Have one made; the new ids of its members by original id. May be called again. What Heat says of it is told
        without the values of hidden parameters."""
        hidden = Redactor(_leaves([self._given.get(origin.name, {}).get(name) for name in origin.hidden]))

        def told(now: Sequence[BuiltResource]) -> None:
            report([replace(one, reason=hidden.text(one.reason)) for one in now])

        try:
            made = self._builder.build(self.name(origin), template, report=told, timeout_minutes=self._timeout)
        except errors.KarborError as fault:
            fault.message, fault.detail = hidden.text(fault.message), hidden.text(fault.detail)
            fault.args = (fault.message,)
            raise fault from None
        return {part.original_id: made[name] for name, part in template.names.items() if made.get(name)}

    def known(self) -> Mapping[str, str]:
        """The new ids of all members, by original id, as far as their stacks are there."""
        found = {}
        for origin in self.origins:
            ids = {one.name: one.id for one in origin.members if not one.nested}
            for state in self._own(origin).values():
                for one in self._stacks.resources(state.id):
                    if one.name in ids and one.physical_id:
                        found[ids[one.name]] = one.physical_id
        return found

    def remove(self) -> None:
        """Take back those that this restore made, the last first. May be called again."""
        for origin in reversed(self.origins):
            for name in self._own(origin):
                self._builder.remove(name, RebuiltTemplate(""))

    def _own(self, origin: Origin) -> dict[str, StackState]:
        """The stack that this restore made of it, by its name."""
        names = (f"{origin.name}-{self._restore_id}", origin.name)
        states = {name: self._stacks.find(name) for name in names}
        return {name: state for name, state in states.items() if state is not None and self._mark in state.tags}

    def drop_copies(self, own: Mapping[str, Part]) -> Collection[str]:
        """Remove the restored volumes that members were made of: they have their data. Their ids."""
        kind = Volume(self._cloud, self._restore_id)
        volumes = {one.id for origin in self.origins for one in origin.members if one.type == VOLUME}
        copies = {part.value for id_, part in own.items() if id_ in volumes and isinstance(part, HeatParameter)}
        for id_ in sorted(copies):
            found = kind.look(id_)
            if found is not None and not any(name.startswith("karbor") for name in found["metadata"]):
                copies.discard(id_)  # no restore made it
                continue

            def is_gone(id_: str = id_) -> bool | None:
                return kind.remove(id_) or None

            gone = wait_for(
                is_gone,
                clock=self._clock,
                seconds=_REMOVAL,
                check=self._check,
                pause=self._pause,
            )
            if not gone:
                raise errors.StepFailed(
                    f"The volume {id_}, of which another one was made, could not be removed.",
                    next_action=f"remove {id_} by hand",
                )
        return copies


def _leaves(value: Any) -> Iterable[str]:
    """Every text in a value of JSON, numbers as they are written."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _leaves(one)
    elif value is not None:
        yield str(value)

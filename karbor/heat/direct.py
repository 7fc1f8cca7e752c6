# SPDX-License-Identifier: Apache-2.0
"""How is a template built where a cloud has no Heat? Resource by resource, in the order in which they need each other.

What is made bears a mark (see ``kinds``), so a build that was cut off anywhere is gone on with, by whoever has the
restore then, and can be removed completely. No other record of it is kept. Many things become ready at the same time:
one is waited for only when another needs it.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from karbor.clients.stacks import BuiltResource
from karbor.common import faultpoints
from karbor.common.clock import Clock
from karbor.common.waiting import wait_for
from karbor.heat import groupkinds, networkkinds, serverkinds
from karbor.heat.building import Report
from karbor.heat.kinds import Kind, Marked
from karbor.heat.references import in_order, needed_by, resolved
from karbor.heat.template import Template
from karbor.model import errors

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud

LOG = logging.getLogger(__name__)
#: Everything that plug-ins put into templates.
KINDS: Mapping[str, type[Kind]] = {
    "OS::Cinder::Volume": serverkinds.Volume,
    "OS::Cinder::VolumeAttachment": serverkinds.VolumeAttachment,
    "OS::Manila::Share": serverkinds.Share,
    "OS::Neutron::ExtraRouteSet": networkkinds.ExtraRouteSet,
    "OS::Neutron::FloatingIP": networkkinds.FloatingIP,
    "OS::Neutron::FloatingIPAssociation": networkkinds.FloatingIPAssociation,
    "OS::Neutron::Net": networkkinds.Net,
    "OS::Neutron::Port": networkkinds.Port,
    "OS::Neutron::Router": networkkinds.Router,
    "OS::Neutron::RouterInterface": networkkinds.RouterInterface,
    "OS::Neutron::SecurityGroup": groupkinds.SecurityGroup,
    "OS::Neutron::SecurityGroupRule": groupkinds.SecurityGroupRule,
    "OS::Neutron::Subnet": networkkinds.Subnet,
    "OS::Nova::Server": serverkinds.Server,
    "OS::Trove::Instance": serverkinds.Database,
}
_REMOVAL = 1800.0  # seconds that the removal of one resource may take
_SOON = (0.25, 8.0)  # seconds between two looks: at first, and at most
_PASSED_ON = (errors.Cancelled, errors.LeaseLost)


class DirectBuilder:
    """Builds templates in the cloud of one tenant. ``check`` is called at least once a second of waiting and may raise
    to end it."""

    def __init__(
        self,
        cloud: "Cloud",
        restore_id: str,
        clock: Clock,
        check: Callable[[], None],
        *,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self._cloud, self._restore_id = cloud, restore_id
        self._clock, self._check, self._pause = clock, check, pause

    def build(self, name: str, template: Template, *, report: Report, timeout_minutes: int) -> Mapping[str, str]:
        """Have everything built, and return the new id of each resource by its name in the template.

        May be called again, also in another process: what is there is gone on with. Raises NotSupported, before
        anything is made, for a type that is not known here; StepFailed with the resource that could not be built and
        why: then what was built by then stays as it is.
        """
        _require_known(template)
        LOG.info("direct build begun name=%s resources=%s", name, len(template.resources))
        build = _Build(self, template, report, self._clock.monotonic() + timeout_minutes * 60)
        for one in in_order(template.resources):
            build.make(one)
        for one in in_order(template.resources):
            build.finish(one)
        return build.ids

    def remove(self, name: str, template: Template) -> None:
        """Remove what was built of the template, the last first, and wait until it is gone. May be called again.

        Raises StepFailed.
        """
        _require_known(template)
        view = _View(self, template)
        for one in reversed(view.find_all()):
            faultpoints.reach(f"direct:remove.{template.resources[one]['type']}:before")
            kind, id_ = view.kind(one), view.ids[one]

            def is_gone(kind: Kind = kind, id_: str = id_) -> bool | None:
                return kind.remove(id_) or None

            if self.wait(is_gone, _REMOVAL) is None:
                raise errors.StepFailed(
                    f"{_told(template, one)} could not be removed: it takes too long.",
                    next_action=f"remove {id_} by hand",
                )
        LOG.info("direct build removed name=%s resources=%s", name, len(view.ids))

    def wait(self, look: Callable[[], bool | None], seconds: float) -> bool | None:
        """See ``wait_for``."""
        return wait_for(
            look,
            clock=self._clock,
            seconds=seconds,
            check=self._check,
            first=_SOON[0],
            longest=_SOON[1],
            pause=self._pause,
        )

    def check(self) -> None:
        """Raise where the work must end."""
        self._check()

    def kinds(self) -> Mapping[str, Kind]:
        """A new set of all kinds, which look again at what is there."""
        return {type_: kind(self._cloud, self._restore_id) for type_, kind in KINDS.items()}

    def left(self, deadline: float) -> float:
        """Seconds until a deadline."""
        return max(deadline - self._clock.monotonic(), 0.0)


class _View:
    """What is there of a template."""

    def __init__(self, builder: DirectBuilder, template: Template) -> None:
        self._builder = builder
        self.template = template
        self.ids: dict[str, str] = {}
        self._kinds = builder.kinds()
        self._values = {name: part.value for name, part in template.parameters.items()}

    def kind(self, name: str) -> Kind:
        return self._kinds[self.template.resources[name]["type"]]

    def properties(self, name: str) -> Mapping[str, Any]:
        """Those of one resource, with ids. Raises KeyError where something is not there yet."""

        def attribute(other: str, wanted: str) -> Any:
            return self.kind(other).attribute(self.ids[other], wanted)

        given = self.template.resources[name]["properties"]
        found: Mapping[str, Any] = resolved(given, self.ids, self._values, attribute)
        return found

    def find_all(self) -> list[str]:
        """The names of what is there, in the order of the template; ``ids`` knows them then."""
        for name in in_order(self.template.resources):
            kind, whole = self.kind(name), all(n in self.ids for n in needed_by(self.template.resources[name]))
            if not whole and not isinstance(kind, Marked):
                continue  # what tied two things together went with the first of them
            try:
                id_ = kind.find(name, self.properties(name) if whole else {})
            except errors.NotFound:
                continue
            if id_:
                self.ids[name] = id_
        return list(self.ids)


class _Build(_View):
    """One run of a build."""

    def __init__(self, builder: DirectBuilder, template: Template, report: Report, deadline: float) -> None:
        super().__init__(builder, template)
        self._deadline = deadline
        self._report = report
        self._states = {name: BuiltResource(name, "", "INIT_COMPLETE") for name in template.resources}

    def make(self, name: str) -> None:
        """Have one made when what it needs is ready."""
        self._builder.check()
        resource = self.template.resources[name]
        for needed in needed_by(resource):
            self.finish(needed)
        faultpoints.reach(f"direct:make.{resource['type']}:before")
        try:
            self.ids[name] = self.kind(name).ensure(name, self.properties(name))
        except errors.KarborError as fault:
            self._failed(name, fault)
        faultpoints.reach(f"direct:make.{resource['type']}:after")
        self._show(name, "CREATE_IN_PROGRESS")

    def finish(self, name: str) -> None:
        """Wait until one is ready, and complete it."""
        if self._states[name].status == "CREATE_COMPLETE":
            return
        kind, id_ = self.kind(name), self.ids[name]
        try:
            ready = self._builder.wait(lambda: kind.is_ready(id_) or None, self._builder.left(self._deadline))
            if ready is None:
                raise errors.StepFailed("it was not ready in the time that was given")
            kind.complete(id_, self.properties(name))
        except errors.KarborError as fault:
            self._failed(name, fault)
        faultpoints.reach(f"direct:ready.{self.template.resources[name]['type']}:after")
        self._show(name, "CREATE_COMPLETE")

    def _failed(self, name: str, fault: errors.KarborError) -> None:
        if isinstance(fault, _PASSED_ON) or not fault.permanent:
            raise fault
        self._show(name, "CREATE_FAILED", fault.message)
        raise errors.StepFailed(
            f"{_told(self.template, name)} could not be built: {fault.message}",
            detail=fault.detail,
            next_action=fault.next_action or "mend what is named, or map it to something else, and restore again",
        ) from fault

    def _show(self, name: str, status: str, reason: str = "") -> None:
        before = self._states[name]
        self._states[name] = replace(before, physical_id=self.ids.get(name, ""), status=status, reason=reason)
        self._report(list(self._states.values()))


def _told(template: Template, name: str) -> str:
    part = template.names.get(name)
    return f"{part.type} {part.original_id}" if part is not None else name


def _require_known(template: Template) -> None:
    unknown = sorted({str(one["type"]) for one in template.resources.values()} - set(KINDS))
    if unknown:
        raise errors.NotSupported(
            f"Only Heat can build {unknown[0]}.", next_action="restore into a cloud that has Heat, or leave that out"
        )

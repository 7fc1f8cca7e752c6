# SPDX-License-Identifier: Apache-2.0
"""How does a restore hand on to Heat what its plug-ins left to it, and take that back?"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from karbor.clients.heat import HeatStacks
from karbor.clients.stacks import BuiltResource
from karbor.common.clock import Clock
from karbor.heat.building import Builder
from karbor.heat.direct import DirectBuilder
from karbor.heat.options import StackOptions
from karbor.heat.stack import StackBuilder, plain
from karbor.heat.template import Template, assemble
from karbor.model import errors
from karbor.sdk.template import HeatParameter, HeatResource, part_from_dict

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud

#: What the restore shows for the state of a resource in Heat.
_SHOWN = {"COMPLETE": "available", "FAILED": "error", "IN_PROGRESS": "restoring"}
_PLACE = re.compile(r"[^/]{1,255}/.{1,768}")

#: Shows one resource in the restore: type, id, status, reason.
Show = Callable[[str, str, str, str], None]
#: Puts an object into the object store of the tenant: container, name, content.
Put = Callable[[str, str, bytes], None]


def builder_for(
    cloud: "Cloud",
    options: StackOptions,
    restore_id: str,
    clock: Clock,
    check: Callable[[], None],
    *,
    pause: Callable[[float], object] | None = None,
) -> Builder:
    """What builds in this cloud as the user wants it. Raises NotSupported where he wants Heat and there is none."""
    has_heat = options.engine != "direct" and cloud.has("orchestration")
    if options.engine == "heat" and not has_heat:
        raise errors.NotSupported("This cloud has no Heat.", next_action="restore with the engine auto or direct")
    if has_heat:
        return StackBuilder(HeatStacks(cloud), clock, check, pause=pause)
    return DirectBuilder(cloud, restore_id, clock, check, pause=pause)


class StackStep:
    """What one restore leaves to a builder. Both methods may be called again."""

    def __init__(self, builder: Builder, options: StackOptions, restore_id: str, *, show: Show, put: Put) -> None:
        self._options = options
        self._show, self._put = show, put
        self._name = f"{options.stack_name}-{restore_id}"
        self._builder = builder

    def build(self, results: Mapping[str, Any], *, description: str) -> dict[str, Any]:
        """Have everything built that the steps with ``results`` left to Heat.

        Returns ``{"stack": name, "new_ids": {original id: new id}}``, empty where nothing was left to it. Raises
        InvalidInput where the parts do not fit together, StepFailed where they could not be built.
        """
        template = assemble(parts_of(results), description=description)
        if not template:
            return {}
        if self._options.export_to:
            self._export(template)
        if self._options.build == "no":
            return {"stack": "", "new_ids": {}}
        built = self._builder.build(
            self._name,
            template,
            report=lambda now: self._report(now, template),
            timeout_minutes=self._options.timeout_minutes,
        )
        ids = {part.original_id: built[name] for name, part in template.names.items() if built.get(name)}
        return {"stack": self._name, "new_ids": ids}

    def remove(self, results: Mapping[str, Any], *, description: str) -> None:
        """Take back what ``build`` made or began of the same results."""
        if self._options.build == "no":
            return
        try:
            template = assemble(parts_of(results), description=description)
        except errors.InvalidInput:  # then it was never begun
            template = Template(description)
        self._builder.remove(self._name, template)

    def _export(self, template: Template) -> None:
        container, _, name = self._options.export_to.partition("/")
        if not _PLACE.fullmatch(self._options.export_to):
            raise errors.InvalidInput("export_to must be CONTAINER/NAME.")
        self._put(container, name, template.to_yaml().encode())

    def _report(self, now: Sequence[BuiltResource], template: Template) -> None:
        for one in now:
            part = template.names.get(one.name)
            state = one.status.split("_", 1)[-1]
            if part is not None and part.shown and one.physical_id and state in _SHOWN:
                self._show(part.type, one.physical_id, _SHOWN[state], plain(one.reason) if state == "FAILED" else "")


def parts_of(results: Mapping[str, Any]) -> Sequence[HeatResource | HeatParameter]:
    """What the plug-ins gave in the steps with these results, in the order of the names of the steps."""
    return [
        part_from_dict(part)
        for name in sorted(results)
        if isinstance(results[name], dict)
        for part in results[name].get("template", ())
    ]

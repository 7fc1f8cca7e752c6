# SPDX-License-Identifier: Apache-2.0
"""How does a restore hand on to Heat what its plug-ins left to it, and take that back?"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from karbor.clients.heat import HeatStacks
from karbor.clients.stacks import BuiltResource
from karbor.common.clock import Clock
from karbor.heat.building import Builder, Report
from karbor.heat.direct import DirectBuilder
from karbor.heat.division import Part, needs
from karbor.heat.options import StackOptions
from karbor.heat.original import VOLUME
from karbor.heat.stack import StackBuilder, plain
from karbor.heat.template import Template, assemble
from karbor.model import errors
from karbor.protection.originals import Originals
from karbor.sdk.template import HeatParameter, part_from_dict

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud

#: What the restore shows for the state of a resource in Heat.
_SHOWN = {"COMPLETE": "available", "FAILED": "error", "IN_PROGRESS": "restoring"}
_AFTER = "after"  # ends the name of what needs the user's stacks
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

    def __init__(
        self,
        builder: Builder,
        options: StackOptions,
        restore_id: str,
        *,
        show: Show,
        put: Put,
        originals: Originals | None = None,
        hide: Callable[[str, str], None] | None = None,
    ) -> None:
        """``originals``: the user's stacks that are made again. ``hide`` takes a resource, by type and id, that only
        passed out of what the restore shows."""
        self._options = options
        self._originals, self._hide = originals, hide
        self._show, self._put = show, put
        self._name = f"{options.stack_name}-{restore_id}"
        self._builder = builder

    def build(self, results: Mapping[str, Any], *, description: str) -> dict[str, Any]:
        """Have everything built that the steps with ``results`` left to Heat.

        Returns ``{"stack": name, "new_ids": {original id: new id}}``, empty where nothing was left to it. Raises
        InvalidInput where the parts do not fit together, StepFailed where they could not be built.
        """
        parts = parts_of(results)
        if self._originals is not None and self._originals.origins:
            return self._build_with_stacks(self._originals, parts, description)
        template = assemble(parts, description=description)
        if not template:
            return {}
        if self._options.build == "no":
            self._export(template)
            return {"stack": "", "new_ids": {}}
        return {"stack": self._name, "new_ids": self._build_one(self._name, template)}

    def _build_one(self, name: str, template: Template, *, suffix: str = "") -> dict[str, str]:
        """The new ids of a template by original id; nothing happens where there is nothing in it."""
        if not template:
            return {}
        self._export(template, suffix)
        built = self._builder.build(
            name, template, report=self._reporter(template), timeout_minutes=self._options.timeout_minutes
        )
        return {part.original_id: built[one] for one, part in template.names.items() if built.get(one)}

    def _build_with_stacks(self, originals: Originals, parts: Sequence[Part], description: str) -> dict[str, Any]:
        """What the user's stacks may need comes first, then they, then what needs them."""
        division = originals.divide(parts)
        values = {part.original_id: part.value for part in parts if isinstance(part, HeatParameter)}
        values.update(self._build_one(self._name, assemble(division.before, description=description)))
        for origin in originals.touched(division):
            template = originals.template(origin, division.own, values)
            self._export(template, f"-{origin.name}")
            values.update(originals.build(origin, template, report=self._reporter(template)))
        after = assemble([*division.after, *_given(division.after, values)], description=description)
        values.update(self._build_one(f"{self._name}-{_AFTER}", after, suffix=f"-{_AFTER}"))
        for id_ in originals.drop_copies(division.own):
            if self._hide is not None:
                self._hide(VOLUME, id_)
        return {"stack": self._name, "new_ids": values}

    def remove(self, results: Mapping[str, Any], *, description: str) -> None:
        """Take back what ``build`` made or began of the same results."""
        if self._options.build == "no":
            return
        parts, originals = parts_of(results), self._originals
        if originals is not None and originals.origins:
            division = originals.divide(parts)
            known = {part.original_id: getattr(part, "value", "") for part in parts}
            given = _given(division.after, {**known, **originals.known()})
            self._remove_one(f"{self._name}-{_AFTER}", [*division.after, *given], description)
            originals.remove()
            parts = division.before
        self._remove_one(self._name, parts, description)

    def _remove_one(self, name: str, parts: Sequence[Part], description: str) -> None:
        try:
            template = assemble(parts, description=description)
        except errors.InvalidInput:  # then it was never begun
            template = Template(description)
        self._builder.remove(name, template)

    def _export(self, template: Template, suffix: str = "") -> None:
        if not self._options.export_to:
            return
        container, _, name = self._options.export_to.partition("/")
        if not _PLACE.fullmatch(self._options.export_to):
            raise errors.InvalidInput("export_to must be CONTAINER/NAME.")
        self._put(container, f"{name}{suffix}", template.to_yaml().encode())

    def _reporter(self, template: Template) -> Report:
        before: dict[str, BuiltResource] = {}

        def report(now: Sequence[BuiltResource]) -> None:
            for one in now:
                part = template.names.get(one.name)
                state = one.status.split("_", 1)[-1]
                if before.get(one.name) == one:
                    continue
                before[one.name] = one
                if part is not None and part.shown and one.physical_id and state in _SHOWN:
                    reason = plain(one.reason) if state == "FAILED" else ""
                    self._show(part.type, one.physical_id, _SHOWN[state], reason)

        return report


def _given(parts: Sequence[Part], values: Mapping[str, str]) -> list[HeatParameter]:
    """What these parts need of what is there already."""
    needed = {id_ for part in parts for id_ in needs(part)} - {part.original_id for part in parts}
    return [HeatParameter(id_, values[id_]) for id_ in sorted(needed) if id_ in values]


def parts_of(results: Mapping[str, Any]) -> Sequence[Part]:
    """What the plug-ins gave in the steps with these results, in the order of the names of the steps."""
    return [
        part_from_dict(part)
        for name in sorted(results)
        if isinstance(results[name], dict)
        for part in results[name].get("template", ())
    ]

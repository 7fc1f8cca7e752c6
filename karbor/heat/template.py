# SPDX-License-Identifier: Apache-2.0
"""Which Heat template do the parts that the plug-ins gave make?

The document follows the Heat Orchestration Template guide (version 2018-08-31, which every Heat since Rocky reads).
Names are made of the type and the original id, so that the same restore makes the same template again after a crash.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from karbor.model import errors
from karbor.sdk.template import REFERENCE, HeatParameter, HeatResource

VERSION = "2018-08-31"
_UNFIT = re.compile(r"[^A-Za-z0-9_]+")


@dataclass(frozen=True)
class Template:
    """A finished template. ``names`` maps the name of each resource to the part it was made of."""

    description: str
    parameters: Mapping[str, HeatParameter] = field(default_factory=dict)
    names: Mapping[str, HeatResource] = field(default_factory=dict)
    resources: Mapping[str, Any] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any]:
        """The template as Heat takes it; what was built outside are parameters with their values as defaults, so the
        exported template can be launched as it is."""
        found: dict[str, Any] = {"heat_template_version": VERSION, "description": self.description}
        if self.parameters:
            found["parameters"] = {
                name: {"type": "string", "description": part.description, "default": part.value}
                for name, part in self.parameters.items()
            }
        found["resources"] = dict(self.resources)
        return found

    @property
    def launch(self) -> Mapping[str, Any]:
        """What Heat must be given beside the document: fields of its request."""
        return {}

    def to_yaml(self) -> str:
        """The text of the document."""
        return str(yaml.safe_dump(self.document, sort_keys=False, allow_unicode=True, width=120))

    def __bool__(self) -> bool:
        """Whether Heat has anything to build."""
        return bool(self.resources)


def assemble(parts: Iterable[HeatResource | HeatParameter], *, description: str) -> Template:
    """The template of all ``parts``; the order of the parts decides nothing but the order of its text.

    Raises IntegrityError where two parts bring back the same, InvalidInput where a part needs what nothing brings back.
    """
    resources: dict[str, HeatResource] = {}
    parameters: dict[str, HeatParameter] = {}
    targets: dict[str, tuple[str, str]] = {}
    for part in parts:
        name = _name(part)
        kind = "get_resource" if isinstance(part, HeatResource) else "get_param"
        if part.original_id in targets:
            raise errors.IntegrityError(f"The checkpoint brings {part.original_id} back twice.")
        if name in resources or name in parameters:
            raise errors.IntegrityError(f"Two parts of the restore have the name {name}.")
        targets[part.original_id] = (kind, name)
        if isinstance(part, HeatResource):
            resources[name] = part
        else:
            parameters[name] = part
    built = {name: _resource(part, targets) for name, part in resources.items()}
    return Template(description, parameters, resources, built)


def _name(part: HeatResource | HeatParameter) -> str:
    kind = part.type.rsplit("::", 1)[-1].lower() if isinstance(part, HeatResource) else "given"
    return f"{kind}_{_UNFIT.sub('_', part.original_id)}"


def _resource(part: HeatResource, targets: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    found: dict[str, Any] = {"type": part.type, "properties": _resolve(part.properties, part, targets)}
    needed = [targets[id_][1] for id_ in part.depends_on if targets.get(id_, ("", ""))[0] == "get_resource"]
    if needed:
        found["depends_on"] = needed
    return found


def _resolve(value: Any, part: HeatResource, targets: Mapping[str, tuple[str, str]]) -> Any:
    if isinstance(value, Mapping):
        if set(value) == {REFERENCE}:
            return _target(value[REFERENCE], part, targets)
        return {key: _resolve(inner, part, targets) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_resolve(inner, part, targets) for inner in value]
    json.dumps(value)  # a plug-in that puts anything but JSON is wrong: TypeError
    return value


def _target(wanted: Mapping[str, Any], part: HeatResource, targets: Mapping[str, tuple[str, str]]) -> Any:
    kind, name = targets.get(wanted["id"], ("", ""))
    if kind == "get_resource" and wanted["attribute"]:
        return {"get_attr": [name, wanted["attribute"]]}
    if kind:
        return {kind: name}
    if wanted["or_else"] is None:
        raise errors.InvalidInput(
            f"{part.type} {part.original_id} needs {wanted['id']}, which this restore does not bring back.",
            next_action="name what to use in its place in the mapping of the restore",
        )
    return wanted["or_else"]

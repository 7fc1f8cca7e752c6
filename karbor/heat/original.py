# SPDX-License-Identifier: Apache-2.0
"""How is a stack of the user made again with the restored data in it, so that Heat goes on managing it?

His template stays as it is but for where data comes from: a volume is made of the restored one or of its snapshot, a
server boots from the restored image or volume, a share or database is made of what was kept. Where an old id stands, of
something that this restore brings back outside of the stack, the new one does.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from karbor.heat.origins import Member, Origin
from karbor.heat.template import Template
from karbor.model import errors
from karbor.sdk.template import REFERENCE, HeatParameter, HeatResource

SERVER, VOLUME = "OS::Nova::Server", "OS::Cinder::Volume"
#: Properties that say where the data of a resource comes from.
_SOURCES = {
    VOLUME: ("image", "imageRef", "backup_id", "snapshot_id", "source_volid"),
    "OS::Manila::Share": ("snapshot",),
    "OS::Trove::Instance": ("restore_point",),
}
#: What would configure a server over its restored data.
_CONFIGURES = (
    "OS::Heat::SoftwareDeployment",
    "OS::Heat::SoftwareDeploymentGroup",
    "OS::Heat::StructuredDeployment",
    "OS::Heat::StructuredDeploymentGroup",
)
Part = HeatResource | HeatParameter


@dataclass(frozen=True)
class RebuiltTemplate(Template):
    """The template of a user's stack, with what Heat must be given with it."""

    original: Mapping[str, Any] = field(default_factory=dict)
    launch_with: Mapping[str, Any] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any]:
        return dict(self.original)

    @property
    def launch(self) -> Mapping[str, Any]:
        return self.launch_with


def brought_back(origin: Origin, ids: Collection[str]) -> list[Member]:
    """The members of a stack that have one of these ids, and whose data or place it can take up again: an image that a
    stack had fetched is restored outside of it."""
    return [one for one in origin.members if one.id in ids and _can_be_of(one.type)]


def _can_be_of(type_: str) -> bool:
    return type_ == SERVER or type_ in _SOURCES or type_.startswith("OS::Neutron::")


def refusals(origin: Origin, ids: Collection[str], given: Mapping[str, Any]) -> list[errors.KarborError]:
    """Why a stack cannot be made again with the restored data of ``ids``; empty where it can.

    ``given``: the parameters that the user names in the restore.
    """
    found: list[errors.KarborError] = []
    members = brought_back(origin, ids)
    if "heat_template_version" not in origin.template:
        return [_refusal(origin, "its template is not in Heat's own format", "")]
    nested = sorted({one.name for one in members if one.nested})
    if nested:
        found.append(_refusal(origin, f"{', '.join(nested)} belongs to a stack within it", ""))
    names = {one.name for one in members if one.type == SERVER}
    resources = origin.template.get("resources") or {}
    configured = sorted(
        name for name, one in resources.items() if one["type"] in _CONFIGURES and names & set(_named(one))
    )
    if configured:
        found.append(_refusal(origin, f"{', '.join(configured)} would configure a server over its restored data", ""))
    missing = [name for name in origin.hidden if name not in given]
    if missing:
        how = f'give it in stack_parameters of OS::Heat::Stack, such as {{"{origin.name}": {{"{missing[0]}": "..."}}}}'
        found.append(_refusal(origin, f"the value of its hidden parameter {', '.join(missing)} is not kept", how))
    unknown = sorted(set(given) - set(origin.template.get("parameters") or {}) - set(origin.hidden))
    if unknown:
        found.append(_refusal(origin, f"it has no parameter {', '.join(unknown)}", ""))
    return found


def _refusal(origin: Origin, why: str, next_action: str) -> errors.KarborError:
    return errors.InvalidInput(
        f"The stack {origin.name} cannot be made again: {why}.",
        next_action=next_action or "restore with rebuild_stacks no: its resources come back outside of that stack",
    )


def linked(origin: Origin, ids: Collection[str]) -> set[frozenset[str]]:
    """Pairs of those ids whose resources the template ties together: one names the other, or a third names both."""
    named = {one.name: one.id for one in origin.members if one.id in ids and not one.nested}
    found = set()
    for name, resource in (origin.template.get("resources") or {}).items():
        together = {named[one] for one in (name, *_named(resource)) if one in named}
        found |= {frozenset((one, other)) for one in together for other in together if one != other}
    return found


def rebuilt(
    origin: Origin, parts: Mapping[str, Part], values: Mapping[str, str], given: Mapping[str, Any]
) -> RebuiltTemplate:
    """The template of a stack with the restored data.

    ``parts``: what the plug-ins gave for its members, by original id. ``values``: the new id of everything that is
    there already, by its original id. Raises InvalidInput where data is to come from something that is not.
    """
    members = {one.name: one for one in brought_back(origin, parts) if not one.nested}
    own = {one.id for one in members.values()}
    outside = {old: new for old, new in values.items() if old not in own}
    document = _with_new_ids(dict(origin.template), outside)
    resources = dict(document.get("resources") or {})
    for name, member in members.items():
        properties = dict(resources[name].get("properties") or {})
        changed = _filled(member, parts[member.id], properties, values, own)
        resources[name] = {**resources[name], "properties": changed}
    declared = document.get("parameters") or {}
    parameters = {**_with_new_ids(dict(origin.parameters), outside), **_among(given, declared)}
    environment = _with_new_ids(dict(origin.environment), outside)
    below = {name: value for name, value in given.items() if name not in declared}  # of templates further down
    if below:
        environment["parameter_defaults"] = {**(environment.get("parameter_defaults") or {}), **below}
    return RebuiltTemplate(
        description=str(document.get("description") or ""),
        names={name: HeatResource(one.id, one.type) for name, one in members.items()},
        resources=resources,
        original={**document, "resources": resources},
        launch_with={
            "parameters": parameters,
            "environment": environment,
            "files": dict(origin.files),
        },
    )


def _among(given: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name in names}


def _filled(
    member: Member, part: Part, properties: dict[str, Any], values: Mapping[str, str], own: Collection[str]
) -> dict[str, Any]:
    """The properties of one member with its data coming from what is restored."""
    if member.type == SERVER and isinstance(part, HeatResource):
        return _booting(part, properties, values, own)
    sources = _SOURCES.get(member.type, ())
    if not sources:
        return properties
    kept = {name: value for name, value in properties.items() if name not in sources}
    if isinstance(part, HeatParameter):
        return {**kept, "source_volid": part.value}
    return {**kept, **{name: _value(part.properties[name], values) for name in sources if name in part.properties}}


def _booting(
    part: HeatResource, properties: dict[str, Any], values: Mapping[str, str], own: Collection[str]
) -> dict[str, Any]:
    """From the restored image, or from a restored volume; one of the stack itself is named in it already."""
    if "image" in part.properties:
        kept = {name: value for name, value in properties.items() if not name.startswith("block_device_mapping")}
        others = [one for one in properties.get("block_device_mapping_v2") or () if not _is_boot(one)]
        more = {"block_device_mapping_v2": others} if others else {}
        return {**kept, **more, "image": _value(part.properties["image"], values)}
    devices = list(part.properties.get("block_device_mapping_v2") or ())
    root = devices[0]["volume_id"] if devices else None
    if root is None or (isinstance(root, Mapping) and root[REFERENCE]["id"] in own):
        return properties
    kept = {name: value for name, value in properties.items() if name not in ("image", "block_device_mapping")}
    others = [one for one in properties.get("block_device_mapping_v2") or () if not _is_boot(one)]
    first = {**devices[0], "volume_id": _value(root, values)}
    return {**kept, "block_device_mapping_v2": [first, *others]}


def _is_boot(device: Mapping[str, Any]) -> bool:
    return str(device.get("boot_index", "")) == "0" or "image" in device or "image_id" in device


def _value(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping) and set(value) == {REFERENCE}:
        wanted = value[REFERENCE]
        if wanted["id"] not in values and wanted["or_else"] is None:
            raise errors.InvalidInput(f"The stack needs {wanted['id']}, which this restore does not bring back.")
        return values.get(wanted["id"], wanted["or_else"])
    return value


def _with_new_ids(value: Any, ids: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_new_ids(inner, ids) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_with_new_ids(inner, ids) for inner in value]
    return ids.get(value, value) if isinstance(value, str) else value


def _named(resource: Mapping[str, Any]) -> Iterable[str]:
    """The resources that one refers to by name."""

    def names(value: Any) -> Iterable[str]:
        if isinstance(value, Mapping):
            if set(value) == {"get_resource"}:
                yield str(value["get_resource"])
            for inner in value.values():
                yield from names(inner)
        elif isinstance(value, list | tuple):
            for inner in value:
                yield from names(inner)

    return names(resource.get("properties") or {})

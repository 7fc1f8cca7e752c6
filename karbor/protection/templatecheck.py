# SPDX-License-Identifier: Apache-2.0
"""Would the parts of a template fit together, and is everything there that they refer to?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from karbor.heat.template import assemble
from karbor.model import errors
from karbor.model.mapping import MAPPING_TYPE
from karbor.model.resource import ResourceKey
from karbor.protection.outlook import Outlook
from karbor.protection.target import Target
from karbor.protection.world import World
from karbor.sdk.template import HeatParameter, HeatResource, Reference, references

#: Kinds of what a template refers to by id.
REFERRED = ("network", "subnet", "security_group", "router", "port", "floating_ip")


@dataclass(frozen=True)
class Part:
    """A part of the template, and the resource whose plug-in would give it."""

    key: ResourceKey
    name: str
    part: HeatResource | HeatParameter


def check_template(
    parts: Sequence[Part], unclear: Sequence[ResourceKey], world: World, target: Target, found: Outlook
) -> None:
    """Add to ``found`` every reference that leads nowhere, and the template where nothing at all is in the way.

    ``unclear``: resources that may bring back what others refer to, although no part of them is known.
    """
    brought = {one.part.original_id for one in parts}
    for one in parts:
        missing = [
            (kind, reference)
            for reference in _leading_out(one.part, brought, unclear)
            for kind in _missing(one, reference, world, target)
        ]
        without_network = any(kind == "network" for kind, _reference in missing)
        for kind, reference in missing:
            if not (kind == "subnet" and without_network):  # a subnet follows its network
                found.conflict(one.key, _refusal(one, kind, reference, world))
    if found.conflicts or unclear or not parts:
        return
    try:
        template = assemble([one.part for one in parts], description="What this restore would build")
    except errors.KarborError as refusal:
        found.conflict(parts[0].key, refusal)
        return
    found.answer["template"] = template.document if template else None


def _leading_out(
    part: HeatResource | HeatParameter, brought: set[str], unclear: Sequence[ResourceKey]
) -> Iterator[Reference]:
    """References to what no known part brings back."""
    for one in references(part.properties) if isinstance(part, HeatResource) else ():
        if one.id not in brought and not any(key.id in one.id for key in unclear):
            yield one


def _missing(one: Part, reference: Reference, world: World, target: Target) -> list[str]:
    """The kind of what a reference leads to, in a list, where it is not here; "" where nobody knows the kind."""
    kinds = [
        asked.kind
        for asked in world.asked
        if (asked.key, asked.old, asked.new) == (one.key, reference.id, reference.or_else) and asked.kind in REFERRED
    ]
    if reference.or_else is None:
        return kinds[:1] or [""]
    return [kind for kind in kinds[:1] if not target.has(kind, reference.or_else)]


def _refusal(one: Part, kind: str, reference: Reference, world: World) -> errors.KarborError:
    name = world.name_of(kind, reference.id) or reference.id
    what = f"{kind.replace('_', ' ')} {name}".strip()
    advice = f'name one under "{kind}" in {MAPPING_TYPE}, such as {{"{kind}": {{"{name}": "..."}}}}'
    return errors.Conflict(
        f"{one.name} needs the {what}, which is not here, and which this restore does not bring back.",
        next_action=advice if kind else "restore a checkpoint that holds it as well",
    )

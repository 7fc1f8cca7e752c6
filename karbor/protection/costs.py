# SPDX-License-Identifier: Apache-2.0
"""What will a checkpoint use of the tenant's quotas, what may be there at the same time, and does it fit?"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from karbor.clients.room import rooms
from karbor.model import errors
from karbor.model.cost import Item, Use, bill, with_room
from karbor.model.graph import ResourceGraph
from karbor.model.plan import options_for
from karbor.model.resource import ResourceKey
from karbor.sdk.protection import Protection

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud

Uses = Mapping[ResourceKey, Sequence[Use]]
Batches = Sequence[Sequence[ResourceKey]]
#: Phases in which a resource holds something that passes.
_HOLDING = ("prepare_begin", "prepare_finish", "complete")


def uses_of(
    graph: ResourceGraph,
    plugin: Callable[[ResourceKey], Protection],
    parameters: Mapping[str, Mapping[str, Any]],
) -> dict[ResourceKey, Sequence[Use]]:
    """What each resource will use, by the word of its plug-in. Asks nobody. Raises InvalidInput for wrong options."""
    found = {}
    for node in graph:
        own = plugin(node.key)
        options = own.Protect.parse(options_for(parameters, node.key.type, node.key.id))
        found[node.key] = own.cost(node.resource, options)
    return found


def batches_of(graph: ResourceGraph, plugin: Callable[[ResourceKey], Protection], uses: Uses, most: int) -> Batches:
    """Resources that may be worked on at the same time, one batch after the other, so that at most ``most`` things of
    one kind that pass are there at once. What belongs together (a server with its volumes) is in one batch, however
    much that is. Resources that hold nothing while others are worked on are in none: they have no turn to wait for."""
    groups = _groups(graph, lambda key: any(plugin(key).has(phase) for phase in _HOLDING))
    batches: list[list[ResourceKey]] = []
    taken: dict[tuple[str, str], int] = {}
    for group in groups:
        wanted: dict[tuple[str, str], int] = {}
        for key in group:
            for use in uses[key]:
                if use.passing and use.kind in _COUNTED:
                    wanted[use.service, use.kind] = wanted.get((use.service, use.kind), 0) + use.amount
        if not batches or any(taken.get(kind, 0) + amount > most for kind, amount in wanted.items()):
            batches.append([])
            taken = {}
        batches[-1] += group
        for kind, amount in wanted.items():
            taken[kind] = taken.get(kind, 0) + amount
    return batches


#: Quotas that count things, not bytes.
_COUNTED = frozenset({"snapshots", "volumes", "backups", "images", "image_count_total"})


def costed(uses: Uses, batches: Batches, open_cloud: "Callable[[], Cloud] | None") -> list[Item]:
    """The bill with the room that there is: one question for each service that something is used of."""
    waiting = {key for batch in batches for key in batch}
    beside = [key for key in uses if key not in waiting]
    items = bill([[(key.type, uses[key]) for key in batch] for batch in (*batches, beside)])
    if open_cloud is None or not items:
        return items
    cloud = open_cloud()
    return with_room(items, {service: rooms(cloud, service) for service in sorted({item.service for item in items})})


def refusal(items: Sequence[Item]) -> errors.TooLarge | None:
    """Why the checkpoint cannot be made, with the figures; None where it fits as far as anybody can tell."""
    scarce = [item for item in items if not item.fits]
    if not scarce:
        return None
    shown = "; ".join(f"{item.service.replace('_', '-')} {item.in_words()}" for item in scarce)
    return errors.TooLarge(
        f"The checkpoint does not fit into the quotas of the project: {shown}.",
        next_action="delete what is not needed, have the quota raised, or protect fewer resources with one plan",
    )


def _groups(graph: ResourceGraph, holds: Callable[[ResourceKey], bool]) -> list[list[ResourceKey]]:
    """Resources that hold something, with those above and below them that do; in the order of the graph."""
    found: dict[ResourceKey, list[ResourceKey]] = {}
    for node in graph:  # children first
        if not holds(node.key):
            continue
        below = {id(found[child]): found[child] for child in node.children if child in found}
        group = next(iter(below.values()), [])
        for other in list(below.values())[1:]:
            group += other
            found |= dict.fromkeys(other, group)
        group.append(node.key)
        found[node.key] = group
    return list({id(group): group for group in found.values()}.values())

# SPDX-License-Identifier: Apache-2.0
"""How do the resources of a plan depend on each other, and in which order must they be walked?

The graph is a DAG. It is built once from the live inventory, kept in the checkpoint, and read back for restore, so a
restore never depends on today's inventory. Walks are iterative and linear in nodes plus edges.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from karbor.model import errors
from karbor.model.resource import Resource, ResourceKey

_AT_ONCE = 1000  # resources whose dependents are asked for together


@dataclass(frozen=True)
class Node:
    """One resource in a graph with the keys of its direct children."""

    key: ResourceKey
    resource: Resource
    children: tuple[ResourceKey, ...] = ()


class ResourceGraph:
    """An immutable DAG of resources. Iterating gives children before parents (a topological order).

    Raises InvalidInput for a circle, and for a child that is not among the nodes.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes = {node.key: node for node in nodes}
        self._parents: dict[ResourceKey, list[ResourceKey]] = {key: [] for key in self._nodes}
        for node in self._nodes.values():
            for child in dict.fromkeys(node.children):
                if child not in self._nodes:
                    raise errors.InvalidInput(f"The resource {child.text} belongs to the graph, but is not in it.")
                self._parents[child].append(node.key)
        self._order = self._topological()

    def __iter__(self) -> Iterator[Node]:
        return (self._nodes[key] for key in self._order)

    def __eq__(self, other: object) -> bool:
        return self._nodes == other._nodes if isinstance(other, ResourceGraph) else NotImplemented

    def __len__(self) -> int:
        return len(self._nodes)

    def __getitem__(self, key: ResourceKey) -> Node:
        return self._nodes[key]

    def parents(self, key: ResourceKey) -> tuple[ResourceKey, ...]:
        return tuple(self._parents[key])

    def roots(self) -> tuple[ResourceKey, ...]:
        return tuple(key for key in self._order if not self._parents[key])

    def below(self, keys: Iterable[ResourceKey]) -> "ResourceGraph":
        """The part that these resources and everything that belongs to them make up. Raises KeyError for others."""
        found: dict[ResourceKey, Node] = {}
        waiting = list(keys)
        while waiting:
            node = self._nodes[waiting.pop()]
            if node.key not in found:
                found[node.key] = node
                waiting += node.children
        return ResourceGraph(found[key] for key in self._order if key in found)

    def _topological(self) -> list[ResourceKey]:
        """Children before parents, otherwise as given: the order is the same in every process and after a round trip.

        Raises InvalidInput naming the circle where there is one.
        """
        order: list[ResourceKey] = []
        done: set[ResourceKey] = set()
        for start in self._nodes:
            path = {} if start in done else {start: iter(self._nodes[start].children)}
            while path:
                key = next(reversed(path))
                child = next((below for below in path[key] if below not in done), None)
                if child is None:
                    path.popitem()
                    done.add(key)
                    order.append(key)
                elif child in path:
                    circle = [above.text for above in path][list(path).index(child) :]
                    raise errors.InvalidInput(
                        f"The resources depend on each other in a circle: {', '.join(circle[:5])}"
                    )
                else:
                    path[child] = iter(self._nodes[child].children)
        return order

    def to_json(self) -> list[Any]:
        """The form of the REST API: ``[{hex: [type, id, name, extra_info|null]}, [[parent, [child, ...]], ...]]``.

        Children are numbered before parents; a parent is listed after its children.
        """
        number = {key: hex(place) for place, key in enumerate(self._order)}
        nodes = {
            number[node.key]: [node.key.type, node.key.id, node.resource.name, dict(node.resource.extra_info) or None]
            for node in self
        }
        edges = [[number[node.key], [number[child] for child in node.children]] for node in self if node.children]
        return [nodes, edges]

    def to_dict(self) -> dict[str, Any]:
        """The form kept in a checkpoint: nothing is lost, ``from_dict`` gives an equal graph."""
        return {
            "nodes": [
                {
                    "key": node.key.text,
                    "resource": node.resource.to_dict(),
                    "per_parent": node.resource.per_parent,
                    "children": [child.text for child in node.children],
                }
                for node in self
            ]
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ResourceGraph":
        nodes = []
        for entry in data["nodes"]:
            plain = Resource.from_dict(entry["resource"])
            resource = Resource(plain.type, plain.id, plain.name, plain.extra_info, bool(entry.get("per_parent")))
            children = tuple(ResourceKey.parse(text) for text in entry["children"])
            nodes.append(Node(ResourceKey.parse(entry["key"]), resource, children))
        return cls(nodes)


def shown(data: Mapping[str, Any]) -> list[Any]:
    """What ``ResourceGraph.from_dict(data).to_json()`` gives, at a tenth of its cost: lists of checkpoints need many.

    ``data`` is what ``to_dict`` made: its nodes are in order and were checked, so they need not be sorted again.
    """
    number = {entry["key"]: hex(place) for place, entry in enumerate(data["nodes"])}
    nodes = {}
    edges = []
    for entry in data["nodes"]:
        resource = entry["resource"]
        found = [resource["type"], resource["id"], resource["name"], resource.get("extra_info") or None]
        nodes[number[entry["key"]]] = found
        if entry["children"]:
            edges.append([number[entry["key"]], [number[child] for child in entry["children"]]])
    return [nodes, edges]


def build(
    roots: Iterable[Resource],
    dependents: Callable[[Sequence[Resource]], Mapping[str, Iterable[Resource]]],
    *,
    limit: int = 100_000,
) -> ResourceGraph:
    """Walk from ``roots`` through ``dependents`` and return the graph.

    ``dependents`` gives what lies directly below each of some resources of one type, by their id. It is asked for up to
    a thousand at once, and once for each node. Raises InvalidInput for a circle, and where more than ``limit`` nodes
    are found.
    """

    def key_of(resource: Resource, parent: ResourceKey | None) -> ResourceKey:
        return ResourceKey(resource.type, resource.id, parent.id if parent and resource.per_parent else "")

    found: dict[ResourceKey, Resource] = {}
    children: dict[ResourceKey, tuple[ResourceKey, ...]] = {}
    todo: dict[str, list[tuple[ResourceKey, Resource]]] = {}

    def note(key: ResourceKey, resource: Resource) -> None:
        if key in found:
            return
        if len(found) >= limit:
            raise errors.InvalidInput(f"The plan leads to more than {limit} resources.")
        found[key] = resource
        todo.setdefault(resource.type, []).append((key, resource))

    for root in roots:
        note(key_of(root, None), root)
    while todo:
        type_, waiting = next(iter(todo.items()))
        page, rest = waiting[:_AT_ONCE], waiting[_AT_ONCE:]
        del todo[type_]
        if rest:
            todo[type_] = rest
        below = dependents([resource for _key, resource in page])
        for key, resource in page:
            keys: dict[ResourceKey, None] = {}
            for child in below.get(resource.id, ()):
                child_key = key_of(child, key)
                note(child_key, child)
                keys[child_key] = None
            children[key] = tuple(keys)
    return ResourceGraph(Node(key, resource, children[key]) for key, resource in found.items())

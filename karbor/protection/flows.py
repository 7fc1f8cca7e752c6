# SPDX-License-Identifier: Apache-2.0
"""In which order do the steps of an operation run?

Pure functions from a resource graph and the phases that plug-ins really have to a list of steps with what each needs.
A phase that no plug-in has costs nothing: its order passes through to the next one that exists.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from itertools import pairwise

from karbor.model.graph import ResourceGraph
from karbor.model.resource import ResourceKey

READ_BACK = "read_back"
COMMIT = "commit"
FINISH = "finish"
LOCK = "lock"
STACK = "stack"
CHECK = "check"
ORIGINS = "origins"
#: Phases that run from the top down; their results are there for the children.
PREPARATIONS = ("prepare_begin", "restore_prepare")

#: Whether the plug-in for the resource with this key has a phase.
Has = Callable[[ResourceKey, str], bool]


@dataclass(frozen=True)
class Step:
    """One step. ``key`` is None for the steps of the engine itself. ``needs`` names steps that must have ended."""

    name: str
    phase: str
    key: ResourceKey | None = None
    needs: tuple[str, ...] = ()


def step_name(key: ResourceKey, phase: str) -> str:
    """The name of a resource's step, unique within a flow."""
    return f"{key.text}:{phase}"


class _Order:
    """Collects steps. Each step also needs its resource's earlier steps and the parents' preparation: not for the
    order, which is given already, but because it reads their results."""

    def __init__(self, graph: ResourceGraph, has: Has, *, first: tuple[str, ...] = ()) -> None:
        """``first``: steps of the engine before all others, which see their results."""
        self.graph = graph
        self.has = has
        self.steps = [Step(name, name) for name in first]
        self._first = first
        self._of: dict[ResourceKey, list[str]] = {}

    def add(self, key: ResourceKey, phase: str, needs: Iterable[str]) -> str:
        name = step_name(key, phase)
        prepared = [
            step_name(parent, before)
            for parent in self.graph.parents(key)
            for before in PREPARATIONS
            if step_name(parent, before) in self._of.get(parent, ())
        ]
        own = self._of.setdefault(key, [])
        self.steps.append(Step(name, phase, key, tuple(dict.fromkeys((*self._first, *needs, *prepared, *own)))))
        own.append(name)
        return name

    def each(self, phase: str) -> None:
        """Every resource whose plug-in has the phase, in no order."""
        for node in self.graph:
            if self.has(node.key, phase):
                self.add(node.key, phase, ())

    def end(self, *phases: str) -> list[Step]:
        """Steps of the engine, each after everything before it. Returns all steps."""
        for phase in phases:
            self.steps.append(Step(phase, phase, None, tuple(step.name for step in self.steps)))
        return self.steps

    def down(self, phase: str, gates: Mapping[ResourceKey, tuple[str, ...]] = {}) -> dict[ResourceKey, tuple[str, ...]]:
        """Parent before child, and behind its gate. Returns what a later phase of each key must wait for."""
        after: dict[ResourceKey, tuple[str, ...]] = {}
        for node in reversed(list(self.graph)):
            above = [name for parent in self.graph.parents(node.key) for name in after[parent]]
            above += gates.get(node.key, ())
            after[node.key] = (
                (self.add(node.key, phase, above),) if self.has(node.key, phase) else tuple(dict.fromkeys(above))
            )
        return after

    def up(self, phase: str, own: Mapping[ResourceKey, tuple[str, ...]]) -> dict[ResourceKey, tuple[str, ...]]:
        """Child before parent; ``own`` is what the key itself must wait for before this phase."""
        after: dict[ResourceKey, tuple[str, ...]] = {}
        for node in self.graph:
            below = [name for child in node.children for name in after[child]]
            needs = [*own[node.key], *below]
            after[node.key] = (
                (self.add(node.key, phase, needs),) if self.has(node.key, phase) else tuple(dict.fromkeys(needs))
            )
        return after


def protect_steps(graph: ResourceGraph, has: Has, batches: Sequence[Sequence[ResourceKey]] = ()) -> list[Step]:
    """Steps of a protect: the four phases of each resource, read back, commit, then ``committed`` of each resource.

    Nothing of a batch begins before everything of the one before is complete. What depends on each other must be in one
    batch; what is in none has no turn.
    """
    order = _Order(graph, has)
    begun = order.down("prepare_begin", _gates(graph, has, batches))
    finished = order.up("prepare_finish", begun) if _any(graph, has, "prepare_finish") else begun
    protected = {node.key: (order.add(node.key, "protect", (*begun[node.key], *finished[node.key])),) for node in graph}
    if _any(graph, has, "complete"):
        order.up("complete", protected)
    order.end(READ_BACK, COMMIT)
    for node in graph:
        if has(node.key, "committed"):
            order.add(node.key, "committed", (COMMIT,))
    if len(batches) < 2:
        return order.steps
    named = {step.name: step for step in order.steps}
    return [named[name] for name in TopologicalSorter({step.name: step.needs for step in order.steps}).static_order()]


def _gates(
    graph: ResourceGraph, has: Has, batches: Sequence[Sequence[ResourceKey]]
) -> dict[ResourceKey, tuple[str, ...]]:
    """What each resource of a later batch must wait for; those that wait for a parent of their batch need no more."""
    gates = {}
    for earlier, later in pairwise(batches):
        ends = tuple(step_name(key, "complete" if has(key, "complete") else "protect") for key in earlier)
        together = set(later)
        gates.update({key: ends for key in later if together.isdisjoint(graph.parents(key))})
    return gates


def with_origins(steps: Sequence[Step]) -> list[Step]:
    """The steps of a protect in a cloud, with a look at the stacks of the user before the record is made."""
    engine = {one.name: replace(one, needs=(*one.needs, ORIGINS)) for one in steps if one.key is None}
    return [Step(ORIGINS, ORIGINS), *(engine.get(one.name, one) for one in steps)]


def restore_steps(graph: ResourceGraph, has: Has, *, through_heat: bool = False) -> list[Step]:
    """Steps of a restore: decide from the top, build from the bottom, then what is left to Heat; and where anything is,
    a look first at whether all of that can be."""
    order = _Order(graph, has, first=(CHECK,) if through_heat else ())
    prepared = order.down("restore_prepare")
    built: dict[ResourceKey, str] = {}
    for node in graph:
        below = [built[child] for child in node.children]
        built[node.key] = order.add(node.key, "restore", [*prepared[node.key], *below])
    return order.end(*([STACK] if through_heat else []), FINISH)


def verify_steps(graph: ResourceGraph, has: Has) -> list[Step]:
    """Steps of a verification: every resource that has something to look at, in no order."""
    order = _Order(graph, has)
    order.each("verify")
    return order.end(FINISH)


def copy_steps(graph: ResourceGraph, has: Has) -> list[Step]:
    """Steps of a copy: every resource that has something to copy, in no order; then read back and commit."""
    order = _Order(graph, has)
    order.each("copy")
    return order.end(READ_BACK, COMMIT)


def delete_steps(graph: ResourceGraph, has: Has) -> list[Step]:
    """Steps of a delete: what lies outside the bank first, then the record."""
    order = _Order(graph, has)
    order.each("delete")
    return order.end(FINISH)


def _any(graph: ResourceGraph, has: Has, phase: str) -> bool:
    return any(has(node.key, phase) for node in graph)

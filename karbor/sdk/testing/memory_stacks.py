# SPDX-License-Identifier: Apache-2.0
"""What does Heat do with a template, as far as a restore can see? A memory twin, with faults and no cloud."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from karbor.clients.stacks import BuiltResource, StackState
from karbor.model import errors


class MemoryStacks:
    """Stacks of one project, in a dictionary. Each look at a stack builds, or removes, one resource more.

    ``faults`` maps the name of a resource to the reason why it cannot be built (in the manner of Heat: what others
    built by then stays, what is under way is aborted). ``stuck`` names resources that stay in progress.
    """

    def __init__(self, faults: Mapping[str, str] | None = None, stuck: Sequence[str] = ()) -> None:
        self.faults = dict(faults or {})
        self.stuck = set(stuck)
        self.calls: list[str] = []
        self.stacks: dict[str, StackState] = {}
        self.documents: dict[str, Mapping[str, Any]] = {}
        self._names: dict[str, str] = {}
        self._resources: dict[str, list[BuiltResource]] = {}

    def find(self, name: str) -> StackState | None:
        self.calls.append("find")
        stack_id = self._names.get(name)
        state = self.stacks.get(stack_id or "")
        return state if state and state.status != "DELETE_COMPLETE" else None

    def create(self, name: str, document: Mapping[str, Any], *, tags: Sequence[str], timeout_minutes: int) -> str:
        self.calls.append("create")
        if self.find(name):
            raise errors.Conflict(f"The stack {name} exists already.")
        if not document.get("resources"):
            raise errors.InvalidInput("The template has no resources.")
        stack_id = f"stack-{len(self.stacks) + 1}"
        self._names[name] = stack_id
        self.documents[stack_id] = document
        self.stacks[stack_id] = StackState(stack_id, "CREATE_IN_PROGRESS", "Stack CREATE started")
        order = _in_order(document["resources"])
        self._resources[stack_id] = [BuiltResource(name, "", "INIT_COMPLETE") for name in order]
        return stack_id

    def get(self, stack_id: str) -> StackState | None:
        self.calls.append("get")
        state = self.stacks.get(stack_id)
        if state is not None and state.status.endswith("_IN_PROGRESS"):
            self._go_on(stack_id, state)
        return self.stacks.get(stack_id)

    def resources(self, stack_id: str) -> Sequence[BuiltResource]:
        self.calls.append("resources")
        return list(self._resources.get(stack_id, ()))

    def delete(self, stack_id: str) -> None:
        self.calls.append("delete")
        if stack_id in self.stacks:
            self.stacks[stack_id] = StackState(stack_id, "DELETE_IN_PROGRESS", "Stack DELETE started")

    def _go_on(self, stack_id: str, state: StackState) -> None:
        own = self._resources[stack_id]
        if state.status == "DELETE_IN_PROGRESS":
            self._resources[stack_id] = own[:-1]
            if not own[:-1]:
                self.stacks[stack_id] = StackState(stack_id, "DELETE_COMPLETE")
            return
        for place, one in enumerate(own):
            if one.status in ("INIT_COMPLETE", "CREATE_IN_PROGRESS"):
                own[place] = self._built(stack_id, place, one)
                break
        failed = [one for one in own if one.status == "CREATE_FAILED"]
        if failed:
            self._resources[stack_id] = [_aborted(one) for one in own]
            reason = f"Resource CREATE failed: {failed[0].reason}"
            self.stacks[stack_id] = StackState(stack_id, "CREATE_FAILED", reason)
        elif all(one.status == "CREATE_COMPLETE" for one in own):
            self.stacks[stack_id] = StackState(stack_id, "CREATE_COMPLETE", "Stack CREATE completed successfully")

    def _built(self, stack_id: str, place: int, one: BuiltResource) -> BuiltResource:
        if one.name in self.faults:
            return replace(one, status="CREATE_FAILED", reason=self.faults[one.name])
        status = "CREATE_IN_PROGRESS" if one.name in self.stuck else "CREATE_COMPLETE"
        return BuiltResource(one.name, f"new-{stack_id}-{place}", status)


def _aborted(one: BuiltResource) -> BuiltResource:
    waits = one.status in ("INIT_COMPLETE", "CREATE_IN_PROGRESS")
    return replace(one, status="CREATE_FAILED", reason="CREATE aborted (Task create cancelled)") if waits else one


def _in_order(resources: Mapping[str, Any]) -> list[str]:
    """The names, each behind those it refers to. Raises InvalidInput for a circle or a name that is not there."""
    order: list[str] = []

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in order:
            return
        if name in above or name not in resources:
            raise errors.InvalidInput(f"The template refers to {name} in a circle, or it is not there.")
        for needed in (*resources[name].get("depends_on", ()), *_needed(resources[name].get("properties"))):
            visit(needed, (*above, name))
        order.append(name)

    for name in resources:
        visit(name, ())
    return order


def _needed(value: Any) -> Sequence[str]:
    if isinstance(value, Mapping):
        if set(value) == {"get_resource"}:
            return [str(value["get_resource"])]
        if set(value) == {"get_attr"}:
            return [str(value["get_attr"][0])]
    inner: Callable[[], Any] = value.values if isinstance(value, Mapping) else lambda: value
    if isinstance(value, Mapping | list | tuple):
        return [name for one in inner() for name in _needed(one)]
    return []

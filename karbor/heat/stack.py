# SPDX-License-Identifier: Apache-2.0
"""How is a template built by Heat, watched to its end, explained and removed?"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence

from karbor.clients.stacks import BuiltResource, Stacks, StackState
from karbor.common.clock import Clock
from karbor.common.waiting import wait_for
from karbor.heat.building import Report
from karbor.heat.template import Template
from karbor.model import errors

LOG = logging.getLogger(__name__)
DONE, FAILED, GONE = "COMPLETE", "FAILED", "DELETE_COMPLETE"
_INTERNAL = re.compile(r"^(?:\w+: )?resources\.[^:]*: |^[A-Za-z]+Error: |\(HTTP \d+\).*$|\(Request-ID: .*\)$")


class StackBuilder:
    """Builds one stack. ``check`` is called at least once a second of waiting and may raise to end it."""

    def __init__(
        self,
        stacks: Stacks,
        clock: Clock,
        check: Callable[[], None],
        *,
        tags: Sequence[str] = ("karbor",),
        pause: Callable[[float], object] | None = None,
    ) -> None:
        """``tags``: what each stack that it begins has."""
        self._tags = tuple(tags)
        self._stacks = stacks
        self._clock = clock
        self._check = check
        self._pause = pause

    def build(self, name: str, template: Template, *, report: Report, timeout_minutes: int) -> Mapping[str, str]:
        """Have the stack built and return the new id of each resource by its name in the template.

        May be called again: a stack of that name is gone on with. ``name`` must be of this restore alone. Raises
        StepFailed where Heat could not build it, with the resources that failed and why; the stack stays as it is.
        """
        found = self._stacks.find(name)
        if found is None:
            document = template.document
            stack_id = self._stacks.create(
                name, document, tags=self._tags, timeout_minutes=timeout_minutes, launch=template.launch
            )
            LOG.info("stack begun name=%s id=%s resources=%s", name, stack_id, len(template.resources))
        else:
            stack_id = found.id
        last: Sequence[BuiltResource] = ()

        def look() -> StackState | None:
            nonlocal last
            now = self._stacks.resources(stack_id)
            if now != last:
                report(now)
                last = now
            state = self._stacks.get(stack_id) or StackState(stack_id, GONE, "It was deleted while it was built")
            return None if state.status.endswith("_IN_PROGRESS") else state

        # Heat itself gives up after timeout_minutes; what it needs to say so comes on top.
        end = self._until(look, seconds=timeout_minutes * 60 + 300)
        if end is None:
            raise errors.StepFailed(
                f"Heat did not end the stack {name} within {timeout_minutes} minutes.",
                next_action="look at the engine of Heat, then restore again",
            )
        resources = self._stacks.resources(stack_id)
        report(resources)
        if end.status != f"CREATE_{DONE}":
            raise explained(name, end, resources, template)
        return {resource.name: resource.physical_id for resource in resources}

    def remove(self, name: str, template: Template, *, timeout_minutes: int = 30) -> None:
        """Remove the stack of that name and wait until it is gone, whatever it was built of. May be called again.
        Raises StepFailed."""
        found = self._stacks.find(name)
        if found is None:
            return
        if not found.status.startswith("DELETE_"):
            self._stacks.delete(found.id)

        def look() -> StackState | None:
            state = self._stacks.get(found.id)
            if state is None:
                return StackState(found.id, GONE)
            return state if state.status in (GONE, f"DELETE_{FAILED}") else None

        end = self._until(look, seconds=timeout_minutes * 60)
        if end is None or end.status != GONE:
            raise errors.StepFailed(
                f"The stack {name} could not be removed: {plain(end.reason) if end else 'it takes too long'}.",
                next_action=f"delete the stack {name} by hand",
            )

    def _until(self, look: Callable[[], StackState | None], *, seconds: float) -> StackState | None:
        return wait_for(look, clock=self._clock, seconds=seconds, check=self._check, pause=self._pause)


def explained(
    name: str, state: StackState, resources: Sequence[BuiltResource], template: Template
) -> errors.StepFailed:
    """The error that tells a user which of his resources failed and why, in words without Heat's internals."""
    failed = [one for one in resources if one.status.endswith(FAILED) and not _follows(one)]
    told = [
        f"{template.names[one.name].type} {template.names[one.name].original_id}: {plain(one.reason)}"
        for one in failed
        if one.name in template.names
    ]
    text = "; ".join(told) or plain(state.reason) or state.status
    return errors.StepFailed(
        f"Heat could not build the stack {name}. {text}",
        detail=f"stack {state.id} is {state.status}: {state.reason}",
        next_action="mend what is named, or map it to something else, and restore again",
    )


def plain(reason: str) -> str:
    """What Heat gives as a reason, without names of classes, paths of resources and request ids."""
    text, before = reason.strip(), ""
    while text != before:
        before, text = text, _INTERNAL.sub("", text).strip()
    return text.rstrip(".")


def _follows(one: BuiltResource) -> bool:
    """Whether it only failed because another did: Heat cancels what is under way."""
    return "aborted" in one.reason.lower() or "cancelled" in one.reason.lower()

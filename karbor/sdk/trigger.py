# SPDX-License-Identifier: Apache-2.0
"""What must a kind of trigger promise, so that the API can keep it and an engine can follow it?

A kind says which properties its triggers have. It is asked before anything is kept, so that whatever is kept works:
``accept`` refuses, or returns properties that the other methods take. A kind either plans (``fires``) or waits for
something to happen (``matches``). ``karbor.operationengine.engine.triggers`` is the group of the entry points; the
entry's name is the ``type`` of the triggers.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from karbor.common import loading
from karbor.model import errors
from karbor.model.event import Event

GROUP = "karbor.operationengine.engine.triggers"
Properties = Mapping[str, Any]
_DIGITS = re.compile(r"[+-]?[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True)
class Limits:
    """What the operator allows, in seconds: between two runs, and how late a run may begin.

    Raises ConfigurationError where the numbers contradict each other.
    """

    min_interval: int
    min_window: int
    max_window: int

    def __post_init__(self) -> None:
        if not self.min_window < self.max_window or 2 * self.max_window > self.min_interval:
            raise errors.ConfigurationError(
                "The bounds of triggers contradict each other.",
                detail=f"min_window_time={self.min_window} max_window_time={self.max_window} "
                f"min_interval={self.min_interval}",
                next_action="min_window_time must be below max_window_time, and max_window_time at most half of "
                "min_interval",
            )


@dataclass(frozen=True)
class Fire:
    """One time of a trigger. ``planned`` is what its pattern says, ``at`` when it really fires; one that is
    ``left_out`` is not run, because its time is closed."""

    at: datetime
    planned: datetime
    left_out: bool = False


class TriggerType(ABC):
    """One kind of triggers. Stateless between calls; used by many threads."""

    #: The sources of events that it waits for (see Event); none for a kind that plans.
    listens: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    @abstractmethod
    def accept(self, given: Properties, *, stored: Properties, created_at: datetime, now: datetime) -> dict[str, Any]:
        """The properties to keep: what is ``stored``, changed by what is ``given``; None takes one away.

        ``created_at`` is when the trigger was made, for a new one ``now``. Raises InvalidInput. Costs bounded time.
        """

    def fires(self, properties: Properties, *, created_at: datetime, after: datetime, seed: str) -> Iterator[datetime]:
        """The times behind ``after`` (UTC), ascending; nothing for a kind that waits for something to happen.

        ``properties`` were accepted. ``seed`` is the id of the trigger: whatever looks like chance comes from it alone,
        so that every process gets the same. The end is where the trigger ends, or too far ahead to matter.
        """
        plan = self.plan(properties, created_at=created_at, after=after, seed=seed)
        return (fire.at for fire in plan if not fire.left_out)

    def plan(self, properties: Properties, *, created_at: datetime, after: datetime, seed: str) -> Iterator[Fire]:
        """The same, with the times that are left out, and why a time differs from its plan."""
        return iter(())

    def matches(self, properties: Properties, event: Event) -> bool:
        """Whether this event, of the trigger's own project and of a source in ``listens``, makes it fire."""
        return False

    def names(self, properties: Properties) -> Mapping[str, str]:
        """What the properties refer to, by noun (``plan``, ``scheduled operation``): it must be in the project."""
        return {}

    def window(self, properties: Properties) -> int:
        """For how many seconds after its time a run may still begin."""
        return int(properties.get("window", self.limits.min_window))

    def until(self, properties: Properties, fire: datetime) -> datetime:
        """The last moment at which a run of that time may begin."""
        return fire + timedelta(seconds=self.window(properties))

    def merged(self, given: Properties, stored: Properties, known: tuple[str, ...]) -> dict[str, Any]:
        """What is stored, changed by what is given, with a checked window. Raises InvalidInput for a strange name."""
        kept = {name: value for name, value in {**stored, **given}.items() if value is not None}
        if strange := sorted(kept.keys() - set(known)):
            raise errors.InvalidInput(
                f"The property {strange[0][:40]!r} is not known. Known properties: {', '.join(known)}."
            )
        if "window" in kept:
            limits = self.limits
            kept["window"] = whole_seconds("window", kept["window"], limits.min_window, limits.max_window)
        return kept


def whole_seconds(name: str, value: object, lowest: int, highest: int) -> int:
    """A number of seconds of the API; old clients send it as text. Raises InvalidInput."""
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise errors.InvalidInput(f"{name} must be a whole number of seconds.")
    if not lowest <= value <= highest:
        raise errors.InvalidInput(f"{name} must be between {lowest} and {highest} seconds.")
    return value


def load_types(limits: Limits) -> dict[str, TriggerType]:
    """Every kind that is installed, by name."""
    return {name: plugin(limits) for name, plugin in loading.plugin_classes(GROUP).items()}

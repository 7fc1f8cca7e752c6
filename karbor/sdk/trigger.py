# SPDX-License-Identifier: Apache-2.0
"""What must a kind of trigger promise, so that the API can keep it and an engine can follow it?

A kind says which properties its triggers have. It is asked before anything is kept, so that whatever is kept works:
``accept`` refuses, or returns properties that the other methods take. ``karbor.operationengine.engine.triggers`` is the
group of the entry points; the entry's name is the ``type`` of the triggers.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from karbor.common import loading
from karbor.model import errors

GROUP = "karbor.operationengine.engine.triggers"
Properties = Mapping[str, Any]


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


class TriggerType(ABC):
    """One kind of triggers. Stateless between calls; used by many threads."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    @abstractmethod
    def accept(self, given: Properties, *, stored: Properties, created_at: datetime, now: datetime) -> dict[str, Any]:
        """The properties to keep: what is ``stored``, changed by what is ``given``; None takes one away.

        ``created_at`` is when the trigger was made, for a new one ``now``. Raises InvalidInput. Costs bounded time.
        """

    @abstractmethod
    def fires(self, properties: Properties, *, created_at: datetime, after: datetime) -> Iterator[datetime]:
        """The planned times behind ``after`` (UTC), ascending; nothing for a kind that waits for something to happen.

        ``properties`` were accepted. The end is where the trigger ends, or too far ahead to matter.
        """

    @abstractmethod
    def window(self, properties: Properties) -> int:
        """For how many seconds after its planned time a run may still begin."""


def load_types(limits: Limits) -> dict[str, TriggerType]:
    """Every kind that is installed, by name."""
    return {name: plugin(limits) for name, plugin in loading.plugin_classes(GROUP).items()}

# SPDX-License-Identifier: Apache-2.0
"""How far is a long piece of work, and when will it be done?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Progress:
    """A point of time in the life of an operation, as the API shows it.

    ``bytes_total`` is what must be looked at or moved (0 while it is not known yet), ``bytes_done`` how much of it is
    behind us. ``resource`` and ``phase`` say what is being done now. ``eta_seconds`` is None while no rate is known.
    """

    bytes_done: int = 0
    bytes_total: int = 0
    resource: str = ""
    phase: str = ""
    eta_seconds: int | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "bytes_done": self.bytes_done,
            "bytes_total": self.bytes_total,
            "resource": self.resource,
            "phase": self.phase,
            "eta_seconds": self.eta_seconds,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Progress":
        return cls(**{name: data[name] for name in cls.__dataclass_fields__ if name in data})


def eta(*, done: int, total: int, seconds: float) -> int | None:
    """Whole seconds left at the rate so far; None while there is nothing to judge by."""
    if done <= 0 or seconds <= 0 or total <= 0:
        return None
    return max(0, round((total - done) * seconds / done))

# SPDX-License-Identifier: Apache-2.0
"""What is the bringing back of a checkpoint?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from karbor.model import states
from karbor.model.progress import Progress


@dataclass(frozen=True)
class Restore:
    """One restore. ``resources_status`` and ``resources_reason`` are keyed ``TYPE#NEW_ID``, as the clients expect."""

    id: str
    project_id: str
    provider_id: str
    checkpoint_id: str
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    restore_target: str | None = None
    status: str = states.RESTORE.initial
    resources_status: Mapping[str, str] = field(default_factory=dict)
    resources_reason: Mapping[str, str] = field(default_factory=dict)
    progress: Progress = Progress()
    created_at: datetime | None = None
    updated_at: datetime | None = None
    finished_at: datetime | None = None


#: Options of a restore whose values nobody is shown again, by type.
SECRET_OPTIONS = {"OS::Heat::Stack": ("stack_parameters",)}
HIDDEN = "***"


def changed_secrets(
    parameters: Mapping[str, Mapping[str, Any]], change: Callable[[Any], Any]
) -> dict[str, dict[str, Any]]:
    """The parameters of a restore, with what ``change`` makes of each secret that is there."""
    return {
        key: {
            name: change(value) if value and name in SECRET_OPTIONS.get(key.partition("#")[0], ()) else value
            for name, value in options.items()
        }
        for key, options in parameters.items()
    }


def without_secrets(parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The parameters of a restore with ``***`` in the place of what is secret."""
    return changed_secrets(parameters, lambda _value: HIDDEN)

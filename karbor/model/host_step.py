# SPDX-License-Identifier: Apache-2.0
"""What is a step of a job that the worker of another host does?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from karbor.model import states

#: The phase of a host step that undoes what was begun for a resource.
ABANDON = "abandon"


@dataclass(frozen=True)
class HostStep:
    """One step on one resource, for the claim ``fence`` on a job. It is worth nothing when that claim is over.

    ``resource`` is the text of its key, ``results`` those of the steps it needs. Once it has ended there is an
    ``answer`` (``{"value": JSON}``) or a ``fault`` (see karbor.model.errors.to_dict). ``progress`` holds ``expected``
    and ``done`` (bytes). ``stopping``: whoever asked needs it no more. ``owner`` is the worker that does it.
    """

    id: str
    job_id: str
    fence: int
    host: str
    phase: str
    resource: str
    results: Mapping[str, Any] = field(default_factory=dict)
    state: str = states.HOST_STEP.initial
    answer: Mapping[str, Any] | None = None
    fault: Mapping[str, Any] | None = None
    progress: Mapping[str, int] | None = None
    owner: str | None = None
    lease_until_ms: int = 0
    stopping: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None

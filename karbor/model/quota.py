# SPDX-License-Identifier: Apache-2.0
"""How much may a project have, and how much has it?

A plan counts while it exists. A checkpoint counts from its creation until it is deleted, whatever its status; its
logical and stored bytes count with it.
"""

from dataclasses import dataclass

KINDS = ("plans", "checkpoints", "logical_bytes", "stored_bytes")
UNLIMITED = -1
#: The largest limit that can be kept.
MAX_LIMIT = 2**63 - 1
#: The class whose limits hold for every project that has none of its own.
DEFAULT_CLASS = "default"


@dataclass(frozen=True)
class Drift:
    """A count that was not what exists: ``kept`` in the counter, ``found`` when everything was counted anew.

    ``kind`` is one of KINDS, or "plan" for what is shown of the plan ``plan_id`` in lists.
    """

    project_id: str
    kind: str
    kept: int
    found: int
    plan_id: str | None = None

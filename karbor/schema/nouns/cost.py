# SPDX-License-Identifier: Apache-2.0
"""How is told what a checkpoint uses of quotas, and what a run of a plan would do?"""

from karbor.schema.nouns.selection import CHOSEN
from karbor.schema.types import COUNT, UUID, Schema, an_object, envelope

_USE = an_object(
    {
        "service": {"type": "string", "description": "Service of the cloud.", "examples": ["block-storage"]},
        "kind": {"type": "string", "description": "What that service calls the quota.", "examples": ["snapshots"]},
        "kept": {**COUNT, "description": "What stays with the checkpoint.", "examples": [0]},
        "passing": {**COUNT, "description": "The most that is used for a while besides.", "examples": [2]},
        "types": {
            "type": "object",
            "additionalProperties": COUNT,
            "description": "By type of resource, how much is used altogether, at one time or another.",
            "examples": [{"OS::Cinder::Volume": 2}],
        },
        "limit": {
            "type": ["integer", "null"],
            "description": "The quota when that was looked at; null: none, or it could not be found out.",
            "examples": [10],
        },
        "used": {"type": ["integer", "null"], "description": "What was in use then.", "examples": [3]},
    }
)
#: What a checkpoint uses of the quotas that its project has in services of a cloud.
COST: Schema = {"type": "array", "items": _USE, "examples": [[]]}
_CONFLICT = an_object(
    {
        "reason": {"type": "string", "examples": ["There is nothing that the plan chooses."]},
        "next_action": {"type": "string", "examples": ["change the plan"]},
    }
)
#: What a run would do.
CHECKPOINT_PLAN: Schema = envelope(
    "checkpoint_plan",
    {
        "title": "CheckpointPlan",
        **an_object(
            {
                "plan_id": {**UUID, "description": "The plan that would be run."},
                "provider_id": {**UUID, "description": "Its provider."},
                "chosen": {**CHOSEN, "description": "What the plan leads to now, and why."},
                "resources": {
                    "type": "object",
                    "additionalProperties": COUNT,
                    "description": "How many resources of each type would be protected, with all that depends on them.",
                    "examples": [{"OS::Nova::Server": 1}],
                },
                "cost": {**COST, "description": "What it would use of the quotas that the project has in the cloud."},
                "conflicts": {
                    "type": "array",
                    "items": _CONFLICT,
                    "description": "Why the run would fail as things stand, before anything is made.",
                },
            }
        ),
    },
)

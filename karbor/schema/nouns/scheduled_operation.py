# SPDX-License-Identifier: Apache-2.0
"""What does a scheduled operation look like in the API, and what may be scheduled how?"""

from karbor.schema.noun import Field, Noun
from karbor.schema.types import DESCRIPTION, LEAF, LINKS, NAME, PROJECT_ID, TIMESTAMP, UUID, Schema

#: A whole number; old clients send it as text. Zero and less mean no bound.
_BOUND: Schema = {"type": ["integer", "null"], "minimum": -1000000, "maximum": 1000000}
_WHAT: dict[str, Schema] = {
    "plan_id": {**UUID, "description": "The plan that is protected."},
    "provider_id": {**UUID, "description": "The provider of the plan.", "examples": [UUID["examples"][0]]},
}


def _definition(properties: dict[str, Schema]) -> Schema:
    return {
        "type": "object",
        "properties": {**_WHAT, **properties},
        "required": ["plan_id", "provider_id"],
        "maxProperties": 50,
        "propertyNames": {"pattern": r"^[A-Za-z0-9_.:-]{1,255}$(?!\n)"},
        "additionalProperties": {**LEAF, "maxLength": 1024},
    }


#: By operation_type: the shape of its operation_definition.
DEFINITIONS: dict[str, Schema] = {
    "protect": _definition({}),
    "retention_protect": _definition(
        {
            "max_backups": {**_BOUND, "description": "Keep at most so many; 0, less or absent: no bound."},
            "max_backup_duration": {**_BOUND, "description": "Keep each for so many days; the same."},
            "retention_duration": {**_BOUND, "description": "Another name of max_backup_duration."},
        }
    ),
}
_GIVEN: Schema = {
    "type": ["object", "string"],
    "maxLength": 4096,
    "maxProperties": 50,
    "additionalProperties": {**LEAF, "maxLength": 1024},
    "examples": [{"plan_id": UUID["examples"][0], "provider_id": UUID["examples"][0], "max_backups": 3}],
}

SCHEDULED_OPERATION = Noun(
    "scheduled_operation",
    "operations",
    {
        "id": Field(UUID, "Assigned by the service."),
        "name": Field(
            {**NAME, "examples": ["web shop, every night"]}, "Shown to people.", create="required", update="optional"
        ),
        "description": Field(DESCRIPTION, "For people.", create="optional", update="optional"),
        "operation_type": Field(
            {"type": "string", "enum": sorted(DEFINITIONS), "examples": ["retention_protect"]},
            "What is done: `protect`, or `retention_protect`, which removes old checkpoints too.",
            create="required",
        ),
        "trigger_id": Field(UUID, "When it is done.", create="required"),
        "operation_definition": Field(
            _GIVEN,
            "How it is done: `plan_id`, `provider_id`, and what the type takes. A text `key=value,key=value` is taken "
            "too. In a change, what is absent stays as it is, and null takes a key away.",
            create="required",
            update="optional",
        ),
        "enabled": Field(
            {"type": "boolean", "examples": [True]},
            "A disabled one stays, and is not run.",
            create="optional",
            update="optional",
        ),
        "project_id": Field(PROJECT_ID, "The project that owns it."),
        "created_at": Field(TIMESTAMP, "When it was made (UTC)."),
        "updated_at": Field(TIMESTAMP, "When it was last changed (UTC)."),
        "links": Field(LINKS, "Where it is found, its trigger, its plan and its provider."),
    },
)

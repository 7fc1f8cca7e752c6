# SPDX-License-Identifier: Apache-2.0
"""What does a published policy look like in the API?"""

from karbor.schema.noun import Field, Noun
from karbor.schema.nouns.scheduled_operation import DEFINITIONS
from karbor.schema.types import COUNT, DESCRIPTION, LEAF, LINKS, NAME, TIMESTAMP, UUID, Schema, an_object

MAX_SCHEDULES = 10
_TRIGGER: Schema = an_object(
    {
        "type": {"type": "string", "minLength": 1, "maxLength": 64, "description": "A kind that plans: `time`."},
        "properties": {
            "type": "object",
            "maxProperties": 30,
            "additionalProperties": {"anyOf": [LEAF, {"type": "array", "items": {"type": "string"}, "maxItems": 20}]},
            "description": "As those of a trigger.",
        },
    }
)
_DEFINITION: Schema = {
    "type": "object",
    "maxProperties": 50,
    "additionalProperties": {**LEAF, "maxLength": 1024},
    "description": "As that of a scheduled operation, without plan and provider: those of the plan are taken.",
}
_HOURLY = {"format": "crontab", "pattern": "0 * * * *"}
_SCHEDULE: Schema = {
    **an_object(
        {
            "name": {
                "type": "string",
                "pattern": r"^[A-Za-z0-9_.-]{1,64}$(?!\n)",
                "description": "Tells it apart from the others. What keeps its name is changed and not made anew.",
            },
            "operation_type": {"type": "string", "enum": sorted(DEFINITIONS), "description": "What is done."},
            "trigger": {**_TRIGGER, "description": "When it is done."},
            "definition": _DEFINITION,
        },
        required=("name", "operation_type", "trigger"),
    ),
}
_EXAMPLE = [
    {
        "name": "backup",
        "operation_type": "retention_protect",
        "trigger": {"type": "time", "properties": _HOURLY},
        "definition": {"keep_daily": 7, "keep_weekly": 4},
    },
    {
        "name": "verify",
        "operation_type": "verify",
        "trigger": {"type": "time", "properties": {"format": "crontab", "pattern": "0 5 * * SUN"}},
        "definition": {"level": "data"},
    },
]

POLICY = Noun(
    "policy",
    "policies",
    {
        "id": Field(UUID, "Assigned by the service."),
        "name": Field({**NAME, "examples": ["gold"]}, "Unique.", create="required", update="optional"),
        "description": Field(
            {**DESCRIPTION, "examples": ["hourly, 7 daily, 4 weekly, verified weekly"]},
            "For people.",
            create="optional",
            update="optional",
        ),
        "schedules": Field(
            {"type": "array", "items": _SCHEDULE, "minItems": 1, "maxItems": MAX_SCHEDULES, "examples": [_EXAMPLE]},
            "What every plan with this policy gets.",
            create="required",
            update="optional",
        ),
        "plans": Field({**COUNT, "examples": [0]}, "How many plans that you can see use it."),
        "created_at": Field(TIMESTAMP, "When it was made (UTC)."),
        "updated_at": Field(TIMESTAMP, "When it was last changed (UTC)."),
        "links": Field(LINKS, "Where it is found."),
    },
)

# SPDX-License-Identifier: Apache-2.0
"""What does a scheduled operation look like in the API, and what may be scheduled how?"""

from karbor.model.retention import LEVELS, SCOPES
from karbor.model.scheduled_run import OVERLAPS
from karbor.schema.noun import Field, Noun
from karbor.schema.types import COUNT, DESCRIPTION, LEAF, LINKS, NAME, PROJECT_ID, TEXT, TIMESTAMP, UUID, Schema

#: Spans of time of which the newest checkpoint is kept.
PERIODS = {"hourly": "hours", "daily": "days", "weekly": "weeks", "monthly": "months", "yearly": "years"}
#: A whole number; old clients send it as text. Zero and less mean no bound.
_BOUND: Schema = {"type": ["integer", "null"], "minimum": -1000000, "maximum": 1000000}
_WHAT: dict[str, Schema] = {
    "plan_id": {**UUID, "description": "The plan that is protected."},
    "provider_id": {**UUID, "description": "The provider of the plan.", "examples": [UUID["examples"][0]]},
}
_OVERLAP: Schema = {
    "type": ["string", "null"],
    "enum": [*OVERLAPS, None],
    "description": "Where the last run has not ended: `skip` this one, `queue` it behind, or `replace` the last one.",
}
_RETRIES: Schema = {
    "type": ["integer", "null"],
    "minimum": 0,
    "maximum": 10,
    "description": "How often a run that failed is begun anew.",
}
_RPO: Schema = {
    "type": ["integer", "null"],
    "minimum": 60,
    "maximum": 10 * 366 * 86400,
    "description": "Seconds that the last good checkpoint of the plan may be old until an alarm is raised; where it is "
    "absent, each planned time promises one. With `verified`: that was verified so deep.",
}
_LEVEL: Schema = {"type": ["string", "null"], "enum": [*LEVELS, None]}


def _definition(properties: dict[str, Schema], *, required: tuple[str, ...] = ()) -> Schema:
    return {
        "type": "object",
        "properties": {**_WHAT, "overlap": _OVERLAP, **properties},
        "required": ["plan_id", "provider_id", *required],
        "maxProperties": 50,
        "propertyNames": {"pattern": r"^[A-Za-z0-9_.:-]{1,255}$(?!\n)"},
        "additionalProperties": {**LEAF, "maxLength": 1024},
    }


def _keep(what: str) -> Schema:
    return {**_BOUND, "description": f"Keep the newest of each of the last so many {what} that have any."}


#: By operation_type: the shape of its operation_definition.
DEFINITIONS: dict[str, Schema] = {
    "protect": _definition({"max_retries": _RETRIES, "rpo": _RPO}),
    "retention_protect": _definition(
        {
            "max_retries": _RETRIES,
            "rpo": _RPO,
            "max_backups": {**_BOUND, "description": "Keep at most so many; 0, less or absent: no bound."},
            "max_backup_duration": {**_BOUND, "description": "Keep each for so many days; the same."},
            "retention_duration": {**_BOUND, "description": "Another name of max_backup_duration."},
            "keep_last": {**_BOUND, "description": "Keep the newest so many, whatever the bounds say."},
            **{f"keep_{name}": _keep(what) for name, what in PERIODS.items()},
            "keep_failed": {**_RETRIES, "maximum": 1000, "description": "Keep so many that failed; 3 where absent."},
            "verified": {**_LEVEL, "description": "Nothing goes until a newer one was verified so deep."},
            "scope": {
                "type": ["string", "null"],
                "enum": [*SCOPES, None],
                "description": "About the checkpoints of this schedule (where it is absent), or of all of the plan's.",
            },
            "timezone": {
                "type": ["string", "null"],
                "maxLength": 64,
                "description": "The zone in which days, weeks, months and years begin; UTC where it is absent.",
            },
        }
    ),
    "restore_check": _definition(
        {
            "level": {**_LEVEL, "description": "How deep what a restore reads is read; `data` where absent."},
            "conflicts": {
                "type": ["string", "null"],
                "enum": ["tell", "fail", None],
                "description": "Where a restore would be refused as things stand: `tell` of it, or `fail`.",
            },
        }
    ),
    "verify": _definition({"level": {**_LEVEL, "description": "How deep; as the provider does it where absent."}}),
    "copy": _definition(
        {"target_provider_id": {**UUID, "description": "The provider to copy to."}}, required=("target_provider_id",)
    ),
}
_PERMISSION: Schema = {
    "type": ["object", "null"],
    "properties": {
        "state": {"type": "string", "enum": ["ok", "lost"], "description": "Whether it holds."},
        "reason": {**TEXT, "description": "Why it does not."},
        "since": {**TIMESTAMP, "description": "Since when it is so (UTC)."},
        "user_id": {"type": "string", "description": "Whose permission it is."},
    },
    "required": ["state", "reason", "since", "user_id"],
    "additionalProperties": False,
    "examples": [{"state": "ok", "reason": None, "since": "2026-03-01T02:00:00.000000", "user_id": "a1b2"}],
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
            "What is done: `protect`; `retention_protect`, which removes old checkpoints too; `verify` the newest good "
            "checkpoint; `restore_check` asks what its restore would do, and reads all of it; `copy` what the other "
            "provider does not have.",
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
        "permission": Field(
            _PERMISSION,
            "Whether the service may act for the user of this schedule; null where nobody needs a permission (without "
            "Keystone). `lost` says why, and since when: nothing is done meanwhile, and its times are missed. It comes "
            "back by itself, or with the next change of the schedule.",
        ),
        "project_id": Field(PROJECT_ID, "The project that owns it."),
        "created_at": Field(TIMESTAMP, "When it was made (UTC)."),
        "updated_at": Field(TIMESTAMP, "When it was last changed (UTC)."),
        "next_run": Field(TIMESTAMP, "When it is done next (UTC); null where it is not."),
        "failures": Field(
            COUNT | {"examples": [0]}, "How many of its runs failed one after the other, the last first."
        ),
        "paused_until": Field(TIMESTAMP, "It rests until then (UTC) because they failed; null where it does not."),
        "links": Field(LINKS, "Where it is found, what became of its times, its trigger, its plan and its provider."),
    },
)

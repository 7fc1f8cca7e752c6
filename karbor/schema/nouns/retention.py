# SPDX-License-Identifier: Apache-2.0
"""How is it shown what a schedule would remove now, and what it would have kept after a year?"""

from karbor.model.retention import REASONS
from karbor.schema.types import COUNT, TIMESTAMP, UUID, Schema, an_object, envelope

#: So many checkpoints are shown one by one.
SHOWN = 1000
_COUNT: Schema = {**COUNT, "examples": [3]}
_STATUS: Schema = {"type": "string", "examples": ["available"]}
_ONE: dict[str, Schema] = {
    "checkpoint_id": UUID,
    "created_at": {**TIMESTAMP, "description": "When it was made (UTC)."},
    "status": _STATUS,
}
_WHY: Schema = {
    "type": "array",
    "items": {"type": "string", "enum": list(REASONS)},
    "description": "Why: the counts that keep it, `newest`, `locked` (or held), `not_own` (manual, foreign, a copy), "
    "`not_ended`, `failed` (kept to be looked at), `no_proof` (no newer one is verified so deep), `within_bounds`.",
    "examples": [["newest", "keep_daily"]],
}
_SCHEDULE: dict[str, Schema] = {
    "scheduled_operation_id": {**UUID, "description": "The schedule."},
    "plan_id": {**UUID, "description": "Its plan."},
}

_RETENTION = an_object(
    {
        **_SCHEDULE,
        "at": {**TIMESTAMP, "description": "The moment that is meant (UTC)."},
        "keeps": {
            "type": "array",
            "items": an_object({**_ONE, "reasons": _WHY}),
            "description": f"What stays, the newest first; at most {SHOWN} of them.",
        },
        "removes": {
            "type": "array",
            "items": an_object(_ONE),
            "description": f"What would be removed, the newest first; at most {SHOWN} of them.",
        },
        "kept": {**_COUNT, "description": "How many stay."},
        "removed": {**_COUNT, "description": "How many would be removed."},
    }
)
_FORECAST = an_object(
    {
        **_SCHEDULE,
        "from": {**TIMESTAMP, "description": "Where it begins (UTC)."},
        "until": {**TIMESTAMP, "description": "Where it ends (UTC)."},
        "complete": {
            "type": "boolean",
            "description": "False where it ends early, because there are too many times until then.",
            "examples": [True],
        },
        "months": {
            "type": "array",
            "description": "The months in which anything is made.",
            "items": an_object(
                {
                    "month": {"type": "string", "description": "In the zone of the policy.", "examples": ["2026-01"]},
                    "made": {**_COUNT, "description": "Checkpoints that are made in it."},
                    "removed": {**_COUNT, "description": "Those that are removed in it."},
                    "kept": {**_COUNT, "description": "Those of the plan that are there at its end."},
                }
            ),
        },
        "made": {**_COUNT, "description": "In all months."},
        "removed": {**_COUNT, "description": "In all months."},
        "kept": {**_COUNT, "description": "How many checkpoints of the plan are there at the end."},
        "checkpoints": {
            "type": "array",
            "description": f"What is there at the end, the newest first; at most {SHOWN} of them.",
            "items": an_object(
                {
                    "checkpoint_id": {
                        "type": ["string", "null"],
                        "description": "Null for one that does not exist yet.",
                        "examples": [None],
                    },
                    "created_at": {**TIMESTAMP, "description": "When it was, or will be made (UTC)."},
                    "status": _STATUS,
                }
            ),
        },
    }
)

#: Of one schedule, and of all schedules of a plan.
RETENTION, FORECAST = envelope("retention", _RETENTION), envelope("forecast", _FORECAST)
RETENTIONS = envelope("retentions", {"type": "array", "items": _RETENTION})
FORECASTS = envelope("forecasts", {"type": "array", "items": _FORECAST})

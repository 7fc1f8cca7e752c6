# SPDX-License-Identifier: Apache-2.0
"""What does a run of a scheduled operation look like in the API?"""

from karbor.model import states
from karbor.schema.noun import Field, Noun
from karbor.schema.nouns.scheduled_operation import DEFINITIONS
from karbor.schema.types import COUNT, LINKS, PROJECT_ID, TEXT, TIMESTAMP, UUID, Schema, an_object, envelope

_MAYBE_ID: Schema = {"type": ["string", "null"], "format": "uuid", "examples": UUID["examples"]}
_IDS: Schema = {"type": "array", "items": UUID, "examples": [[]]}

#: Do it now. The action itself says everything.
RUN: Schema = envelope("run", {**an_object({}), "description": "Nothing needs to be said.", "examples": [{}]})

SCHEDULED_RUN = Noun(
    "run",
    "runs",
    {
        "id": Field(UUID, "Assigned by the service."),
        "project_id": Field(PROJECT_ID, "The project that owns it."),
        "scheduled_operation_id": Field(UUID, "What was to be done."),
        "operation_type": Field(
            {"type": "string", "enum": sorted(DEFINITIONS), "examples": ["retention_protect"]}, "Its type."
        ),
        "scheduled_for": Field(TIMESTAMP, "The time it is for (UTC); of one by hand, when it was asked for."),
        "status": Field(
            {"type": "string", "enum": sorted(states.SCHEDULED_RUN.states), "examples": ["success"]},
            "`waiting` for its turn, `running`, or how it ended: as what it made did, `missed` where it could not begin"
            " within its window, `skipped` where the last one had not ended or the plan is suspended.",
        ),
        "manual": Field({"type": "boolean", "examples": [False]}, "Whether somebody asked for it by hand."),
        "reason": Field(TEXT, "Why it did not end well, or what it waits for."),
        "attempts": Field(COUNT, "How often it was begun."),
        "checkpoint_id": Field(_MAYBE_ID, "The checkpoint that it made."),
        "verification_id": Field({**_MAYBE_ID, "examples": [None]}, "The verification that it made."),
        "copies": Field(_IDS, "The copies that it made."),
        "failed_checkpoints": Field(_IDS, "The checkpoints of its earlier attempts."),
        "deleted_checkpoints": Field(COUNT, "How many old checkpoints it removed."),
        "event_id": Field({**_MAYBE_ID, "examples": [None]}, "The event that started it; null where it was a time."),
        "created_at": Field(TIMESTAMP, "When an engine took the time up (UTC)."),
        "started_at": Field(TIMESTAMP, "When its turn came (UTC)."),
        "ended_at": Field(TIMESTAMP, "When it ended (UTC)."),
        "links": Field(LINKS, "Where it is found, and what it made."),
    },
)

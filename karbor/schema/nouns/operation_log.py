# SPDX-License-Identifier: Apache-2.0
"""What does an entry of the operation log look like in the API?"""

from karbor.model.operation import OPERATIONS
from karbor.schema.noun import Field, Noun
from karbor.schema.types import PROJECT_ID, TEXT, TIMESTAMP, UUID, Schema

_MAYBE_ID: Schema = {"type": ["string", "null"], "format": "uuid", "examples": UUID["examples"]}

OPERATION_LOG = Noun(
    "operation_log",
    "operation_logs",
    {
        "id": Field(UUID, "Assigned by the service."),
        "operation_type": Field({"type": "string", "enum": [*OPERATIONS], "examples": ["protect"]}, "What was done."),
        "checkpoint_id": Field(_MAYBE_ID, "The checkpoint it was about."),
        "plan_id": Field(_MAYBE_ID, "The plan it was about."),
        "provider_id": Field(_MAYBE_ID, "The provider that did it."),
        "restore_id": Field({**_MAYBE_ID, "examples": [None]}, "The restore it was about."),
        "verification_id": Field({**_MAYBE_ID, "examples": [None]}, "The verification it was about."),
        "scheduled_operation_id": Field({**_MAYBE_ID, "examples": [None]}, "The schedule that asked for it."),
        "status": Field({"type": ["string", "null"], "examples": ["available"]}, "How it stands or ended."),
        "started_at": Field(TIMESTAMP, "When it was asked for (UTC)."),
        "ended_at": Field(TIMESTAMP, "When it ended (UTC)."),
        "error_info": Field(TEXT, "Why it failed."),
        "extra_info": Field({"type": ["object", "null"], "examples": [None]}, "What else is known."),
        "project_id": Field(PROJECT_ID, "The project that it was done for."),
        "request_id": Field(
            {"type": ["string", "null"], "examples": ["req-5a4f0f9e-0a3e-4f0c-9d3b-2d6a3b1c0e11"]},
            "The request that asked for it; the logs of all services name it.",
        ),
    },
)

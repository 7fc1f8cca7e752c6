# SPDX-License-Identifier: Apache-2.0
"""What does a restore look like in the API?"""

from karbor.model import states
from karbor.schema.noun import Field, Noun
from karbor.schema.types import PARAMETERS, PROGRESS, PROJECT_ID, TIMESTAMP, UUID, Schema, an_object

_AUTH: Schema = {
    **an_object(
        {
            "type": {"type": ["string", "null"], "maxLength": 255, "examples": ["password"]},
            "username": {"type": ["string", "null"], "maxLength": 255},
            "password": {"type": ["string", "null"], "maxLength": 255, "writeOnly": True},
        },
        required=(),
    ),
    "type": ["object", "null"],
    "examples": [None],
}
_TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}

RESTORE = Noun(
    "restore",
    "restores",
    {
        "id": Field(UUID, "Assigned by the service."),
        "project_id": Field(PROJECT_ID, "The project that owns it."),
        "provider_id": Field(UUID, "The provider of the checkpoint.", create="required"),
        "checkpoint_id": Field(UUID, "What is brought back.", create="required"),
        "restore_target": Field(
            {"type": ["string", "null"], "maxLength": 255, "examples": [None]},
            "Another place to restore to; refused where the provider cannot.",
            create="optional",
        ),
        "restore_auth": Field(_AUTH, "How to log in there. Never stored, never shown.", create="optional", shown=False),
        "parameters": Field(
            {**PARAMETERS, "examples": [{"Libvirt::Domain": {"name": "web1-restored"}}]},
            "Options by `TYPE` or `TYPE#ID`; the provider's restore_schema tells which there are.",
            create="optional",
        ),
        "status": Field(
            {"type": "string", "enum": sorted(states.RESTORE.states), "examples": [states.RESTORE.initial]},
            "How it stands.",
        ),
        "resources_status": Field(
            {**_TEXTS, "examples": [{"Libvirt::Domain#9a1b6c1e-07a3-4f5e-8f5d-2b7d5f1c3a44": "restoring"}]},
            "By `TYPE#NEW_ID`: restoring, available or error.",
        ),
        "resources_reason": Field({**_TEXTS, "examples": [{}]}, "By `TYPE#NEW_ID`: why it failed."),
        "progress": Field(PROGRESS, "How far the work is."),
        "created_at": Field(TIMESTAMP, "When it was asked for (UTC)."),
        "updated_at": Field(TIMESTAMP, "When its row last changed (UTC)."),
        "finished_at": Field(TIMESTAMP, "When it ended (UTC)."),
    },
)

# SPDX-License-Identifier: Apache-2.0
"""What does a copy of checkpoints to another provider look like in the API?"""

from karbor.schema.types import PARAMETERS, PROJECT_ID, UUID, Schema, an_object, envelope

_ANOTHER_ID = "3f0d4a5e-6c1b-4d0e-9b55-2b1f3a7c9e10"
_MAYBE_ID: Schema = {**UUID, "type": ["string", "null"]}
_TARGET: Schema = {**_MAYBE_ID, "description": "The provider to copy to.", "examples": [_ANOTHER_ID]}
_PAIR = an_object(
    {
        "checkpoint_protect_id": {**UUID, "description": "What is copied."},
        "checkpoint_copy_id": {**UUID, "description": "Its copy at the other provider.", "examples": [_ANOTHER_ID]},
    }
)

#: The body of a copy action.
COPY: Schema = envelope(
    "copy",
    an_object(
        {
            "plan_id": {**UUID, "description": "The plan whose checkpoints are copied."},
            "checkpoint_id": {
                **_MAYBE_ID,
                "description": "Only this checkpoint; all that have no copy over there where it is left out.",
                "examples": [None],
            },
            "target_provider_id": _TARGET,
            "parameters": {
                **PARAMETERS,
                "type": ["object", "null"],
                "properties": {"target_provider_id": _TARGET},
                "description": "Options by `TYPE` or `TYPE#ID`; the provider's copy_schema tells which there are. The"
                " provider to copy to may be named here, too.",
                "examples": [{}],
            },
        },
        required=("plan_id",),
    ),
)
#: The answer. ``checkpoint_id`` is a list: that is how this API has always been.
COPIED: Schema = envelope(
    "copy",
    {
        "title": "Copy",
        **an_object(
            {
                "project_id": {**PROJECT_ID, "description": "The project that owns them."},
                "provider_id": {**UUID, "description": "The provider that is copied from."},
                "target_provider_id": {
                    **UUID,
                    "description": "The provider that is copied to.",
                    "examples": [_ANOTHER_ID],
                },
                "plan_id": {**UUID, "description": "The plan."},
                "checkpoint_id": {
                    "type": "array",
                    "items": _PAIR,
                    "description": "What is being copied now; empty where everything has a copy already.",
                },
                "parameters": {"type": "object", "description": "What was given.", "examples": [{}]},
            }
        ),
    },
)

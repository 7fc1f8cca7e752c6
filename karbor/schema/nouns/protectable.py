# SPDX-License-Identifier: Apache-2.0
"""What do resource types and the live inventory look like in the API?"""

from karbor.schema.noun import Field, Noun
from karbor.schema.types import RESOURCE_TYPE, Schema, an_object, envelope

_EXTRA: Schema = {"type": ["object", "null"], "examples": [{"state": "running"}]}
_ID: Schema = {"type": "string", "examples": ["9a1b6c1e-07a3-4f5e-8f5d-2b7d5f1c3a44"]}
_NAME: Schema = {"type": "string", "examples": ["web1"]}

TYPES: Schema = envelope(
    "protectable_type", {"type": "array", "items": RESOURCE_TYPE, "description": "Every type that can be found here."}
)
TYPE: Schema = envelope(
    "protectable_type",
    an_object(
        {
            "name": {**RESOURCE_TYPE, "description": "The type."},
            "dependent_types": {
                "type": "array",
                "items": {**RESOURCE_TYPE, "examples": ["Libvirt::Disk"]},
                "description": "Types of which such a resource may have dependents.",
            },
        }
    ),
)

INSTANCE = Noun(
    "instance",
    "instances",
    {
        "id": Field(_ID, "Id in the inventory."),
        "type": Field(RESOURCE_TYPE, "Resource type."),
        "name": Field(_NAME, "Name in the inventory."),
        "extra_info": Field(_EXTRA, "What else is known of it."),
        "dependent_resources": Field(
            {
                "type": "array",
                "items": an_object({"type": RESOURCE_TYPE, "id": _ID, "name": _NAME, "extra_info": _EXTRA}),
            },
            "What is protected together with it.",
        ),
    },
)

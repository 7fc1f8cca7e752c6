# SPDX-License-Identifier: Apache-2.0
"""What does a provider look like in the API?"""

from karbor.schema.noun import Field, Noun
from karbor.schema.types import LINKS, UUID, Schema, an_object

SCHEMAS = ("options_schema", "restore_schema", "saved_info_schema", "verify_schema", "copy_schema")
_BY_TYPE: Schema = {
    "type": "object",
    "additionalProperties": {"type": "object"},
    "description": "Resource type to JSON Schema.",
    "examples": [{"Libvirt::Domain": {"type": "object", "properties": {}}}],
}

PROVIDER = Noun(
    "provider",
    "providers",
    {
        "id": Field(UUID, "Set in the provider's file."),
        "name": Field({"type": "string", "examples": ["libvirt"]}, "Shown to people."),
        "description": Field({"type": ["string", "null"], "examples": ["Guests of this host"]}, "For people."),
        "extended_info_schema": Field(
            an_object(dict.fromkeys(SCHEMAS, _BY_TYPE)),
            "Which options each resource type takes when it is protected, restored, verified and copied.",
        ),
        "available": Field({"type": "boolean", "examples": [True]}, "Whether its bank could be used just now."),
        "reason": Field({"type": ["string", "null"], "examples": [None]}, "Why it is not available."),
        "links": Field(LINKS, "Where it is found, and its checkpoints."),
    },
)

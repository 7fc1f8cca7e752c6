# SPDX-License-Identifier: Apache-2.0
"""How does a plan choose resources without naming them, and how is it told what was chosen?"""

from karbor.model.selection import METADATA, NAME, TAGS
from karbor.schema.types import END, PRINTABLE, RESOURCE_ID, RESOURCE_TYPE, Schema, an_object

_TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": PRINTABLE}
_TAG: Schema = {"type": "string", "pattern": r"^[^\x00-\x1f\x7f,/]{1,255}" + END, "examples": ["db"]}
_PATTERN: dict[str, Schema] = {
    TAGS: {
        "type": "array",
        "items": _TAG,
        "minItems": 1,
        "maxItems": 50,
        "description": "Tags of the resource.",
        "examples": [["db"]],
    },
    METADATA: {
        "type": "object",
        "propertyNames": {"minLength": 1, "maxLength": 255},
        "additionalProperties": {"type": "string", "maxLength": 255},
        "maxProperties": 50,
        "description": "Metadata of the resource: properties of an image.",
        "examples": [{"tier": "gold"}],
    },
    NAME: {
        **_TEXT,
        "description": "A pattern of names: `*` stands for any text, `?` for one character, `[ab]` for one of these. "
        "Capitals count.",
        "examples": ["web-*"],
    },
}
_IDS: Schema = {
    "type": "array",
    "items": RESOURCE_ID,
    "maxItems": 1000,
    "description": "Ids of resources.",
    "examples": [[RESOURCE_ID["examples"][0]]],
}
_CHOICE: Schema = {
    "title": "Choice",
    **an_object(
        {
            "type": {**RESOURCE_TYPE, "description": "Resources of this type.", "examples": ["OS::Nova::Server"]},
            **_PATTERN,
            "exclude": {
                **an_object({"ids": _IDS, **_PATTERN}, required=()),
                "description": "Without those to which any of this applies.",
                "examples": [{"tags": ["scratch"]}],
            },
        },
        required=("type",),
    ),
    "examples": [{"type": "OS::Nova::Server", TAGS: ["db"], NAME: "web-*"}],
}
SELECTION: Schema = {"type": "array", "items": _CHOICE, "maxItems": 100, "examples": [[]]}

_FOUND = an_object(
    {
        "type": RESOURCE_TYPE,
        "id": {"type": "string", "examples": [RESOURCE_ID["examples"][0]]},
        "name": {"type": "string", "examples": ["web-1"]},
        "reasons": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Why: `named in the plan`, or what of the selection fits.",
            "examples": [["tag=db"]],
        },
    }
)
#: What was chosen, and why.
CHOSEN: Schema = {
    **an_object(
        {
            "resources": {"type": "array", "items": _FOUND, "description": "What the plan led to, without dependents."},
            "empty": {
                "type": "array",
                "items": {"type": "string"},
                "description": "What of the selection found nothing.",
                "examples": [[]],
            },
        }
    ),
    "type": ["object", "null"],
    "examples": [None],
}

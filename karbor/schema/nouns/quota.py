# SPDX-License-Identifier: Apache-2.0
"""What do quotas look like in the API?"""

from karbor.model.quota import KINDS, MAX_LIMIT, UNLIMITED
from karbor.schema.types import COUNT, Schema, an_object, envelope

_TEXTS = {
    "plans": "Plans of the project.",
    "checkpoints": "Checkpoints of the project.",
    "logical_bytes": "Bytes of all that its checkpoints hold, each counted in full.",
    "stored_bytes": "Bytes that its checkpoints take in the banks.",
}
_EXAMPLES = {"plans": 50}
_LIMIT: Schema = {"type": "integer", "minimum": UNLIMITED, "maximum": MAX_LIMIT}
_ID: Schema = {"type": "string", "description": "The project, or the name of the class."}
_LIMITS: dict[str, Schema] = {
    kind: {**_LIMIT, "description": f"{_TEXTS[kind]} -1: no limit.", "examples": [_EXAMPLES.get(kind, UNLIMITED)]}
    for kind in KINDS
}
_USE = an_object(
    {
        "limit": {**_LIMIT, "description": "-1: no limit.", "examples": [50]},
        "in_use": {**COUNT, "description": "What there is.", "examples": [3]},
        "reserved": {**COUNT, "description": "What is being made.", "examples": [0]},
    }
)
_PROJECT = {**_ID, "examples": ["3c65d64bc6a64aa3a2ec1b4ec4e1ee0c"]}
_CLASS = {**_ID, "examples": ["default"]}


def _change(name: str) -> Schema:
    """Limits to set. A key that is not known changes nothing, as old clients rely on."""
    example = {"plans": 50}
    inner: Schema = {"type": "object", "properties": _LIMITS, "additionalProperties": True, "examples": [example]}
    return envelope(name, inner)


QUOTA = envelope("quota", an_object({"id": _PROJECT, **_LIMITS}))
QUOTA_DETAIL = envelope(
    "quota",
    an_object({"id": _PROJECT, **{kind: {**_USE, "description": _TEXTS[kind]} for kind in KINDS}}),
)
QUOTA_CHANGE = _change("quota")
QUOTA_CLASS = envelope("quota_class", an_object({"id": _CLASS, **_LIMITS}))
QUOTA_CLASS_CHANGE = _change("quota_class")

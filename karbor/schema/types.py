# SPDX-License-Identifier: Apache-2.0
"""Which shapes of values occur again and again in the API?

Plain JSON Schema (draft 2020-12, as OpenAPI 3.1 uses it). Compose; never change one in place.
"""

from typing import Any

Schema = dict[str, Any]

_SAMPLE_ID = "0ec1ee2c-5a4b-4f45-9a9b-d9b6f8c2a8f5"
#: The true end of a text: Python's ``$`` also matches before a last line feed, that of ECMA does not.
END = r"$(?!\n)"
#: Any text without control characters.
PRINTABLE = r"^[^\x00-\x1f\x7f]*" + END

UUID: Schema = {"type": "string", "format": "uuid", "examples": [_SAMPLE_ID]}
PROJECT_ID: Schema = {"type": "string", "examples": ["3c65d64bc6a64aa3a2ec1b4ec4e1ee0c"]}
NAME: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "allOf": [{"pattern": PRINTABLE}, {"pattern": r"\S"}],
    "examples": ["web shop"],
}
DESCRIPTION: Schema = {"type": ["string", "null"], "maxLength": 255, "pattern": PRINTABLE, "examples": ["every night"]}
RESOURCE_TYPE: Schema = {
    "type": "string",
    "pattern": r"^[A-Za-z0-9_]+(::[A-Za-z0-9_]+)+" + END,
    "maxLength": 64,
    "examples": ["Libvirt::Domain"],
}
#: A uuid, or a project id as Keystone makes them.
RESOURCE_ID: Schema = {
    "type": "string",
    "pattern": r"^([0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9A-Fa-f]{32})" + END,
    "examples": ["9a1b6c1e-07a3-4f5e-8f5d-2b7d5f1c3a44"],
}
LEAF: Schema = {"type": ["string", "number", "boolean", "null"]}
FLAT_OBJECT: Schema = {"type": "object", "additionalProperties": LEAF, "examples": [{}]}
ANY_OBJECT: Schema = {"type": "object", "examples": [{}]}
#: Options for resources: by type, or by type and id. Null leaves mean "not given"; the dashboard sends them.
PARAMETERS: Schema = {
    "type": "object",
    "propertyNames": {"pattern": r"^[A-Za-z0-9\-_:.# ]{1,255}" + END},
    "additionalProperties": {
        "type": ["object", "null"],
        "propertyNames": {"pattern": r"^[A-Za-z0-9\-_:.# ]{1,255}" + END},
        "additionalProperties": LEAF,
    },
    "examples": [{}],
}
TIMESTAMP: Schema = {
    "type": ["string", "null"],
    "format": "timestamp",
    "examples": ["2026-01-02T03:04:05.000000"],
}
DURATION: Schema = {"type": ["number", "null"], "minimum": 0, "examples": [12.5]}
DATE: Schema = {"type": "string", "format": "date", "examples": ["2026-01-02"]}
COUNT: Schema = {"type": "integer", "minimum": 0, "examples": [1048576]}
TEXT: Schema = {"type": ["string", "null"], "examples": [None]}

RESOURCE: Schema = {
    "title": "Resource",
    "type": "object",
    "properties": {
        "id": RESOURCE_ID,
        "type": RESOURCE_TYPE,
        "name": {**NAME, "examples": ["web1"]},
        "extra_info": {**FLAT_OBJECT, "type": ["object", "null"]},
    },
    "required": ["id", "type", "name"],
    "additionalProperties": False,
    "examples": [{"id": RESOURCE_ID["examples"][0], "type": "Libvirt::Domain", "name": "web1"}],
}

LINKS: Schema = {
    "title": "Links",
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"rel": {"type": "string"}, "href": {"type": "string"}},
        "required": ["rel", "href"],
        "additionalProperties": False,
    },
    "examples": [[{"rel": "self", "href": "http://127.0.0.1:8799/v1/"}]],
}

PROGRESS: Schema = {
    "title": "Progress",
    "type": "object",
    "properties": {
        "bytes_done": {**COUNT, "description": "Bytes that are behind us."},
        "bytes_total": {**COUNT, "description": "Bytes that must be looked at or moved; 0 while that is not known."},
        "resource": {"type": "string", "description": "What is being worked on.", "examples": ["Libvirt::Domain#web1"]},
        "phase": {"type": "string", "description": "What is being done with it.", "examples": ["protect"]},
        "eta_seconds": {"type": ["integer", "null"], "description": "Seconds left; null while there is no rate."},
    },
    "required": ["bytes_done", "bytes_total", "resource", "phase", "eta_seconds"],
    "additionalProperties": False,
}


#: Marks, in the schema of what a plug-in saves, the values that users are told.
TOLD = "x-told"


def an_object(properties: dict[str, Schema], *, required: tuple[str, ...] | None = None) -> Schema:
    """A closed object; every property is required unless ``required`` names fewer."""
    wanted = list(properties) if required is None else list(required)
    found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**found, "required": wanted} if wanted else found


def envelope(name: str, inner: Schema) -> Schema:
    """An object with one key, as every body of the API has it."""
    return an_object({name: inner})

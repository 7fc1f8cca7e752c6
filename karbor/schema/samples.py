# SPDX-License-Identifier: Apache-2.0
"""What does a typical value of a schema look like?"""

from typing import Any

from karbor.schema.types import Schema

_PLAIN: dict[str, Any] = {"string": "text", "integer": 0, "number": 0, "boolean": False, "null": None}


def sample(schema: Schema) -> Any:
    """The schema's own example where it has one; else one made of the examples of its parts."""
    if schema.get("examples"):
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return sample(schema["anyOf"][0])
    kind = schema.get("type", "object")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        return {name: sample(inner) for name, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [sample(schema["items"])]
    return _PLAIN[kind]

# SPDX-License-Identifier: Apache-2.0
"""What does a version of the API look like?"""

from karbor.schema.types import LINKS, Schema, an_object, envelope

_VERSION: Schema = an_object(
    {
        "id": {"type": "string", "examples": ["v1.0"]},
        "status": {"type": "string", "examples": ["CURRENT"]},
        "version": {"type": "string", "description": "Empty: there are no microversions.", "examples": [""]},
        "min_version": {"type": "string", "description": "Empty: there are no microversions.", "examples": [""]},
        "links": LINKS,
    }
)
VERSIONS: Schema = envelope("versions", {"type": "array", "items": _VERSION})
VERSION: Schema = envelope("version", _VERSION)

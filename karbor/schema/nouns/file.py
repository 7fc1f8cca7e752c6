# SPDX-License-Identifier: Apache-2.0
"""What do the files of a checkpoint look like in the API?"""

from karbor.schema.query import PAGING
from karbor.schema.types import COUNT, END, PRINTABLE, TIMESTAMP, Schema, an_object

_TEXT: Schema = {"type": "string"}

#: Parameters of the query string.
PARAMETERS: dict[str, Schema] = {
    "resource": {
        "type": "string",
        "maxLength": 512,
        "pattern": PRINTABLE,
        "description": "The disk, `TYPE#ID[@PARENT]`; needed where the checkpoint has several.",
    },
    "stream": {"type": "string", "maxLength": 255, "pattern": PRINTABLE, "description": "The stream of that name."},
    "volume": {
        "type": "string",
        "maxLength": 255,
        "pattern": PRINTABLE,
        "description": "The partition or logical volume; needed where several can be read.",
    },
    "path": {
        "type": "string",
        "minLength": 1,
        "maxLength": 4096,
        "pattern": r"^/[^\x00]*" + END,
        "description": "The directory to list, or one file. Only the volumes are told where it is left out.",
        "examples": ["/etc"],
    },
    "limit": PAGING["limit"],
    "marker": {"type": "string", "maxLength": 4096, "description": "The last name already seen."},
}
#: Those of the content of one file, and what that is.
CONTENT_PARAMETERS: dict[str, Schema] = {
    **{name: PARAMETERS[name] for name in ("resource", "stream", "volume")},
    "path": {**PARAMETERS["path"], "description": "The file.", "examples": ["/etc/hosts"], "x-required": True},
}
MEDIA = "application/octet-stream"
_VOLUME = an_object(
    {
        "volume": {**_TEXT, "description": "Its name.", "examples": ["p1"]},
        "size": {**COUNT, "description": "Bytes."},
        "format": {**_TEXT, "description": "What lies there; empty where it is not known.", "examples": ["ext"]},
        "readable": {"type": "boolean", "description": "Whether its files can be listed.", "examples": [True]},
    }
)
_FILE = an_object(
    {
        "name": {**_TEXT, "description": "As the disk has it: any text.", "examples": ["etc"]},
        "kind": {
            "type": "string",
            "enum": ["directory", "file", "link", "other", "unreadable"],
            "description": "What it is.",
            "examples": ["directory"],
        },
        "mode": {**COUNT, "description": "Permission bits.", "examples": [493]},
        "size": {**COUNT, "description": "Bytes of a file.", "examples": [0]},
        "uid": {**COUNT, "description": "Number of its owner.", "examples": [0]},
        "gid": {**COUNT, "description": "Number of its group.", "examples": [0]},
        "modified": {**TIMESTAMP, "description": "When its content last changed (UTC)."},
        "target": {"type": ["string", "null"], "description": "Of a link: as the disk has it.", "examples": [None]},
    }
)
#: The answer.
FILES: Schema = an_object(
    {
        "files": {"type": "array", "items": _FILE, "description": "In order of their names."},
        "volumes": {"type": "array", "items": _VOLUME, "description": "What the disk has."},
        "note": {
            "type": ["string", "null"],
            "description": "What to know of it, such as that it was not frozen.",
            "examples": [None],
        },
    }
)

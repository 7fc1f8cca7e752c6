# SPDX-License-Identifier: Apache-2.0
"""What does a checkpoint that is offered as disks look like in the API?"""

from karbor.model import states
from karbor.schema.noun import Field, Noun
from karbor.schema.types import COUNT, END, LINKS, PROJECT_ID, TEXT, TIMESTAMP, UUID, Schema, an_object

_DISK = "Libvirt::Disk#5b0f7c1e-07a3-4f5e-8f5d-2b7d5f1c3a44@9a1b6c1e-07a3-4f5e-8f5d-2b7d5f1c3a44"
_KEY: Schema = {
    "type": ["string", "null"],
    "minLength": 1,
    "maxLength": 512,
    "pattern": r"^[A-Za-z0-9_.:#@-]*" + END,
    "examples": [_DISK],
}
_NAME: Schema = {
    "type": ["string", "null"],
    "minLength": 1,
    "maxLength": 255,
    "pattern": r"^[A-Za-z0-9_.-]*" + END,
    "examples": ["disk"],
}
_STREAM = an_object(
    {
        "resource": {"type": "string", "description": "`TYPE#ID[@PARENT]`.", "examples": [_DISK]},
        "stream": {"type": "string", "description": "Its name in the checkpoint.", "examples": ["disk"]},
        "size": {**COUNT, "description": "Bytes of the disk."},
        "uri": {
            "type": "string",
            "description": "For NBD clients on that host.",
            "examples": ["nbd+unix:///?socket=/var/lib/karbor/exports/0ec1ee2c-5a4b-4f45-9a9b-d9b6f8c2a8f5/nbd.sock"],
        },
    }
)

EXPORT = Noun(
    "export",
    "exports",
    {
        "id": Field(UUID, "Assigned by the service."),
        "project_id": Field(PROJECT_ID, "The project that owns it."),
        "provider_id": Field(UUID, "The provider of the checkpoint."),
        "checkpoint_id": Field(UUID, "What is offered. It cannot be deleted meanwhile."),
        "resource": Field(
            _KEY, "Only the streams of this resource (`TYPE#ID[@PARENT]`); all where null.", create="optional"
        ),
        "stream": Field(_NAME, "Only the streams of this name; all where null.", create="optional"),
        "host": Field(
            {"type": ["string", "null"], "minLength": 1, "maxLength": 255, "examples": ["kvm1"]},
            "The worker's host that offers it, and where it must be read; any that has the provider where null.",
            create="optional",
        ),
        "seconds": Field(
            {"type": "integer", "minimum": 1, "examples": [3600]},
            "How long it is there; 3600 where it is left out. The service has a bound.",
            create="optional",
            shown=False,
        ),
        "status": Field(
            {"type": "string", "enum": sorted(states.EXPORT.states), "examples": ["active"]},
            "It can be read while it is `active`. `closed` when it was asked for or its time was over.",
        ),
        "streams": Field(
            {"type": "array", "items": _STREAM, "description": "What is offered."}, "What is offered, once it is."
        ),
        "reason": Field(TEXT, "Why it could not be offered, or ended."),
        "expires_at": Field(TIMESTAMP, "When it ends by itself (UTC)."),
        "created_at": Field(TIMESTAMP, "When it was asked for (UTC)."),
        "updated_at": Field(TIMESTAMP, "When its row last changed (UTC)."),
        "finished_at": Field(TIMESTAMP, "When it ended (UTC)."),
        "links": Field(LINKS, "Where it is found, and its checkpoint."),
    },
)

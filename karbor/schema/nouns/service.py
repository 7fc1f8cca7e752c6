# SPDX-License-Identifier: Apache-2.0
"""What does a service (a daemon on a host) look like in the API?"""

from karbor.schema.noun import Field, Noun
from karbor.schema.types import PRINTABLE, TEXT, TIMESTAMP, Schema, an_object

_STATUS: Schema = {"type": "string", "enum": ["enabled", "disabled"]}
_REASON: Schema = {"type": ["string", "null"], "maxLength": 255, "pattern": PRINTABLE, "examples": ["new disks"]}

SERVICE = Noun(
    "service",
    "services",
    {
        "id": Field({"type": "integer", "minimum": 1, "examples": [1]}, "Assigned by the service."),
        "binary": Field({"type": "string", "examples": ["karbor-operationengine"]}, "Which daemon."),
        "host": Field({"type": "string", "examples": ["control1"]}, "On which host."),
        "status": Field(_STATUS, "What an administrator wants of it."),
        "state": Field(
            {"type": "string", "enum": ["up", "down"]},
            "Whether it gave a sign of life within service_down_time.",
        ),
        "updated_at": Field(TIMESTAMP, "Its last sign of life (UTC)."),
        "disabled_reason": Field(TEXT, "Why it was disabled."),
    },
)
#: A list without pages: there are a few for each host.
SERVICES: Schema = an_object(
    {"services": {"type": "array", "items": SERVICE.object, "description": "By daemon and host."}}
)
#: The one body of the API without an envelope.
CHANGE: Schema = {
    **an_object(
        {
            "status": {**_STATUS, "description": "Only karbor-operationengine can be disabled."},
            "disabled_reason": {**_REASON, "description": "Only together with `disabled`."},
        },
        required=("status",),
    ),
    "x-bare": True,
    "examples": [{"status": "disabled", "disabled_reason": "new disks"}],
}

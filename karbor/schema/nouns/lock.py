# SPDX-License-Identifier: Apache-2.0
"""How is it said that a checkpoint must stay?"""

from karbor.model.lock import MAX_DAYS, MODES
from karbor.schema.types import END, PRINTABLE, Schema, an_object, envelope

_NOTHING: Schema = {**an_object({}), "description": "Nothing needs to be said.", "examples": [{}]}
_MODE: Schema = {
    "type": "string",
    "enum": list(MODES),
    "description": "`governance`: can be lifted by those who may; `compliance`: by nobody.",
    "examples": ["governance"],
}
_DAY = "^[0-9]{4}-[0-9]{2}-[0-9]{2}"
BODIES = (
    envelope(
        "lock",
        an_object(
            {
                "mode": _MODE,
                "until": {
                    "type": "string",
                    "pattern": _DAY + r"([T ][0-9:.]{5,15}(Z|[+-][0-9:]{5,8})?)?" + END,
                    "maxLength": 40,
                    "description": "When the lock ends: a moment by ISO 8601, in UTC where it names no zone.",
                    "examples": ["2027-01-02T03:04:05"],
                },
            }
        ),
    ),
    envelope("unlock", _NOTHING),
    envelope(
        "hold",
        an_object(
            {
                "reason": {
                    "type": "string",
                    "maxLength": 255,
                    "pattern": PRINTABLE,
                    "description": "Shown to whoever wants to delete it.",
                    "examples": ["case 4711"],
                }
            }
        ),
    ),
    envelope("release", _NOTHING),
)
#: In the parameters of a plan: how each of its checkpoints is locked. Never weaker than the provider asks for.
OPTIONS: Schema = an_object(
    {
        "mode": _MODE,
        "days": {
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_DAYS,
            "description": "For so long from the commit on.",
            "examples": [30],
        },
    }
)

# SPDX-License-Identifier: Apache-2.0
"""Which actions take a body of their own, and of which form?"""

from karbor.schema.types import Schema, an_object, envelope

#: End what is running. The action itself says everything.
CANCEL: Schema = envelope("cancel", {**an_object({}), "description": "Nothing needs to be said.", "examples": [{}]})
#: Say in which state a checkpoint is, where nothing works on it that would know better.
RESET: Schema = envelope(
    "os-resetState",
    an_object(
        {
            "state": {
                "type": "string",
                "enum": ["available", "error"],
                "description": "`error` from every state that nothing works on; `available` (for administrators) only"
                " where the checkpoint was complete once.",
                "examples": ["error"],
            }
        }
    ),
)

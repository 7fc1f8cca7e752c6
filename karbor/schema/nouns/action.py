# SPDX-License-Identifier: Apache-2.0
"""Which actions take a body of their own, and of which form?"""

from karbor.schema.nouns import lock
from karbor.schema.nouns.export import EXPORT
from karbor.schema.samples import sample
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


def one_of(*bodies: Schema) -> Schema:
    """A body that is one of these envelopes; the operation sees all of it, and so which one."""
    properties = {name: inner for body in bodies for name, inner in body["properties"].items()}
    found = an_object(properties, required=())
    name, inner = next(iter(properties.items()))
    return {**found, "minProperties": 1, "maxProperties": 1, "x-bare": True, "examples": [{name: sample(inner)}]}


#: What can be asked of one checkpoint.
CHECKPOINT: Schema = one_of(CANCEL, EXPORT.create, *lock.BODIES)

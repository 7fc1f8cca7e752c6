# SPDX-License-Identifier: Apache-2.0
"""What does a checkpoint look like in the API?"""

from karbor.model import states
from karbor.model.checkpoint import CONSISTENCY
from karbor.model.lock import MODES
from karbor.schema.noun import Field, Noun
from karbor.schema.nouns.cost import CHECKPOINT_PLAN, COST
from karbor.schema.nouns.selection import CHOSEN, SELECTION
from karbor.schema.types import (
    ANY_OBJECT,
    COUNT,
    DURATION,
    LEAF,
    LINKS,
    NAME,
    PROGRESS,
    PROJECT_ID,
    RESOURCE,
    TIMESTAMP,
    UUID,
    Schema,
    an_object,
)

_EXTRA: Schema = {
    "type": ["object", "null"],
    "maxProperties": 128,
    "propertyNames": {"minLength": 1, "maxLength": 255},
    "additionalProperties": LEAF,
    "examples": [{"ticket": "4711"}],
}
_PLAN = an_object(
    {
        "id": UUID,
        "name": NAME,
        "provider_id": UUID,
        "resources": {"type": "array", "items": RESOURCE},
        "parameters": ANY_OBJECT,
        "selection": SELECTION,
    },
    required=("id", "name", "provider_id", "resources"),
)
_REASON = {
    **an_object(dict.fromkeys(("resource", "step", "cause", "next_action"), {"type": "string"})),
    "type": ["object", "null"],
    "examples": [None],
}
_MAYBE_ID: Schema = {"type": ["string", "null"], "format": "uuid"}
_SAVED = an_object(
    {
        "type": {"type": "string", "description": "Resource type.", "examples": ["OS::Nova::Server"]},
        "id": {"type": "string", "description": "Id of the resource.", "examples": [UUID["examples"][0]]},
        "parent_id": {
            "type": ["string", "null"],
            "description": "The resource that its data belongs to: the server of a root disk.",
            "examples": [None],
        },
        "name": {"type": "string", "description": "Name of the resource then.", "examples": ["web"]},
        "consistency": {"type": "string", "enum": [*CONSISTENCY], "description": "What was reached."},
        "mode": {"type": "string", "description": "Whether all of it or only changes were read.", "examples": ["full"]},
        "base_id": {**_MAYBE_ID, "description": "The checkpoint that this increment was read against."},
        "told": {
            "type": "object",
            "additionalProperties": LEAF,
            "description": "What its plug-in tells besides: what its `saved_info_schema` marks with `x-told`.",
            "examples": [{"skew": 0.4, "frozen": 1.2, "not_frozen": ""}],
        },
    }
)

CHECKPOINT = Noun(
    "checkpoint",
    "checkpoints",
    {
        "id": Field(UUID, "Assigned by the service."),
        "project_id": Field(PROJECT_ID, "The project that owns it."),
        "status": Field(
            {"type": "string", "enum": sorted(states.CHECKPOINT.states), "examples": ["available"]},
            "`available` means that everything was read back.",
        ),
        "protection_plan": Field(_PLAN, "The plan as it was when the checkpoint was made."),
        "chosen": Field(CHOSEN, "What the plan led to, and why; null where it only names resources, or nobody looked."),
        "resource_graph": Field(
            {"type": "string", "examples": ['[{"0x0": ["Libvirt::Domain", "9a1b6c1e", "web1", null]}, []]']},
            "JSON text: nodes by number, then who stands above whom.",
        ),
        "resources": Field(
            {"type": ["array", "null"], "items": _SAVED, "examples": [None]},
            "What was saved of each resource, once it is available; null in lists and in the answer to a lock.",
        ),
        "extra_info": Field(
            {"type": ["string", "null"], "examples": ['{"created_by": "manual"}']}, "JSON text of an object."
        ),
        "created_at": Field(TIMESTAMP, "When it was asked for (UTC)."),
        "updated_at": Field(TIMESTAMP, "When its row last changed (UTC)."),
        "finished_at": Field(TIMESTAMP, "When it became available or failed (UTC)."),
        "duration": Field(DURATION, "Seconds from asked for to finished."),
        "consistency": Field(
            {"type": ["string", "null"], "enum": [*CONSISTENCY, None], "examples": ["filesystem"]},
            "What was reached: that of the weakest resource.",
        ),
        "mode": Field(
            {"type": ["string", "null"], "examples": ["incremental"]}, "Whether everything or only changes were read."
        ),
        "sizes": Field(
            an_object(
                {
                    "logical": {**COUNT, "description": "Bytes of the protected resources."},
                    "read": {**COUNT, "description": "Bytes read from them."},
                    "stored": {**COUNT, "description": "Bytes newly written to the bank."},
                }
            ),
            "What it cost.",
        ),
        "cost": Field(COST, "What it uses, and used while it was made, of the quotas of the project in the cloud."),
        "base_id": Field(
            {**_MAYBE_ID, "examples": [None]},
            "The checkpoint that its increments were read against: information, not a chain.",
        ),
        "source_id": Field({**_MAYBE_ID, "examples": [None]}, "The checkpoint that it was copied from."),
        "verified_at": Field({**TIMESTAMP, "examples": [None]}, "When it was last verified and found good (UTC)."),
        "verified_level": Field({"type": ["string", "null"], "examples": [None]}, "How deep that verification looked."),
        "lock_mode": Field(
            {"type": ["string", "null"], "enum": [*MODES, None], "examples": [None]},
            "What keeps it from being deleted: `governance` can be lifted by those who may, `compliance` by nobody.",
        ),
        "locked_until": Field(
            {**TIMESTAMP, "examples": [None]}, "When the lock ends (UTC); also shown when that has passed."
        ),
        "held": Field({"type": "boolean", "examples": [False]}, "Whether somebody holds it until it is released."),
        "held_reason": Field({"type": ["string", "null"], "examples": [None]}, "Why it is held."),
        "progress": Field(PROGRESS, "How far the work is."),
        "reason": Field(_REASON, "Why it failed: resource, step, cause and what to do next."),
        "links": Field(LINKS, "Where it is found, its provider, and the plan, which may be gone."),
        "plan_id": Field(UUID, "The plan to run.", create="required", shown=False),
        "dry_run": Field(
            {"type": ["boolean", "null"], "examples": [False]},
            "Only tell what a run of the plan would do now: the answer is a `checkpoint_plan`, and nothing is begun.",
            create="optional",
            shown=False,
        ),
        "extra-info": Field(_EXTRA, "Your own notes; shown in extra_info.", create="optional", shown=False),
    },
)
#: The other spelling of the same field is taken as well.
CREATE = {
    **CHECKPOINT.create,
    "properties": {
        "checkpoint": {
            **CHECKPOINT.create["properties"]["checkpoint"],
            "properties": {
                **CHECKPOINT.create["properties"]["checkpoint"]["properties"],
                "extra_info": {**_EXTRA, "description": "The same as `extra-info`."},
            },
            "x-read-only": sorted(set(CHECKPOINT.fields) - {"plan_id", "dry_run", "extra-info", "extra_info"}),
        }
    },
}
#: The answer to a checkpoint that is asked for, or only asked about.
ANSWER: Schema = {"anyOf": [CHECKPOINT.show, CHECKPOINT_PLAN]}

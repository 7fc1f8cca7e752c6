# SPDX-License-Identifier: Apache-2.0
"""What does a plan look like in the API?"""

from karbor.model import states
from karbor.model.alarm import STATES
from karbor.schema.noun import Field, Noun
from karbor.schema.nouns.selection import SELECTION
from karbor.schema.types import (
    COUNT,
    DESCRIPTION,
    LINKS,
    NAME,
    PARAMETERS,
    PROJECT_ID,
    RESOURCE,
    TEXT,
    TIMESTAMP,
    UUID,
    Schema,
    an_object,
)


def _run(which: str) -> Schema:
    return {
        **an_object({"checkpoint_id": UUID, "created_at": TIMESTAMP, "status": {"type": ["string", "null"]}}),
        "type": ["object", "null"],
        "description": which,
        "examples": [
            {
                "checkpoint_id": UUID["examples"][0],
                "created_at": TIMESTAMP["examples"][0],
                "status": "available",
            }
        ],
    }


_SUMMARY = an_object(
    {
        "checkpoints": {**COUNT, "description": "Checkpoints that are there."},
        "last_run": _run("The newest checkpoint, and how its making stands or ended; it may be deleted by now."),
        "last_good": _run("The newest available checkpoint."),
        "next_run": {**TIMESTAMP, "description": "When a schedule runs it next.", "examples": [None]},
        "rpo": {
            **an_object(
                {
                    "state": {
                        "type": "string",
                        "enum": list(STATES),
                        "description": "`none`: nothing is promised; `ok`; `breached`: there is no good checkpoint "
                        "that is as young as was promised; `paused`: it is suspended.",
                        "examples": ["ok"],
                    },
                    "since": {**TIMESTAMP, "description": "Since when it is so."},
                    "due_at": {**TIMESTAMP, "description": "When it will be breached, or was, without a good one."},
                    "reason": {**TEXT, "description": "Which promise was broken."},
                }
            ),
            "description": "How it stands against what its schedules, or its `rpo`, promise.",
        },
    }
)

PLAN = Noun(
    "plan",
    "plans",
    {
        "id": Field(UUID, "Assigned by the service."),
        "name": Field(NAME, "Shown to people.", create="required", update="optional"),
        "description": Field(DESCRIPTION, "For people.", create="optional", update="optional"),
        "provider_id": Field(UUID, "The provider that protects the resources.", create="required"),
        "status": Field(
            {"type": "string", "enum": sorted(states.PLAN.states), "examples": [states.PLAN.initial]},
            "A suspended plan is not run by a schedule, and only a suspended plan can be changed.",
            update="optional",
        ),
        "resources": Field(
            {"type": "array", "items": RESOURCE, "maxItems": 10000},
            "What is to be protected; what depends on it is found by itself. At least one, or a `selection`.",
            create="optional",
            update="optional",
        ),
        "selection": Field(
            SELECTION,
            "What else is to be protected: everything that has all of the given `tags`, `metadata` and `name` when the "
            "plan is run. The checkpoint tells what that was.",
            create="optional",
            update="optional",
        ),
        "parameters": Field(
            {**PARAMETERS, "examples": [{"Libvirt::Domain": {"quiesce": "try"}}]},
            "Options by `TYPE` or `TYPE#ID`; the provider's options_schema tells which there are.",
            create="optional",
        ),
        "policy": Field(
            {"type": ["string", "null"], "minLength": 1, "maxLength": 255, "examples": [None]},
            "The published policy that makes its schedules, by id (or by name, in a request); null: none.",
            create="optional",
            update="optional",
        ),
        "rpo": Field(
            {"type": ["integer", "null"], "minimum": 60, "maximum": 10 * 366 * 86400, "examples": [None]},
            "Seconds that its last good checkpoint may be old until an alarm is raised; null: as schedules promise.",
            create="optional",
            update="optional",
        ),
        "project_id": Field(PROJECT_ID, "The project that owns it."),
        "created_at": Field(TIMESTAMP, "When it was made (UTC)."),
        "updated_at": Field(TIMESTAMP, "When it was last changed (UTC)."),
        "summary": Field(_SUMMARY, "What became of it. No part of the ETag."),
        "links": Field(LINKS, "Where it is found, and its provider."),
    },
)

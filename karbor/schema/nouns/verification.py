# SPDX-License-Identifier: Apache-2.0
"""What does a verification look like in the API?"""

from karbor.model import states
from karbor.schema.noun import Field, Noun
from karbor.schema.types import DURATION, LINKS, PARAMETERS, PROGRESS, PROJECT_ID, TIMESTAMP, UUID, Schema

_TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
_DISK = "Libvirt::Disk#5b0f7c1e-07a3-4f5e-8f5d-2b7d5f1c3a44@9a1b6c1e-07a3-4f5e-8f5d-2b7d5f1c3a44"
_REPORT: Schema = {
    "type": ["object", "null"],
    "additionalProperties": True,
    "examples": [
        {
            "level": "data",
            _DISK: [
                {
                    "stream": "disk",
                    "offset": 1048576,
                    "length": 65536,
                    "reason": "a sealed part does not open",
                    "objects": ["d/9f0c/pack/ab/ab12"],
                }
            ],
        }
    ],
}

VERIFICATION = Noun(
    "verification",
    "verifications",
    {
        "id": Field(UUID, "Assigned by the service."),
        "project_id": Field(PROJECT_ID, "The project that owns it."),
        "provider_id": Field(UUID, "The provider of the checkpoint.", create="required"),
        "checkpoint_id": Field(UUID, "What is verified.", create="required"),
        "parameters": Field(
            {**PARAMETERS, "examples": [{"Libvirt::Disk": {"level": "data"}}]},
            "Options by `TYPE` or `TYPE#ID`; the provider's verify_schema tells which there are. `level` is known for"
            " every type: `quick` (every object is there with its right size) or `data` (every byte is read and"
            " proven), which is the default. Types that can be tried know more: `boot` of a guest of libvirt boots a"
            " copy of it from the checkpoint, without a network.",
            create="optional",
        ),
        "status": Field(
            {"type": "string", "enum": sorted(states.VERIFICATION.states), "examples": [states.VERIFICATION.initial]},
            "How it stands. `fail` says no more than that it did not end well: what the report proves counts.",
        ),
        "resources_status": Field(
            {**_TEXTS, "examples": [{_DISK: "verifying"}]}, "By `TYPE#ID[@PARENT]`: verifying, available or error."
        ),
        "resources_reason": Field({**_TEXTS, "examples": [{}]}, "By `TYPE#ID[@PARENT]`: what is wrong."),
        "report": Field(
            _REPORT,
            "What was found: the `level` that was reached; by `TYPE#ID[@PARENT]` the byte ranges that are lost, with"
            " stream, reason and the objects of the bank they lay in (`length` null: all of it); under `bank` objects"
            " that are not as written, although no byte depends on them; under `checkpoint` why nothing can be opened;"
            " under `unproven` what was never read back; under `details` what plug-ins say; under `failed` what could"
            " not be proven although nothing is lost, such as a guest that did not come up, with the end of its console"
            " as `detail`. Null until the end.",
        ),
        "progress": Field(PROGRESS, "How far the work is."),
        "created_at": Field(TIMESTAMP, "When it was asked for (UTC)."),
        "updated_at": Field(TIMESTAMP, "When its row last changed (UTC)."),
        "finished_at": Field(TIMESTAMP, "When it ended (UTC)."),
        "duration": Field(DURATION, "Seconds from asked for to ended."),
        "links": Field(LINKS, "Where it is found, and its checkpoint."),
    },
)

# SPDX-License-Identifier: Apache-2.0
"""What does a restore look like in the API?"""

from karbor.model import states
from karbor.model.mapping import MAPPING_TYPE
from karbor.schema.noun import Field, Noun
from karbor.schema.types import (
    COUNT,
    DURATION,
    LINKS,
    PARAMETERS,
    PROGRESS,
    PROJECT_ID,
    TIMESTAMP,
    UUID,
    Schema,
    an_object,
    envelope,
)

_LOGIN: Schema = {"type": ["string", "null"], "maxLength": 255}
_SECRET: Schema = {"type": ["string", "null"], "maxLength": 4096, "writeOnly": True}
_AUTH: Schema = {
    **an_object(
        {
            "type": {
                **_LOGIN,
                "description": "password, application_credential, or token: as whoever asks, in another project of the "
                "same cloud. Empty: what fits the rest.",
                "examples": ["password"],
            },
            "username": _LOGIN,
            "user_id": _LOGIN,
            "user_domain_name": _LOGIN,
            "user_domain_id": {**_LOGIN, "description": "Without a domain of the user: default."},
            "password": _SECRET,
            "application_credential_id": _LOGIN,
            "application_credential_name": {**_LOGIN, "description": "Needs its user as well."},
            "application_credential_secret": _SECRET,
            "project_name": {**_LOGIN, "description": "Without a project: the one that the user has there."},
            "project_id": _LOGIN,
            "project_domain_name": _LOGIN,
            "project_domain_id": {**_LOGIN, "description": "Without a domain of the project: default."},
            "region_name": {**_LOGIN, "description": "Region of the services that are used; empty: the first."},
        },
        required=(),
    ),
    "type": ["object", "null"],
    "examples": [None],
}
_MAPPING: Schema = {
    "type": ["object", "null"],
    "description": "What stands in for what in another place: kind -> old id or name (or `*`) -> new id or name.",
    "additionalProperties": {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
}
_TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}

RESTORE = Noun(
    "restore",
    "restores",
    {
        "id": Field(UUID, "Assigned by the service."),
        "project_id": Field(PROJECT_ID, "The project that owns it."),
        "provider_id": Field(UUID, "The provider of the checkpoint.", create="required"),
        "checkpoint_id": Field(UUID, "What is brought back.", create="required"),
        "restore_target": Field(
            {"type": ["string", "null"], "maxLength": 255, "examples": [None]},
            "Keystone (`auth_url`) of another cloud to restore to; refused where the operator does not allow it.",
            create="optional",
        ),
        "restore_auth": Field(
            _AUTH, "How to log in there. Never kept in clear, and not shown.", create="optional", shown=False
        ),
        "parameters": Field(
            {
                **PARAMETERS,
                "properties": {MAPPING_TYPE: _MAPPING},
                "examples": [{"Libvirt::Domain": {"name": "web1-restored"}}],
            },
            "Options by `TYPE` or `TYPE#ID`; the provider's restore_schema tells which there are.",
            create="optional",
        ),
        "dry_run": Field(
            {"type": ["boolean", "null"], "examples": [False]},
            "Only tell what the restore would do now: the answer is a `restore_plan`, and nothing is begun.",
            create="optional",
            shown=False,
        ),
        "status": Field(
            {"type": "string", "enum": sorted(states.RESTORE.states), "examples": [states.RESTORE.initial]},
            "How it stands.",
        ),
        "resources_status": Field(
            {**_TEXTS, "examples": [{"Libvirt::Domain#9a1b6c1e-07a3-4f5e-8f5d-2b7d5f1c3a44": "restoring"}]},
            "By `TYPE#NEW_ID`: restoring, available or error.",
        ),
        "resources_reason": Field(
            {**_TEXTS, "examples": [{}]}, "By `TYPE#NEW_ID`: why it failed, and what is or was replaced for good."
        ),
        "progress": Field(PROGRESS, "How far the work is."),
        "created_at": Field(TIMESTAMP, "When it was asked for (UTC)."),
        "updated_at": Field(TIMESTAMP, "When its row last changed (UTC)."),
        "finished_at": Field(TIMESTAMP, "When it ended (UTC)."),
        "duration": Field(DURATION, "Seconds from asked for to ended."),
        "links": Field(LINKS, "Where it is found, and its checkpoint."),
    },
)

_RESOURCE: dict[str, Schema] = {
    "type": {"type": "string", "description": "Type of the resource.", "examples": ["Libvirt::Disk"]},
    "id": {"type": "string", "description": "Its id in the checkpoint.", "examples": [UUID["examples"][0]]},
}
_PLACED = an_object(
    {
        **_RESOURCE,
        "name": {"type": "string", "examples": ["web1/vda"]},
        "place": {
            "type": ["string", "null"],
            "description": "Where; `?` stands for what only the restore itself can choose.",
            "examples": ["/var/lib/libvirt/images/web1-restored-vda.qcow2"],
        },
    }
)
_REASON: Schema = {"type": "string", "examples": ["There is a domain named web1."]}
_CONFLICT = an_object(
    {**_RESOURCE, "reason": _REASON, "next_action": {"type": "string", "examples": ["stop it first"]}}
)


def _many(inner: Schema, text: str) -> Schema:
    return {"type": "array", "items": inner, "description": text}


#: What a restore would do.
RESTORE_PLAN: Schema = envelope(
    "restore_plan",
    {
        "title": "RestorePlan",
        **an_object(
            {
                "checkpoint_id": {**UUID, "description": "What would be brought back."},
                "provider_id": {**UUID, "description": "The provider of the checkpoint."},
                "creates": _many(_PLACED, "What would be made."),
                "replaces": _many(_PLACED, "What would be replaced."),
                "keeps": _many(_PLACED, "What would stay as it is, although one might think otherwise."),
                "bytes": {**COUNT, "description": "Bytes that would be written; holes take none."},
                "conflicts": _many(_CONFLICT, "Why the restore would be refused, or fail, as things stand."),
                "warnings": _many(
                    an_object({**_RESOURCE, "reason": _REASON}), "What would be done, but deserves a word."
                ),
                "untold": _many(_PLACED, "Resources of which nobody can tell before the restore."),
                "template": {
                    "type": ["object", "null"],
                    "description": "What Heat would build; `?` stands for what only the restore itself will know. Null "
                    "where nothing is left to Heat, or something is in the way.",
                    "examples": [None],
                },
            }
        ),
    },
)
#: The answer to a restore that is asked for, or only asked about.
ANSWER: Schema = {"anyOf": [RESTORE.show, RESTORE_PLAN]}

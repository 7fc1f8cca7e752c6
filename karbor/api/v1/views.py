# SPDX-License-Identifier: Apache-2.0
"""How are values of the model written in answers?"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from karbor.api.call import Call
from karbor.common import jsontext
from karbor.common.clock import iso
from karbor.model import graph as graphs
from karbor.model.alarm import NONE, PlanAlarm
from karbor.model.checkpoint import Checkpoint, SavedResource
from karbor.model.export import Export
from karbor.model.plan import Plan, PlanSummary
from karbor.model.provider import ProviderInfo
from karbor.model.resource import ResourceKey
from karbor.model.restore import Restore, without_secrets
from karbor.model.scheduled_run import ScheduledRun
from karbor.model.verification import Verification
from karbor.schema.nouns.provider import SCHEMAS
from karbor.schema.types import TOLD

#: Fields of a plan that change without anybody changing the plan.
VOLATILE = ("summary", "links")


def moment(value: datetime | None) -> str | None:
    """A point in time, or null."""
    return iso(value) if value else None


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    """How long something took; None where it has not ended."""
    return (end - start).total_seconds() if start and end else None


def links(call: Call, own: str, **others: str | None) -> list[dict[str, str]]:
    """Where a thing is found (``own``, below the project) and what belongs to it, by the kind of relation."""
    paths = {"self": own, **others}
    return [{"rel": rel, "href": call.href(path)} for rel, path in paths.items() if path is not None]


def plan(
    value: Plan, call: Call, summary: PlanSummary, next_run: datetime | None = None, alarm: PlanAlarm | None = None
) -> dict[str, Any]:
    """A plan as it is shown, with what became of it, when a schedule runs it next, and how it stands."""
    return {
        "id": value.id,
        "name": value.name,
        "description": value.description,
        "provider_id": value.provider_id,
        "status": value.status,
        "resources": [resource.to_dict() for resource in value.resources],
        "selection": [choice.to_dict() for choice in value.selection],
        "parameters": {key: dict(options) for key, options in value.parameters.items()},
        "policy": value.policy_id,
        "rpo": value.rpo,
        "project_id": value.project_id,
        "created_at": moment(value.created_at),
        "updated_at": moment(value.updated_at),
        "summary": {
            "checkpoints": summary.checkpoints,
            "last_run": _run(summary.last_run_id, summary.last_run_at, summary.last_run_status),
            "last_good": _run(summary.last_good_id, summary.last_good_at, "available"),
            "next_run": moment(next_run),
            "rpo": {
                "state": alarm.state if alarm else NONE,
                "since": moment(alarm.since) if alarm else None,
                "due_at": moment(alarm.due_at) if alarm else None,
                "reason": alarm.reason if alarm else None,
            },
        },
        "links": links(
            call,
            f"/plans/{value.id}",
            provider=f"/providers/{value.provider_id}",
            policy=f"/policies/{value.policy_id}" if value.policy_id else None,
        ),
    }


def _run(id_: str | None, at: datetime | None, status: str | None) -> dict[str, Any] | None:
    """A checkpoint in a plan's summary; None where there is none."""
    return {"checkpoint_id": id_, "created_at": moment(at), "status": status} if id_ else None


def provider(value: ProviderInfo, call: Call) -> dict[str, Any]:
    """A provider as it is shown; schemas that it lacks are empty."""
    return {
        "id": value.id,
        "name": value.name,
        "description": value.description,
        "extended_info_schema": {name: dict(value.schemas.get(name) or {}) for name in SCHEMAS},
        "available": value.available,
        "reason": value.reason or None,
        "links": links(call, f"/providers/{value.id}", checkpoints=f"/providers/{value.id}/checkpoints"),
    }


def checkpoint(value: Checkpoint, call: Call, resources: Sequence[Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """A checkpoint as it is shown, with ``resources`` (see ``saved``) or without. Graph and extra info are JSON texts:
    old clients parse them."""
    home = f"/providers/{value.provider_id}"
    return {
        "id": value.id,
        "project_id": value.project_id,
        "status": value.status,
        "protection_plan": dict(value.plan),
        "chosen": dict(value.chosen) if value.chosen else None,
        "resource_graph": _graph(value.graph),
        "resources": list(resources) if resources is not None else None,
        "extra_info": json.dumps(dict(value.extra_info)) if value.extra_info else None,
        "created_at": moment(value.created_at),
        "updated_at": moment(value.updated_at),
        "finished_at": moment(value.finished_at),
        "duration": _seconds(value.created_at, value.finished_at),
        "consistency": value.consistency,
        "mode": value.mode,
        "sizes": {"logical": value.sizes.logical, "read": value.sizes.read, "stored": value.sizes.stored},
        "cost": [dict(use) for use in value.cost or ()],
        "base_id": value.base_id,
        "source_id": value.source_id,
        "verified_at": moment(value.verified_at),
        "verified_level": value.verified_level,
        "lock_mode": value.lock_mode,
        "locked_until": moment(value.locked_until),
        "held": value.held,
        "held_reason": value.held_reason,
        "progress": value.progress.to_dict(),
        "reason": value.reason.to_dict() if value.reason else None,
        "links": links(call, f"{home}/checkpoints/{value.id}", provider=home, plan=f"/plans/{value.plan_id}"),
    }


def saved(value: Checkpoint, provider: ProviderInfo, entries: Sequence[SavedResource]) -> list[dict[str, Any]]:
    """What was saved of the resources of a checkpoint, each as it is shown. Of the plug-in's own values these are told
    that it declares so."""
    declared = provider.schemas.get("saved_info_schema") or {}
    names = {node["key"]: node["resource"]["name"] for node in (value.graph or {}).get("nodes", ())}
    found = []
    for entry in entries:
        key = ResourceKey.parse(entry.key)
        properties = (declared.get(key.type) or {}).get("properties") or {}
        found.append(
            {
                "type": key.type,
                "id": key.id,
                "parent_id": key.parent_id or None,
                "name": names.get(entry.key, ""),
                "consistency": entry.consistency,
                "mode": entry.mode,
                "base_id": entry.base_id,
                "told": {n: entry.saved[n] for n, shape in properties.items() if shape.get(TOLD) and n in entry.saved},
            }
        )
    return found


def _graph(graph: Mapping[str, Any] | None) -> str:
    return jsontext.encode(graphs.shown(graph)).decode() if graph else "[{}, []]"


def restore(value: Restore, call: Call) -> dict[str, Any]:
    """A restore as it is shown."""
    return {
        "id": value.id,
        "project_id": value.project_id,
        "provider_id": value.provider_id,
        "checkpoint_id": value.checkpoint_id,
        "restore_target": value.restore_target,
        "parameters": without_secrets(value.parameters),
        "status": value.status,
        "resources_status": dict(value.resources_status),
        "resources_reason": dict(value.resources_reason),
        "progress": value.progress.to_dict(),
        "created_at": moment(value.created_at),
        "updated_at": moment(value.updated_at),
        "finished_at": moment(value.finished_at),
        "duration": _seconds(value.created_at, value.finished_at),
        "links": links(call, f"/restores/{value.id}", checkpoint=_place(value)),
    }


def verification(value: Verification, call: Call) -> dict[str, Any]:
    """A verification as it is shown."""
    return {
        "id": value.id,
        "project_id": value.project_id,
        "provider_id": value.provider_id,
        "checkpoint_id": value.checkpoint_id,
        "parameters": {key: dict(options) for key, options in value.parameters.items()},
        "status": value.status,
        "resources_status": dict(value.resources_status),
        "resources_reason": dict(value.resources_reason),
        "report": dict(value.report) if value.report is not None else None,
        "progress": value.progress.to_dict(),
        "created_at": moment(value.created_at),
        "updated_at": moment(value.updated_at),
        "finished_at": moment(value.finished_at),
        "duration": _seconds(value.created_at, value.finished_at),
        "links": links(call, f"/verifications/{value.id}", checkpoint=_place(value)),
    }


def export(value: Export, call: Call) -> dict[str, Any]:
    """An export as it is shown."""
    return {
        "id": value.id,
        "project_id": value.project_id,
        "provider_id": value.provider_id,
        "checkpoint_id": value.checkpoint_id,
        "resource": value.resource,
        "stream": value.stream,
        "host": value.host,
        "status": value.status,
        "streams": [dict(stream) for stream in value.streams],
        "reason": value.reason,
        "expires_at": moment(value.expires_at),
        "created_at": moment(value.created_at),
        "updated_at": moment(value.updated_at),
        "finished_at": moment(value.finished_at),
        "links": links(call, f"/exports/{value.id}", checkpoint=_place(value)),
    }


def _place(run: Restore | Verification | Export) -> str:
    """Where the checkpoint of a restore, a verification or an export is found."""
    return f"/providers/{run.provider_id}/checkpoints/{run.checkpoint_id}"


def scheduled_run(value: ScheduledRun, call: Call) -> dict[str, Any]:
    """What became of a planned time, as it is shown."""
    made = value.result
    checkpoint_id, verification_id = made.get("checkpoint_id"), made.get("verification_id")
    return {
        "id": value.id,
        "project_id": value.project_id,
        "scheduled_operation_id": value.scheduled_operation_id,
        "operation_type": value.operation_type,
        "scheduled_for": moment(value.scheduled_for),
        "status": value.status,
        "manual": value.manual,
        "reason": value.reason,
        "attempts": value.attempts,
        "checkpoint_id": checkpoint_id,
        "verification_id": verification_id,
        "copies": list(made.get("copies", ())),
        "failed_checkpoints": list(made.get("failed", ())),
        "deleted_checkpoints": int(made.get("deleted", 0)),
        "event_id": (made.get("cause") or {}).get("event_id"),
        "created_at": moment(value.created_at),
        "started_at": moment(value.started_at),
        "ended_at": moment(value.ended_at),
        "links": links(
            call,
            f"/scheduled_operations/{value.scheduled_operation_id}/runs/{value.id}",
            scheduled_operation=f"/scheduled_operations/{value.scheduled_operation_id}",
            checkpoint=f"/providers/{value.provider_id}/checkpoints/{checkpoint_id}" if checkpoint_id else None,
            verification=f"/verifications/{verification_id}" if verification_id else None,
        ),
    }

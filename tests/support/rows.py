# SPDX-License-Identifier: Apache-2.0
"""Which rows do tests of the database begin with? Values with every field that matters, one call each."""

from datetime import UTC, datetime

from karbor.model.checkpoint import Checkpoint, SavedResource
from karbor.model.export import Export
from karbor.model.host_step import HostStep
from karbor.model.operation import Job, OperationLog
from karbor.model.plan import Plan
from karbor.model.resource import Resource
from karbor.model.restore import Restore
from karbor.model.scheduled_operation import ScheduledOperation
from karbor.model.trigger import Trigger
from karbor.model.verification import Verification

PROJECT = "5d2c1f0e-0000-4000-8000-000000000001"
PROVIDER = "cf56bd3e-97a7-4078-b6d5-f36246333fd9"


def plan(id="plan-1", **given):
    disk = Resource("Libvirt::Disk", "vda", "root disk", {"format": "qcow2"}, per_parent=True)
    values = {
        "project_id": PROJECT,
        "name": "daily",
        "provider_id": PROVIDER,
        "resources": (Resource("Libvirt::Domain", "guest", "web"), disk),
        "description": "the web shop",
        "parameters": {
            "Libvirt::Domain": {"quiesce": "try"},
            "Libvirt::Disk#vda": {"depth": 3, "on": True, "no": None},
        },
    }
    return Plan(id, **{**values, **given})


def checkpoint(id="checkpoint-1", **given):
    values = {"project_id": PROJECT, "provider_id": PROVIDER, "plan_id": "plan-1", "plan": plan().snapshot()}
    return Checkpoint(id, **{**values, **given})


def saved(key="Libvirt::Domain#guest", **given):
    return SavedResource(key, "plugin", **{"saved": {"xml": "<domain/>"}, "streams": {"vda": "recipe-1"}, **given})


def restore(id="restore-1", **given):
    values = {"project_id": PROJECT, "provider_id": PROVIDER, "checkpoint_id": "checkpoint-1"}
    return Restore(id, **{**values, **given})


def verification(id="verification-1", **given):
    values = {"project_id": PROJECT, "provider_id": PROVIDER, "checkpoint_id": "checkpoint-1"}
    return Verification(id, **{**values, **given})


def export(id="export-1", **given):
    values = {"project_id": PROJECT, "provider_id": PROVIDER, "checkpoint_id": "checkpoint-1"}
    values["expires_at"] = datetime(2024, 1, 2, tzinfo=UTC)
    return Export(id, **{**values, **given})


def trigger(id="trigger-1", **given):
    properties = {"format": "crontab", "pattern": "0 2 * * *", "window": 900}
    return Trigger(id, **{"project_id": PROJECT, "name": "nightly", "type": "time", "properties": properties, **given})


def scheduled_operation(id="operation-1", **given):
    values = {
        "project_id": PROJECT,
        "user_id": "user-1",
        "name": "nightly shop",
        "operation_type": "protect",
        "trigger_id": "trigger-1",
        "operation_definition": {"plan_id": "plan-1", "provider_id": PROVIDER},
    }
    return ScheduledOperation(id, **{**values, **given})


def job(id="job-1", **given):
    return Job(id, **{"operation": "protect", "project_id": PROJECT, "provider_id": PROVIDER, **given})


def host_step(id="step-1", **given):
    values = {"job_id": "job-1", "fence": 1, "host": "there", "phase": "protect", "resource": "Sample::File#1"}
    return HostStep(id, **{**values, **given})


def log(id="job-1", **given):
    return OperationLog(id, **{"project_id": PROJECT, "operation_type": "protect", **given})

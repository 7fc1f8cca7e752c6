# SPDX-License-Identifier: Apache-2.0
"""What is there to find? Some of every noun in each project, always with the same ids.

Every text of a project holds the project's mark, so that an answer with a foreign mark is a leak.
"""

import functools
import tempfile
import uuid
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from karbor.api.v1.trigger_kinds import token_hash
from karbor.db.fires import insert_new
from karbor.db.scheduletables import PLAN_ALARMS, TRIGGER_EVENTS
from karbor.model.checkpoint import Checkpoint, Reason, SavedResource, Sizes
from karbor.model.event import FIRED, OUTCOMES, TriggerEvent
from karbor.model.export import Export
from karbor.model.operation import Job, OperationLog
from karbor.model.plan import Plan
from karbor.model.policy import PolicySchedule, PublishedPolicy
from karbor.model.repeat import Repeat
from karbor.model.resource import Resource
from karbor.model.restore import Restore
from karbor.model.scheduled_operation import ScheduledOperation
from karbor.model.scheduled_run import ScheduledRun
from karbor.model.selection import Choice, Pattern
from karbor.model.trigger import Trigger
from karbor.model.trust import Trust
from karbor.model.verification import Verification
from tests.support.api import OTHER_PROJECT, PROJECT, PROVIDER, SERVER, VOLUME, Api, provider_info

MARKS = {PROJECT: "mark-of-the-first", OTHER_PROJECT: "mark-of-the-second"}
COUNT = 4
#: Which of the triggers is fired by requests, and its secret.
WEBHOOK, TOKEN = 2, "the-secret-of-the-webhook"
RESOURCE = {"id": SERVER, "type": "OS::Nova::Server", "name": "vm"}
#: Where copies go.
POLICY = "7d1f0c52-9a3e-4b64-8c1d-5e2f3a4b6c7d"
NIGHTLY = {"format": "crontab", "pattern": "0 2 * * *"}
FAR_PROVIDER = "d0a4f1a2-7c3b-4f5e-9a8b-0c1d2e3f4a5b"


def known(project, noun, number=0):
    """The id of a thing that is there."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{project} {noun} {number}"))


def unknown(noun):
    """An id of the right form that names nothing."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"no {noun}"))


@dataclass(frozen=True)
class Owner:
    """Whose things are made: the project, its mark, and how its things are called."""

    project: str
    mark: str
    now: object
    provider: str = PROVIDER

    def id(self, noun, number=0):
        return known(self.project, noun, number)


def _plans(rows, owner):
    for number in range(COUNT):
        rows.plans.create(
            Plan(
                id=owner.id("plan", number),
                project_id=owner.project,
                name=f"{owner.mark} {number}",
                description=owner.mark,
                provider_id=owner.provider,
                resources=(Resource("OS::Nova::Server", SERVER, owner.mark),),
                parameters={"OS::Nova::Server": {"k": owner.mark}},
                selection=(Choice("OS::Nova::Server", Pattern(tags=(owner.mark,))),),
                status="started" if number == 1 else "suspended",
            )
        )


def _checkpoints(rows, owner):
    """Available, failed, available once more and held, and one that is being made."""
    for number, status in enumerate(("available", "error", "available", "protecting")):
        id_ = owner.id("checkpoint", number)
        rows.checkpoints.create(
            Checkpoint(
                id=id_,
                project_id=owner.project,
                provider_id=owner.provider,
                plan_id=owner.id("plan", number),
                plan=rows.plans.get(owner.id("plan", number)).snapshot(),
                status=status,
                extra_info={"created_by": owner.mark},
                consistency="filesystem" if status == "available" else None,
                sizes=Sizes(logical=1 << 30, read=1 << 20, stored=1 << 19),
                reason=Reason(owner.mark, "protect", "no space", "make some") if status == "error" else None,
                held=number == 2,
                held_reason=owner.mark if number == 2 else None,
                finished_at=None if status == "protecting" else owner.now,
            )
        )
        if status == "available":
            rows.checkpoints.save_resources(id_, [SavedResource(f"OS::Nova::Server#{SERVER}", "p", {}, {"disk": "1"})])
    _job(rows, owner, "protect", checkpoint_id=owner.id("checkpoint", 3))


def _runs(rows, owner):
    """Restores and verifications: under way, and ended well and badly."""
    for number, status in enumerate(("in_progress", "success", "fail")):
        common = {
            "project_id": owner.project,
            "provider_id": owner.provider,
            "checkpoint_id": owner.id("checkpoint"),
            "status": status,
            "resources_status": {f"OS::Nova::Server#{SERVER}": "error"},
            "resources_reason": {f"OS::Nova::Server#{SERVER}": owner.mark},
        }
        options = {"OS::Nova::Server": {"restore_name": owner.mark}}
        rows.restores.create(Restore(id=owner.id("restore", number), parameters=options, **common))
        rows.verifications.create(Verification(id=owner.id("verification", number), **common))
    _job(rows, owner, "restore", restore_id=owner.id("restore"))
    _job(rows, owner, "verify", verification_id=owner.id("verification"))


def _exports(rows, owner):
    """One that can be read, and two that have ended."""
    for number, status in enumerate(("active", "closed", "error")):
        uri = f"nbd+unix:///?socket=/{owner.mark}"
        rows.exports.create(
            Export(
                id=owner.id("export", number),
                project_id=owner.project,
                provider_id=owner.provider,
                checkpoint_id=owner.id("checkpoint", 2),
                status=status,
                host="host1",
                expires_at=owner.now + timedelta(days=1),
                streams=[{"resource": owner.mark, "stream": "disk", "size": 1 << 30, "uri": uri}],
                reason=owner.mark if status == "error" else None,
            )
        )


def _job(rows, owner, operation, **about):
    """Work that no worker has taken yet, with its entry in the log."""
    job = Job(
        id=owner.id(f"job {operation}"),
        operation=operation,
        project_id=owner.project,
        provider_id=owner.provider,
        **{"checkpoint_id": owner.id("checkpoint", 2), **about},
    )
    rows.operation_logs.create(
        OperationLog(id=job.id, project_id=owner.project, operation_type=operation, status="running", **about)
    )
    rows.jobs.create(job)


def _operation_logs(rows, owner):
    for number in range(COUNT):
        rows.operation_logs.create(
            OperationLog(
                id=owner.id("operation_log", number),
                project_id=owner.project,
                operation_type="protect",
                checkpoint_id=owner.id("checkpoint", number),
                plan_id=owner.id("plan", number),
                provider_id=owner.provider,
                restore_id=owner.id("restore", number),
                status="error",
                error_info=owner.mark,
                extra_info={"request_id": owner.mark},
            )
        )


def _schedules(rows, owner):
    """Triggers, and operations that use all of them but one."""
    for number in range(COUNT):
        times = {"format": "crontab", "pattern": f"{number} 2 * * *", "window": 900, "timezone": "UTC"}
        webhook = number == WEBHOOK
        rows.triggers.create(
            Trigger(
                id=owner.id("trigger", number),
                project_id=owner.project,
                name=f"{owner.mark} {number}",
                type="webhook" if webhook else "time",
                properties={"window": 900} if webhook else times,
                created_at=owner.now,
            )
        )
    rows.triggers.set_token(owner.id("trigger", WEBHOOK), token_hash(TOKEN))
    for number in range(COUNT - 1):
        definition = {"plan_id": owner.id("plan", number), "provider_id": owner.provider, "note": owner.mark}
        rows.scheduled_operations.create(
            ScheduledOperation(
                id=owner.id("scheduled_operation", number),
                project_id=owner.project,
                user_id=owner.mark,
                name=f"{owner.mark} {number}",
                description=owner.mark,
                operation_type="protect",
                trigger_id=owner.id("trigger", number),
                operation_definition=definition,
            )
        )
        _trust(rows, owner, number)


def _trust(rows, owner, number):
    """The permission of a schedule: as its own trust, which for the last one does not count any more."""
    schedule, trust_id = owner.id("scheduled_operation", number), owner.id("trust of keystone", number)
    trust = Trust(owner.id("trust", number), owner.project, owner.mark, scheduled_operation_id=schedule)
    rows.trusts.begin(trust)
    rows.trusts.keep(trust.id, trust_id)
    rows.scheduled_operations.entrust(schedule, trust_id=trust_id, user_id=owner.mark)
    if number == COUNT - 2:
        rows.scheduled_operations.note_permission(schedule, trust_id=trust_id, reason=owner.mark)


def _events(rows, owner):
    """What became of three requests at the webhook."""
    for number, outcome in enumerate(OUTCOMES):
        event = TriggerEvent(
            id=owner.id("event", number),
            trigger_id=owner.id("trigger", WEBHOOK),
            project_id=owner.project,
            source="webhook",
            type=owner.mark,
            at=owner.now - timedelta(days=1 + number),
            due_ms=1,
            outcome=outcome,
            reason=None if outcome == FIRED else owner.mark,
            runs=int(outcome == FIRED),
        )
        rows.connection.execute(sa.insert(TRIGGER_EVENTS).values(**asdict(event)))


def _alarms(rows, owner):
    """The first plan is not as well protected as was promised."""
    alarm = {"plan_id": owner.id("plan"), "project_id": owner.project, "state": "breached", "since": owner.now}
    rows.connection.execute(sa.insert(PLAN_ALARMS).values(**alarm, reason=owner.mark))


def _scheduled_runs(rows, owner):
    """What became of three times of the first scheduled operation."""
    for number, status in enumerate(("success", "missed", "failed")):
        run = ScheduledRun(
            id=owner.id("run", number),
            project_id=owner.project,
            user_id=owner.mark,
            scheduled_operation_id=owner.id("scheduled_operation"),
            operation_type="protect",
            scheduled_for=owner.now - timedelta(days=1 + number),
            plan_id=owner.id("plan"),
            provider_id=owner.provider,
            status=status,
            reason=owner.mark,
            result={"checkpoint_id": owner.id("checkpoint")} if status == "success" else {},
            created_at=owner.now,
            ended_at=owner.now,
        )
        insert_new(rows.connection, [asdict(run) | {"manual": 0}])


def _quota(rows, owner):
    rows.quotas.set(owner.project, {"checkpoints": 1000 + len(owner.mark)})


def _repeats(rows, owner):
    """An answer that is kept under a key which another project may choose too."""
    repeat = Repeat(owner.project, key_of(owner.project), "POST plan:create {}", "0" * 64)
    rows.repeats.begin(repeat)
    rows.repeats.end(repeat, {"plan": {"name": owner.mark}})


def key_of(project):
    """An idempotency key that is in use."""
    return f"key-of-{project}"


#: In the order in which rows may refer to each other.
NOUNS = (
    _plans, _checkpoints, _runs, _exports, _operation_logs, _schedules, _events, _scheduled_runs, _alarms, _quota,
    _repeats,
)  # fmt: skip


def policy(rows):
    """A published one, that nobody has picked."""
    rows.policies.create(PublishedPolicy(POLICY, "silver", (PolicySchedule("backup", "protect", "time", NIGHTLY),)))


def everybodys(rows):
    """What belongs to no project: another provider, two services, and a policy."""
    near = provider_info()
    schemas = {**near.schemas, "copy_schema": dict.fromkeys(near.resource_types, {"type": "object", "properties": {}})}
    schemas["verify_schema"] = schemas["copy_schema"]
    rows.providers.put(replace(near, schemas=schemas))
    rows.providers.put(replace(near, id=FAR_PROVIDER, name="far", schemas=schemas))
    rows.services.heartbeat(binary="karbor-operationengine", host="control1")
    rows.services.heartbeat(binary="karbor-protection", host="host1")
    policy(rows)


@functools.cache
def database(*projects):
    """The bytes of a database in which each of the projects has everything."""
    with tempfile.TemporaryDirectory() as directory:
        api = Api(directory)
        with api.database.write() as rows:
            everybodys(rows)
            for project in projects:
                for put in NOUNS:
                    put(rows, Owner(project, MARKS[project], api.clock.now()))
        api.database.dispose()  # the last connection to close moves everything from the log into the file
        return (Path(directory) / "karbor.sqlite").read_bytes()


def add_inventory(workers, *projects):
    """Resources that each of the projects has; their ids are the same."""
    for project in projects:
        mark = MARKS[project]
        workers.inventory.pop(project, None)
        workers.add(project, "OS::Nova::Server", SERVER, name=mark, below=[("OS::Cinder::Volume", VOLUME, mark)])
        workers.add(project, "OS::Cinder::Volume", VOLUME, name=mark)
        workers.add(project, "OS::Cinder::Volume", known(project, "volume"), name=mark)

# SPDX-License-Identifier: Apache-2.0
"""What is there to find? Some of every noun in each project, always with the same ids.

Every text of a project holds the project's mark, so that an answer with a foreign mark is a leak.
"""

import uuid

from karbor.model.checkpoint import Checkpoint, Reason, Sizes
from karbor.model.operation import OperationLog
from karbor.model.plan import Plan
from karbor.model.resource import Resource
from karbor.model.restore import Restore
from tests.support.api import OTHER_PROJECT, PROJECT, PROVIDER, SERVER, VOLUME

MARKS = {PROJECT: "mark-of-the-first", OTHER_PROJECT: "mark-of-the-second"}
COUNT = 4
RESOURCE = {"id": SERVER, "type": "OS::Nova::Server", "name": "vm"}


def known(project, noun, number=0):
    """The id of a thing that is there."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{project} {noun} {number}"))


def unknown(noun):
    """An id of the right form that names nothing."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"no {noun}"))


def _plans(rows, project, clock):
    for number in range(COUNT):
        rows.plans.create(
            Plan(
                id=known(project, "plan", number),
                project_id=project,
                name=f"{MARKS[project]} {number}",
                description=MARKS[project],
                provider_id=PROVIDER,
                resources=(Resource("OS::Nova::Server", SERVER, MARKS[project]),),
                parameters={"OS::Nova::Server": {"k": MARKS[project]}},
                status="started" if number == 1 else "suspended",
            )
        )


def _checkpoints(rows, project, clock):
    for number, status in enumerate(("available", "error", "available", "protecting")):
        rows.checkpoints.create(
            Checkpoint(
                id=known(project, "checkpoint", number),
                project_id=project,
                provider_id=PROVIDER,
                plan_id=known(project, "plan", number),
                plan=rows.plans.get(known(project, "plan", number)).snapshot(),
                status=status,
                extra_info={"created_by": MARKS[project]},
                consistency="filesystem" if status == "available" else None,
                sizes=Sizes(logical=1 << 30, read=1 << 20, stored=1 << 19),
                reason=Reason(MARKS[project], "protect", "no space", "make some") if status == "error" else None,
                finished_at=None if status == "protecting" else clock.now(),
            )
        )


def _restores(rows, project, clock):
    for number, status in enumerate(("in_progress", "success", "fail")):
        rows.restores.create(
            Restore(
                id=known(project, "restore", number),
                project_id=project,
                provider_id=PROVIDER,
                checkpoint_id=known(project, "checkpoint"),
                parameters={"OS::Nova::Server": {"restore_name": MARKS[project]}},
                status=status,
                resources_status={f"OS::Nova::Server#{SERVER}": "error"},
                resources_reason={f"OS::Nova::Server#{SERVER}": MARKS[project]},
            )
        )


def _operation_logs(rows, project, clock):
    for number in range(COUNT):
        rows.operation_logs.create(
            OperationLog(
                id=known(project, "operation_log", number),
                project_id=project,
                operation_type="protect",
                checkpoint_id=known(project, "checkpoint", number),
                plan_id=known(project, "plan", number),
                provider_id=PROVIDER,
                restore_id=known(project, "restore", number),
                status="error",
                error_info=MARKS[project],
                extra_info={"request_id": MARKS[project]},
            )
        )


#: In the order in which rows may refer to each other.
NOUNS = (_plans, _checkpoints, _restores, _operation_logs)


def populate(api, *projects):
    """Put everything into each of the projects."""
    with api.database.write() as rows:
        for project in projects:
            for put in NOUNS:
                put(rows, project, api.clock)
    for project in projects:
        api.workers.inventory.pop(project, None)
        mark = MARKS[project]
        below = [("OS::Cinder::Volume", VOLUME, mark)]
        api.workers.add(project, "OS::Nova::Server", SERVER, name=mark, below=below)
        api.workers.add(project, "OS::Cinder::Volume", VOLUME, name=mark)
        api.workers.add(project, "OS::Cinder::Volume", known(project, "volume"), name=mark)

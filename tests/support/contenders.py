# SPDX-License-Identifier: Apache-2.0
"""What do the other processes do in tests of the database? ``python -m tests.support.contenders ACTION URL ...``.

claim OWNER           take jobs until there are none; print the id of each
plans LIMIT           make plans as long as the quota LIMIT allows; print the id of each
upgrade               bring the schema to the newest version
hold                  take a job, print "held", wait for a line, then try every kind of write; print what was refused
flow JOURNAL [TASK]   take a job, run or go on with its flow; tasks write their names to JOURNAL; TASK kills the process
"""

import os
import signal
import sys
from pathlib import Path

from taskflow import engines, task
from taskflow.patterns import linear_flow
from taskflow.persistence import models

from karbor.common.clock import Clock
from karbor.db.database import Database
from karbor.db.flowstore import FencedBackend, lease_was_lost
from karbor.model import errors
from tests.support.rows import PROJECT, PROVIDER, plan

OVER = -1000  # a lease that has run out when it begins: the next one who asks takes the job over
LONG = 600_000


def take(database, *, owner="somebody", lease_ms=LONG, host="host-1"):
    with database.write() as rows:
        return rows.jobs.claim(owner=owner, provider_ids=[PROVIDER], host=host, lease_ms=lease_ms)


class _Journalled(task.Task):
    def __init__(self, name, act):
        super().__init__(name, provides=name)
        self._act = act

    def execute(self):
        self._act(self.name)
        return {"done": self.name}

    def revert(self, **_given):
        pass


def engine_for(database, job, act, names=("a", "b", "c", "d"), **options):
    """An engine over a flow of four tasks in a row that is kept for ``job``; ``act(name)`` is what each task does."""
    backend = FencedBackend(database, job)
    with backend.get_connection() as connection:
        if "logbook" in job.payload:
            book = connection.get_logbook(job.payload["logbook"])
            detail = next(iter(book))
        else:
            book = models.LogBook(job.id)
            detail = models.FlowDetail(job.id, uuid=book.uuid)
            book.add(detail)
            connection.save_logbook(book)
            with database.write() as rows:
                rows.jobs.set_payload(job, logbook=book.uuid)
    flow = linear_flow.Flow("flow").add(*(_Journalled(name, act) for name in names))
    return engines.load(flow, flow_detail=detail, book=book, backend=backend, **{"engine": "parallel", **options})


def _claim(database, owner):
    while job := take(database, owner=owner):
        print(job.id, flush=True)
        with database.write() as rows:
            rows.jobs.finish(job, "done")


def make_plans(database, limit, owner):
    """Plans of one project, as many as ``limit`` allows for all who make some; the ids of those made here."""
    made = []

    def make(rows):
        rows.quotas.require(PROJECT, {"plans": limit}, "plans")
        return rows.plans.create(plan(f"{owner}-{len(made)}")).id

    while True:
        try:
            made.append(database.retrying(make))
        except errors.TooLarge:
            return made


def _plans(database, limit):
    print(*make_plans(database, int(limit), f"process-{os.getpid()}"), sep="\n", flush=True)


def _hold(database):
    job = take(database, lease_ms=OVER)

    def wait(_name):
        print("held", flush=True)
        sys.stdin.readline()

    try:
        engine_for(database, job, wait, names=("a",)).run()
    except errors.LeaseLost as fault:
        print("engine", lease_was_lost(fault))
    for name, attempt in {
        "heartbeat": lambda rows: rows.jobs.heartbeat(job, lease_ms=LONG),
        "check": lambda rows: rows.jobs.check(job),
        "release": lambda rows: rows.jobs.release(job),
        "finish": lambda rows: rows.jobs.finish(job, "done"),
        "set_payload": lambda rows: rows.jobs.set_payload(job, x=1),
    }.items():
        try:
            with database.write() as rows:
                attempt(rows)
        except errors.LeaseLost:
            print(name, "refused")


def _flow(database, journal, deadly=""):
    job = take(database, lease_ms=OVER)

    def act(name):
        with Path(journal).open("a") as lines:
            lines.write(f"{name}\n")
        if name == deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    engine_for(database, job, act).run()
    with database.write() as rows:
        rows.jobs.finish(job, "done")


def main():
    action, url, *rest = sys.argv[1:]
    database = Database(url, clock=Clock())
    actions = {"claim": _claim, "upgrade": Database.upgrade, "hold": _hold, "flow": _flow, "plans": _plans}
    actions[action](database, *rest)
    database.dispose()


if __name__ == "__main__":
    main()

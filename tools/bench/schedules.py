#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What does an engine cost with many triggers, and how late does it begin what is due?

    tools/bench/schedules.py [--triggers 100000] [--due 1000] [--database URL] [--threads 8]

Makes that many triggers with one operation each (SQLite, unless a URL of an empty database is given). ``--due`` of them
are due at one moment, some seconds after the engine has started; the API is a twin in memory that answers at once. So
everything that is measured is the engine and the database.

Prints: seconds and CPU seconds until a started engine has looked for the first time; CPU percent of an engine with
nothing to do; CPU milliseconds for each fire, up to the row of its run and up to its request; how late rows and
requests came (p50, p99, most, in seconds); and the peak resident set.
"""

import argparse
import json
import resource
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from karbor.common.clock import Clock
from karbor.db.database import Database
from karbor.db.fires import milliseconds
from karbor.db.scheduletables import SCHEDULED_OPERATIONS, SCHEDULED_RUNS, TRIGGERS
from karbor.operationengine.engine import Engine, EngineSettings
from karbor.operationengine.northbound import Northbound
from karbor.operationengine.steps import Steps, StepSettings
from karbor.sdk.trigger import Limits, load_types

PROJECTS = 50
QUIET = 5.0  # seconds


class Twin(Northbound):
    """Begins everything at once, and says when it was asked."""

    def __init__(self, clock):
        self._clock = clock
        self.asked = []

    def protect(self, run):
        self.asked.append((self._clock.now() - run.scheduled_for).total_seconds())
        return {"id": str(uuid.uuid4()), "status": "protecting"}

    def checkpoint(self, run, provider_id, checkpoint_id):
        return {"id": checkpoint_id, "status": "available"}

    def checkpoints(self, run, **filters):
        raise NotImplementedError

    delete = cancel = verify = verification = copy = plan_restore = checkpoints


def fill(database, triggers, now):
    """The rows; all triggers fire within the day that begins in an hour."""
    properties = {"format": "crontab", "pattern": "0 2 * * *", "window": 1800}
    created = now - timedelta(days=30)
    for first in range(0, triggers, 5000):
        whens, whats = [], []
        for number in range(first, min(triggers, first + 5000)):
            fire = now + timedelta(seconds=3600 + number * 80_000 // triggers)
            project = f"{number % PROJECTS:032x}"
            whens.append(
                {
                    "id": f"t{number}",
                    "project_id": project,
                    "name": "nightly",
                    "type": "time",
                    "properties": properties,
                    "created_at": created,
                    "next_fire_ms": milliseconds(fire),
                }
            )
            whats.append(
                {
                    "id": str(uuid.UUID(int=number)),
                    "project_id": project,
                    "user_id": "u",
                    "name": "o",
                    "operation_type": "protect",
                    "trigger_id": f"t{number}",
                    "plan_id": f"p{number}",
                    "provider_id": "provider",
                    "operation_definition": {"plan_id": f"p{number}", "provider_id": "provider"},
                    "enabled": 1,
                    "created_at": created,
                }
            )
        with database.write() as rows:
            rows.connection.execute(sa.insert(TRIGGERS), whens)
            rows.connection.execute(sa.insert(SCHEDULED_OPERATIONS), whats)


def make_due(database, due, at):
    """So many of them fire at that moment."""
    names = [f"t{number}" for number in range(due)]
    query = sa.update(TRIGGERS).where(TRIGGERS.c.id.in_(names)).values(next_fire_ms=milliseconds(at))
    with database.write() as rows:
        rows.connection.execute(query)


def percentiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "p50": round(ordered[len(ordered) // 2], 2),
        "p99": round(ordered[int(len(ordered) * 0.99)], 2),
        "most": round(ordered[-1], 2),
    }


def rows_of(database):
    with database.read() as rows:
        column = SCHEDULED_RUNS.c
        return rows.connection.execute(sa.select(column.created_at, column.scheduled_for)).all()


def measure(database, given):
    clock = Clock()
    fill(database, given.triggers, clock.now())
    north = Twin(clock)
    settings = EngineSettings(threads=given.threads, project_runs=0, provider_runs=0)
    kinds = load_types(Limits(3600, 900, 1800))
    begun, cpu = time.monotonic(), time.process_time()
    steps = Steps(database, north, StepSettings(watch=600_000))
    engine = Engine(database, steps, kinds, settings, clock=clock, owner="bench", host="bench")
    engine.look()
    start = {"start_seconds": time.monotonic() - begun, "start_cpu_seconds": time.process_time() - cpu}
    engine.start()
    cpu = time.process_time()
    pause = threading.Event()
    pause.wait(QUIET)
    idle = (time.process_time() - cpu) / QUIET * 100
    at = clock.now().replace(microsecond=0) + timedelta(seconds=4)
    make_due(database, given.due, at)
    pause.wait(max(0.0, (at - clock.now()).total_seconds() - 0.5))
    cpu, fired_cpu = time.process_time(), 0.0
    while len(north.asked) < given.due:
        pause.wait(0.05)
        if not fired_cpu and len(rows_of(database)) >= given.due:
            fired_cpu = time.process_time() - cpu
    whole = time.process_time() - cpu
    engine.stop(10)
    late = [(row.created_at - row.scheduled_for).total_seconds() for row in rows_of(database)]
    return {
        "triggers": given.triggers,
        "due": given.due,
        **{name: round(value, 3) for name, value in start.items()},
        "idle_cpu_percent": round(idle, 2),
        "cpu_ms_per_fire_to_row": round(fired_cpu / given.due * 1000, 2),
        "cpu_ms_per_fire_to_request": round(whole / given.due * 1000, 2),
        "rows_late_seconds": percentiles(late),
        "requests_late_seconds": percentiles(north.asked),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triggers", type=int, default=100_000)
    parser.add_argument("--due", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--database", help="URL of an empty database")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        database = Database(given.database or f"sqlite:///{Path(directory)}/karbor.sqlite", clock=Clock())
        database.upgrade()
        print(json.dumps(measure(database, given), indent=1))
        database.dispose()


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Does each due time start exactly one operation, or is it told of, while engines are killed and stopped all the time?

For the long run: KARBOR_ENGINE_SECONDS=300 (seconds for which triggers fire), KARBOR_ENGINE_TRIGGERS=50.
"""

import os
import random
import shutil
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from karbor.common.clock import Clock
from karbor.db.database import Database
from karbor.model.page import PageRequest
from tests.support import rows as make
from tests.support.engines import LEASE_MS, Herd, times
from tests.support.northbound import NorthTwin
from tests.support.rest import PAUSE
from tests.unit.db.conftest import template  # noqa: F401

pytestmark = pytest.mark.timeout(1200)
SECONDS = int(os.environ.get("KARBOR_ENGINE_SECONDS", "6"))
TRIGGERS = int(os.environ.get("KARBOR_ENGINE_TRIGGERS", "10"))
EVERY = 2


@pytest.fixture
def url(tmp_path, template):  # noqa: F811
    path = tmp_path / "karbor.sqlite"
    shutil.copy(template, path)
    return f"sqlite:///{path}"


def prepare(database, *, seconds=SECONDS):
    """Triggers that fire every two seconds, one operation on each."""
    NorthTwin.prepare(database)
    with database.write() as rows:
        now = rows.fires.now() + timedelta(seconds=2)  # everything is there before the first of them
        rows.plans.create(make.plan())
        properties = {"every": EVERY, "count": seconds // EVERY, "window": 20}
        for number in range(TRIGGERS):
            name = f"t{number}"
            trigger = make.trigger(name, type="beat", properties=properties, created_at=now)
            rows.triggers.create(replace(trigger, next_fire=times(trigger)[0]))
            rows.scheduled_operations.create(
                make.scheduled_operation(
                    f"o{number}",
                    trigger_id=name,
                    operation_definition={"plan_id": "plan-1", "provider_id": make.PROVIDER, "overlap": "queue"},
                )
            )


def check(database, *, seconds=SECONDS, wait=120):
    """Wait until everything has ended; then every time has its one row, and every row that began its one checkpoint."""
    deadline = time.monotonic() + seconds + wait
    while True:
        runs = _runs(database)
        if len(runs) == TRIGGERS * (seconds // EVERY) and all(run.ended_at for run in runs):
            break
        assert time.monotonic() < deadline, [run for run in runs if not run.ended_at][:5]
        PAUSE.wait(0.3)
    with database.read() as rows:
        for number in range(TRIGGERS):
            found = sorted(run.scheduled_for for run in runs if run.scheduled_operation_id == f"o{number}")
            assert found == times(rows.triggers.get(f"t{number}"))
    made = [run_id for _operation, run_id, _status in NorthTwin(database).made()]
    assert len(made) == len(set(made)), "an operation was started twice"
    assert set(made) == {run.id for run in runs if run.status == "success"}
    assert {run.status for run in runs} <= {"success", "missed", "skipped"}
    return runs


def _runs(database):
    found, marker = [], None
    with database.read() as rows:
        while True:
            page = rows.scheduled_runs.list(PageRequest(limit=1000, sort=(("id", "asc"),), marker=marker))
            found += page.items
            if not page.full:
                return found
            marker = page.items[-1].id


def disturb(herd, seconds, *, every):
    """Kill and stop engines for so long."""
    dice = random.Random(11)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        PAUSE.wait(every)
        herd.disturb(dice)
    herd.wake()


def go_through(url, count, *, skews=(0,)):
    """So many engines over the database at ``url``, whose clocks are so wrong, killed and stopped until all is done."""
    database = Database(url, clock=Clock())
    database.upgrade()
    prepare(database)
    herd = Herd(url, count, skews=skews)
    try:
        disturb(herd, SECONDS, every=LEASE_MS / 1000 + 0.5)
        runs = check(database)
    finally:
        herd.stop()
        database.dispose()
    assert any(run.status == "success" for run in runs)


@pytest.mark.parametrize("count", [1, 3])
def test_nothing_is_lost_and_nothing_done_twice(url, count):
    go_through(url, count)

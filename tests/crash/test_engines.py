# SPDX-License-Identifier: Apache-2.0
"""Does each due time start exactly one operation, or is it told of, while engines are killed and stopped all the time?

For the long runs: KARBOR_ENGINE_SECONDS=300 (seconds for which triggers fire), KARBOR_ENGINE_TRIGGERS=50;
KARBOR_ENGINE_DAYS=10 with KARBOR_ENGINE_SCHEDULES=1000 (simulated days, a day in KARBOR_ENGINE_DAY=60 seconds);
KARBOR_ENGINE_MINUTES=5 (real minutes of triggers that fire every minute); KARBOR_ENGINE_URL=mysql+pymysql://... of an
empty database (SQLite without it).
"""

import collections
import os
import random
import shutil
import time
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from karbor.common.clock import Clock
from karbor.db.database import Database
from karbor.db.fires import milliseconds
from karbor.db.scheduletables import TRIGGERS as ROWS
from karbor.db.tables import METADATA
from karbor.model.page import PageRequest
from tests.support import rows as make
from tests.support.engines import LEASE_MS, Herd, times
from tests.support.northbound import MADE, NorthTwin
from tests.support.rest import PAUSE
from tests.unit.db.conftest import template  # noqa: F401

pytestmark = pytest.mark.timeout(1200)
SECONDS = int(os.environ.get("KARBOR_ENGINE_SECONDS", "6"))
TRIGGERS = int(os.environ.get("KARBOR_ENGINE_TRIGGERS", "10"))
EVERY = 2
DAYS, SCHEDULES = int(os.environ.get("KARBOR_ENGINE_DAYS", "2")), int(os.environ.get("KARBOR_ENGINE_SCHEDULES", "20"))
DAY = float(os.environ.get("KARBOR_ENGINE_DAY", "3"))
MINUTES = int(os.environ.get("KARBOR_ENGINE_MINUTES", "0"))
PATTERNS = ("30 2 * * *", "0 */6 * * *", "15 22 * * 1-5", "0 3,15 * * *", "45 1 * * *")
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC")
HOUR_WRONG = (0, 3600, -3600)


@pytest.fixture
def url(tmp_path, template):  # noqa: F811
    if given := os.environ.get("KARBOR_ENGINE_URL"):
        _empty(given)
        return given
    path = tmp_path / "karbor.sqlite"
    shutil.copy(template, path)
    return f"sqlite:///{path}"


def _empty(url):
    """The database of a long run, as if it were new."""
    database = Database(url, clock=Clock())
    database.upgrade()
    with database.write() as rows:
        for table in [*reversed(METADATA.sorted_tables), MADE]:
            if sa.inspect(rows.connection).has_table(table.name):
                rows.connection.execute(sa.delete(table))
    database.dispose()


def beats(number):
    """Every two seconds."""
    return "beat", {"every": EVERY, "count": SECONDS // EVERY, "window": 20}


def days(number):
    """Nights, hours and weekdays in several zones, while the clocks change."""
    rule = {"format": "crontab", "pattern": PATTERNS[number % 5], "timezone": ZONES[number % 4], "jitter": 900}
    return "fast", {**rule, "days": DAYS, "pace": 86_400 / DAY, "window": 20}


def minutes(number):
    """Every real minute."""
    return "time", {"format": "crontab", "pattern": "* * * * *", "window": 30}


def prepare(database, kind=beats, *, triggers=TRIGGERS):
    """So many triggers, one operation on each. They begin when all of them are there, however long that took: times
    before an operation was there would not be its own."""
    NorthTwin.prepare(database)
    with database.write() as rows:
        rows.plans.create(make.plan())
        for number in range(triggers):
            type_, properties = kind(number)
            rows.triggers.create(make.trigger(f"t{number}", type=type_, properties=properties))
            rows.scheduled_operations.create(
                make.scheduled_operation(
                    f"o{number}",
                    trigger_id=f"t{number}",
                    operation_definition={"plan_id": "plan-1", "provider_id": make.PROVIDER, "overlap": "queue"},
                )
            )
    with database.write() as rows:
        begin = rows.fires.now() + timedelta(seconds=2)
        begin = begin.replace(microsecond=begin.microsecond // 1000 * 1000)
        for number in range(triggers):
            trigger = replace(rows.triggers.get(f"t{number}"), created_at=begin)
            if trigger.type == "time":
                end = (begin + timedelta(minutes=MINUTES)).strftime("%Y-%m-%d %H:%M:%S")
                trigger = replace(trigger, properties={**trigger.properties, "end_time": end})
            values = {
                "created_at": begin,
                "next_fire_ms": milliseconds(times(trigger)[0]),
                "properties": dict(trigger.properties),
            }
            rows.connection.execute(sa.update(ROWS).where(ROWS.c.id == trigger.id).values(values))


def check(database, *, triggers=TRIGGERS, wait=120):
    """Wait until everything has ended; then every time has its one row, and every row that began its one checkpoint."""
    with database.read() as rows:
        expected = {f"o{number}": times(rows.triggers.get(f"t{number}")) for number in range(triggers)}
    deadline = time.monotonic() + wait
    while True:
        runs = _runs(database)
        if len(runs) == sum(map(len, expected.values())) and all(run.ended_at for run in runs):
            break
        assert time.monotonic() < deadline, (len(runs), [run for run in runs if not run.ended_at][:5])
        PAUSE.wait(0.3 + len(runs) / 3000)
    found = collections.defaultdict(list)
    for run in runs:
        found[run.scheduled_operation_id].append(run.scheduled_for)
    assert {name: sorted(moments) for name, moments in found.items()} == expected
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


def go_through(url, count, *, skews=(0,), kind=beats, triggers=TRIGGERS, seconds=SECONDS):
    """So many engines over the database at ``url``, whose clocks are so wrong, killed and stopped until all is done."""
    database = Database(url, clock=Clock())
    database.upgrade()
    prepare(database, kind, triggers=triggers)
    # Times are those of the database server. SQLite has no clock but that of the one host all engines are on.
    herd = Herd(url, count, skews=(0,) if url.startswith("sqlite") else skews)
    try:
        disturb(herd, seconds, every=LEASE_MS / 1000 + 0.5)
        runs = check(database, triggers=triggers, wait=180 + seconds)
    finally:
        herd.stop()
        database.dispose()
    assert any(run.status == "success" for run in runs)
    print(kind.__name__, f"engines={count}", collections.Counter(run.status for run in runs))


@pytest.mark.parametrize("count", [1, 3])
def test_nothing_is_lost_and_nothing_done_twice(url, count):
    go_through(url, count)


def test_days_of_schedules_in_several_zones_while_clocks_change(url):
    """Two engines, on a database server with clocks that are an hour wrong, over time triggers in a time that runs
    fast."""
    go_through(url, 2, skews=HOUR_WRONG, kind=days, triggers=SCHEDULES, seconds=DAYS * DAY)


@pytest.mark.skipif(not MINUTES, reason="takes minutes: KARBOR_ENGINE_MINUTES")
@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_real_minute(url, count):
    go_through(url, count, skews=HOUR_WRONG, kind=minutes, triggers=SCHEDULES, seconds=MINUTES * 60)

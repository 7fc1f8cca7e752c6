# SPDX-License-Identifier: Apache-2.0
"""Do old rows go, and only they, also with several workers at once?"""

import threading

import pytest

from karbor.db.database import Database
from karbor.model.repeat import Repeat
from karbor.protection.purger import Keep, Purger, keep_from
from tests.support.api import make_conf
from tests.support.clock import TwinClock
from tests.support.rows import PROJECT, checkpoint, export, job, log, restore, verification

DAY = 86400


@pytest.fixture
def clock():
    return TwinClock()


@pytest.fixture
def database(tmp_path, clock):
    found = Database(f"sqlite:///{tmp_path}/karbor.sqlite", clock=clock)
    found.upgrade()
    yield found
    found.dispose()


def fill(database, mark):
    """One ended thing and one living thing of each noun."""
    with database.write() as rows:
        for id in (f"live-{mark}", f"ended-{mark}"):
            rows.jobs.create(job(id))
            rows.checkpoints.create(checkpoint(id))
            rows.restores.create(restore(id))
            rows.verifications.create(verification(id))
            rows.exports.create(export(id))
        rows.jobs.request_cancel(f"ended-{mark}")
        for state in ("deleting", "deleted"):
            rows.checkpoints.transition(f"ended-{mark}", state)
        rows.restores.transition(f"ended-{mark}", "success")
        rows.verifications.transition(f"ended-{mark}", "fail")
        rows.exports.transition(f"ended-{mark}", "closed")
        rows.operation_logs.create(log(f"log-{mark}"))
        rows.repeats.begin(Repeat(PROJECT, f"key-{mark}", "/", "hash"))


def test_what_ended_long_ago_goes_and_all_else_stays(database, clock):
    keep = Keep(jobs=7, checkpoints=30, restores=60, verifications=60, exports=60, operation_logs=400)
    purger = Purger(database, clock, keep, interval=1)
    fill(database, "old")
    clock.pass_time(20 * DAY)
    fill(database, "new")
    assert {name: number for name, number in purger.look().items() if number} == {"jobs": 1, "repeats": 1}
    clock.pass_time(15 * DAY)
    assert {name: number for name, number in purger.look().items() if number} == {
        "jobs": 1,
        "checkpoints": 1,
        "repeats": 1,
    }
    clock.pass_time(370 * DAY)
    assert purger.look() == {
        "jobs": 0,
        "checkpoints": 1,
        "restores": 2,
        "verifications": 2,
        "exports": 2,
        "operation_logs": 1,
        "repeats": 0,
    }
    with database.read() as rows:
        for mark in ("old", "new"):
            for kept in (rows.jobs, rows.checkpoints, rows.restores, rows.verifications, rows.exports):
                assert kept.get(f"live-{mark}")


def test_nothing_goes_where_everything_is_kept_for_ever(database, clock):
    fill(database, "old")
    clock.pass_time(4000 * DAY)
    keep = Keep(jobs=0, checkpoints=0, restores=0, verifications=0, exports=0, operation_logs=0, repeats=0)
    assert not any(Purger(database, clock, keep, interval=1).look().values())


def test_many_rows_go_in_one_look_whoever_looks_too(database, clock):
    with database.write() as rows:
        for number in range(450):
            rows.operation_logs.create(log(f"log-{number}"))
    clock.pass_time(500 * DAY)
    removed = []
    workers = [
        threading.Thread(
            target=lambda: removed.append(Purger(database, clock, Keep(), interval=1).look()["operation_logs"])
        )
        for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(removed) == 450


def test_it_starts_and_stops(database, clock):
    for interval in (0, 3600):
        purger = Purger(database, clock, keep_from(make_conf()), interval=interval)
        purger.start()
        purger.stop()
    assert keep_from(make_conf()) == Keep()

# SPDX-License-Identifier: Apache-2.0
"""Can a worker that was stopped (SIGSTOP) past its lease write anything that counts when it comes back?

It is stopped at the last moment: every look at the fence and at the lease is behind it, the put of the record is next.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import uuid

import pytest

from karbor.db.database import Database
from karbor.db.outcomes import end_badly
from karbor.model import errors
from karbor.protection.catalog import Rebuild
from tests.support.crashsite import HERE, PROJECT, House

POINT = "bank:put-record-checkpoint:before"


def _wait(reached, what):
    deadline = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class Stopped:
    """A worker process that stops itself before it puts the record of a new checkpoint."""

    def __init__(self, root):
        self.case = {"do": "run", "root": str(root), "operation": "protect", "at": [POINT, 1], "how": "stop"}
        self.case |= {"job": str(uuid.uuid4()), "checkpoint": str(uuid.uuid4())}
        arguments = [sys.executable, "-W", "ignore", "-m", "tests.support.crashhouse"]
        self._process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._mark, self._database = root / "reached", root / "db.sqlite"

    def __enter__(self):
        self._process.stdin.write(json.dumps(self.case) + "\n")
        self._process.stdin.flush()
        _wait(lambda: self._mark.exists() and self._mark.read_text(), "the worker did not reach the point")
        self._child = int(self._mark.read_text())
        _wait(self._holds_no_lock, "the worker was always stopped in the middle of a transaction")
        return self

    def _holds_no_lock(self):
        """SQLite has one lock: a process stopped while it has that stops everybody. Then it may run for a moment."""
        connection = sqlite3.connect(self._database, timeout=0.2, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            os.kill(self._child, signal.SIGCONT)
            return False
        finally:
            connection.close()
        return True

    def go_on(self):
        """Let it run to its end; what it answered."""
        self._mark.unlink()
        os.kill(self._child, signal.SIGCONT)
        return json.loads(self._process.stdout.readline())

    def __exit__(self, *_):
        if self._mark.exists():  # the test failed before
            self.go_on()
        self._process.stdin.close()
        self._process.wait(120)
        self._process.stdout.close()


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path)
    (tmp_path / "files" / "one").write_bytes(b"one" * 1000)
    house.initialise()
    yield house
    house.database.dispose()


def _give_up(house, case):
    """As a user does who resets a checkpoint whose worker is silent."""

    def silent():
        with house.database.write() as rows:
            if rows.jobs.give_up(case["job"]):
                end_badly(rows, rows.jobs.get(case["job"]), cause="reset", now=house.clock.now())
                return True
        return False

    _wait(silent, "the lease of the job did not run out")


def _delete(house, case):
    job = {"operation": "delete", "job": str(uuid.uuid4()), "checkpoint": case["checkpoint"]}
    house.ask(job)
    assert house.work(job["job"], 60) == "done"


def _rebuilt(house, tmp_path):
    """Ids of the checkpoints in a catalog that is made from the bank alone."""
    database = Database(f"sqlite:///{tmp_path}/other.sqlite", clock=house.clock)
    database.upgrade()
    Rebuild(database, house.get(HERE)).run()
    with database.read() as rows:
        found = rows.connection.exec_driver_sql("SELECT id FROM checkpoints").scalars().all()
    database.dispose()
    return found


@pytest.mark.parametrize("deleted", [True, False], ids=["given-up-and-deleted", "given-up"])
def test_what_a_stopped_worker_writes_when_it_comes_back_does_not_count(house, tmp_path, deleted):
    with Stopped(tmp_path) as stopped:
        _give_up(house, stopped.case)
        if deleted:
            _delete(house, stopped.case)
        assert stopped.go_on()["state"] == "failed"
    status = "deleted" if deleted else "error"
    with house.database.read() as rows:
        assert rows.checkpoints.get(stopped.case["checkpoint"]).status == status
        assert rows.checkpoints.resources(stopped.case["checkpoint"]) == ()
    domain = house.get(HERE).vault.domain(PROJECT)
    with pytest.raises(errors.ObjectNotFound):
        domain.get_record("checkpoint", stopped.case["checkpoint"])
    assert list(domain.records("checkpoint")) == []
    assert _rebuilt(house, tmp_path) == []
    assert list(house.database.engine.connect().exec_driver_sql("SELECT uuid FROM logbooks")) == []

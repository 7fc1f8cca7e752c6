# SPDX-License-Identifier: Apache-2.0
"""Is a job that does not end looked at, given back and ended as an operator may expect?"""

import pytest

from karbor.app.jobs import WORKER, Jobs
from karbor.db.database import Database
from karbor.model import errors
from tests.support import rows as make
from tests.support.clock import TwinClock
from tests.support.contenders import LONG, OVER, take

DOWN = 60


class Site:
    """A database with one checkpoint that is being made, by a job that waits."""

    def __init__(self, path):
        self.clock = TwinClock()
        self.database = Database(f"sqlite:///{path}/db.sqlite", clock=self.clock)
        self.database.upgrade()
        self.jobs = Jobs(self.database, self.clock, down_after=DOWN)
        with self.database.write() as rows:
            rows.checkpoints.create(make.checkpoint())
            rows.operation_logs.create(make.log(checkpoint_id="checkpoint-1"))
            rows.jobs.create(make.job(checkpoint_id="checkpoint-1"))

    def beat(self):
        with self.database.write() as rows:
            rows.services.heartbeat(binary=WORKER, host="host-1")

    def status(self):
        """Of the job, the checkpoint, and the entry in the operation log."""
        with self.database.read() as rows:
            log = rows.operation_logs.get("job-1")
            return rows.jobs.get("job-1").state, rows.checkpoints.get("checkpoint-1").status, log.status


@pytest.fixture
def site(tmp_path):
    found = Site(tmp_path)
    yield found
    found.database.dispose()


def test_the_list_says_what_a_job_needs_to_go_on(site):
    def told():
        (entry,) = site.jobs.list()
        return entry["text"]

    assert "start karbor-protection" in told()
    site.beat()
    assert "It waits; a worker" in told()
    take(site.database, lease_ms=LONG)
    assert told() == "Its worker is at it."
    (entry,) = site.jobs.list()
    assert (entry["job"], entry["worker"], entry["state"]) == ("job-1", "somebody", "running")
    assert entry["lease_seconds"] == LONG / 1000
    site.clock.pass_time(LONG / 1000 + 1)
    site.beat()
    assert "silent" in told()


def test_a_job_is_taken_from_a_dead_worker_only(site):
    with pytest.raises(errors.Conflict, match="queued"):
        site.jobs.release("job-1")
    job = take(site.database, lease_ms=LONG)
    with pytest.raises(errors.Conflict, match="600 more seconds"):
        site.jobs.release("job-1")
    assert "somebody" in site.jobs.release("job-1", force=True)["text"]
    with site.database.write() as rows, pytest.raises(errors.LeaseLost):
        rows.jobs.finish(job, "done")
    assert take(site.database, lease_ms=OVER).fence == job.fence + 1
    assert site.jobs.release("job-1")["outcome"] == "released"
    with pytest.raises(errors.NotFound):
        site.jobs.release("nothing")


def test_a_job_that_nobody_began_ends_at_once(site):
    site.beat()
    assert site.jobs.abort("job-1")["outcome"] == "ended"
    assert site.status() == ("failed", "error", "error")
    with pytest.raises(errors.Conflict, match="ended already"):
        site.jobs.abort("job-1")
    with site.database.read() as rows:
        assert "operator" in rows.checkpoints.get("checkpoint-1").reason.cause


def test_a_living_worker_is_asked_and_never_overruled(site):
    take(site.database, lease_ms=LONG)
    for force in (False, True):
        assert site.jobs.abort("job-1", force=force)["outcome"] == "asked"
    assert site.status()[:2] == ("running", "protecting")
    with site.database.read() as rows:
        assert rows.jobs.get("job-1").cancel_requested


def test_a_job_of_a_dead_worker_is_left_to_the_living_and_ended_where_there_are_none(site):
    job = take(site.database, lease_ms=OVER)
    site.beat()
    assert "host-1" in site.jobs.abort("job-1")["text"]
    assert site.status()[0] == "running"
    site.clock.pass_time(DOWN + 1)
    assert site.jobs.abort("job-1")["outcome"] == "ended"
    assert site.status() == ("failed", "error", "error")
    with site.database.write() as rows, pytest.raises(errors.LeaseLost):
        rows.jobs.finish(job, "done")


def test_a_job_that_no_living_worker_can_take_is_ended_when_one_insists(site):
    take(site.database, lease_ms=OVER)
    site.beat()
    assert site.jobs.abort("job-1", force=True)["outcome"] == "ended"
    assert site.status() == ("failed", "error", "error")


def test_a_delete_is_not_cancelled_half_way(site):
    with site.database.write() as rows:
        rows.checkpoints.transition("checkpoint-1", "available")
        rows.checkpoints.transition("checkpoint-1", "deleting")
        rows.jobs.withdraw("job-1")
        rows.jobs.create(make.job("delete-1", operation="delete", checkpoint_id="checkpoint-1"))
        rows.operation_logs.create(make.log("delete-1", operation_type="delete"))
    site.beat()
    with pytest.raises(errors.Conflict, match="half-way"):
        site.jobs.abort("delete-1")
    take(site.database, lease_ms=OVER)
    site.clock.pass_time(DOWN + 1)
    assert site.jobs.abort("delete-1")["outcome"] == "ended"
    assert site.status()[1] == "error-deleting"


def test_a_restore_that_is_ended_says_why(site):
    with site.database.write() as rows:
        rows.jobs.withdraw("job-1")
        rows.restores.create(make.restore())
        rows.jobs.create(make.job("job-2", operation="restore", restore_id="restore-1", checkpoint_id="checkpoint-1"))
        rows.operation_logs.create(make.log("job-2", operation_type="restore", restore_id="restore-1"))
    assert site.jobs.abort("job-2")["outcome"] == "ended"
    with site.database.read() as rows:
        restore = rows.restores.get("restore-1")
    assert restore.status == "fail" and "operator" in restore.resources_reason["Checkpoint#checkpoint-1"]

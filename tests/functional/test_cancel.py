# SPDX-License-Identifier: Apache-2.0
"""Does work that somebody cancels really end, with its reason, and with everything put back?"""

import threading
import uuid

import pytest
import sqlalchemy as sa

from karbor.db.tables import JOBS
from karbor.model import errors
from karbor.model.checkpoint import Reason
from karbor.model.restore import Restore
from karbor.protection.operation import RECORD
from tests.functional.test_operations import PROJECT, PROVIDER, House
from tests.samples.sample_file import FileProtection

PATIENCE = 120  # seconds that a loaded machine may take to begin a step


class Patient(FileProtection):
    """A plug-in that does its work, says so, and goes on until somebody ends it. What it puts back is noted."""

    def __init__(self, settings, environment):
        super().__init__(settings, environment)
        self.reached = threading.Event()
        self.ended = threading.Event()
        self.put_back = []
        self.patient = True
        self.fault = None  # raised instead of going on
        self.on_undo = lambda: None

    def protect(self, work):
        done = super().protect(work)
        self._go_on(work)
        return done

    def abandon(self, work):
        self.on_undo()
        self.put_back.append(work.resource.name)

    def restore(self, work):
        done = super().restore(work)
        self._go_on(work)
        return done

    def restore_abandon(self, work):
        super().restore_abandon(work)
        self.put_back.append(work.resource.name)

    def _go_on(self, work):
        if not self.patient:
            return
        self.reached.set()
        never = threading.Event()
        try:
            for _ in range(PATIENCE * 100):
                work.check()
                if not self.patient:
                    return
                if self.fault:
                    raise self.fault
                never.wait(0.01)
            raise AssertionError("nobody ended this work")
        finally:
            self.ended.set()


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path, Patient)
    yield house
    house.close()


def begun(house, operation, **more):
    """Ask for work and wait until its plug-in has reached its end; returns the id of the job."""
    job_id = house.book(operation, **more)
    assert house.plugin.reached.wait(PATIENCE)
    return job_id


def cancel(house, job_id):
    with house.database.write() as rows:
        return rows.jobs.request_cancel(job_id)


def log_of(house, job_id):
    with house.database.read() as rows:
        return rows.operation_logs.get(job_id)


def test_a_cancelled_protect_ends_in_error_and_is_undone(house):
    checkpoint_id = str(uuid.uuid4())
    job_id = begun(house, "protect", checkpoint_id=checkpoint_id, plan=house.plan())
    assert cancel(house, job_id) is False  # its worker ends it
    assert house.ended(job_id).state == "failed"
    row, log = house.row(checkpoint_id), log_of(house, job_id)
    assert (row.status, row.reason.cause) == ("error", "The operation was cancelled.")
    assert (row.reason.resource, row.reason.step) == ("one", "protect")
    assert row.finished_at
    assert house.plugin.put_back == ["one"]
    assert (log.status, "cancelled" in log.error_info) == ("error", True)
    with pytest.raises(errors.NotFound):
        house.vault.domain(PROJECT).get_record(RECORD, checkpoint_id)


def test_a_fault_that_might_pass_is_not_tried_again_once_somebody_cancelled(house):
    checkpoint_id = str(uuid.uuid4())
    house.plugin.on_undo = lambda: cancel(house, job_id) and None
    job_id = begun(house, "protect", checkpoint_id=checkpoint_id, plan=house.plan())
    house.plugin.fault = errors.Unavailable("The hypervisor went away.")
    job, row = house.ended(job_id), house.row(checkpoint_id)
    assert (job.state, job.attempts, row.status) == ("failed", 1, "error")
    assert "cancelled" in row.reason.cause


def test_a_job_that_waits_for_its_next_attempt_ends_without_beginning_anything(house):
    """It was begun before, so a worker ends it; the plug-in is not called again."""
    house.worker.stop(5)
    checkpoint_id = str(uuid.uuid4())
    job_id = house.book("protect", checkpoint_id=checkpoint_id, plan=house.plan())
    with house.database.write() as rows:
        job = rows.jobs.claim(owner="gone", provider_ids=(PROVIDER,), host="here", lease_ms=60_000)
        rows.jobs.release(job, fresh=True)
    assert cancel(house, job_id) is False
    house.open()
    assert house.ended(job_id).state == "failed"
    assert "cancelled" in house.row(checkpoint_id).reason.cause
    assert not house.plugin.reached.is_set()


def test_a_cancelled_restore_fails_and_leaves_nothing_behind(house):
    house.plugin.patient = False
    checkpoint = house.checkpoint()
    house.plugin.patient = True
    restore = Restore(str(uuid.uuid4()), PROJECT, PROVIDER, checkpoint.id)
    job_id = begun(house, "restore", checkpoint_id=checkpoint.id, restore=restore)
    cancel(house, job_id)
    assert house.ended(job_id).state == "failed"
    with house.database.read() as rows:
        row = rows.restores.get(restore.id)
    assert row.status == "fail"
    assert any("cancelled" in text for text in row.resources_reason.values())
    assert "available" not in row.resources_status.values()
    assert [path.name for path in house.files.iterdir()] == ["one"]
    assert house.row(checkpoint.id).status == "available"


def give_up(house, job_id, checkpoint_id):
    """What a reset does when the worker of a job was not heard of; returns the checkpoint as it is then."""
    with house.database.write() as rows:
        rows.connection.execute(sa.update(JOBS).where(JOBS.c.id == job_id).values(lease_until_ms=0))
        assert rows.jobs.give_up(job_id)
        return rows.checkpoints.transition(checkpoint_id, "error", reason=Reason("", "reset", "given up"))


def test_a_worker_whose_job_was_given_up_changes_nothing_more(house):
    """It was taken for lost, the checkpoint was reset, and then it wakes up and finishes."""
    checkpoint_id = str(uuid.uuid4())
    job_id = begun(house, "protect", checkpoint_id=checkpoint_id, plan=house.plan())
    reset = give_up(house, job_id, checkpoint_id)
    house.plugin.patient = False
    house.worker.stop(PATIENCE)
    assert house.row(checkpoint_id) == reset
    with pytest.raises(errors.NotFound):
        house.vault.domain(PROJECT).get_record(RECORD, checkpoint_id)


def test_a_worker_that_lost_a_job_still_looks_after_its_others(house):
    lost, other = str(uuid.uuid4()), str(uuid.uuid4())
    job_id = begun(house, "protect", checkpoint_id=lost, plan=house.plan())
    give_up(house, job_id, lost)
    assert house.plugin.ended.wait(PATIENCE)  # it was told that it lost the job
    house.plugin.reached.clear()
    job_id = begun(house, "protect", checkpoint_id=other, plan=house.plan())
    cancel(house, job_id)
    assert house.ended(job_id).state == "failed"
    assert "cancelled" in house.row(other).reason.cause

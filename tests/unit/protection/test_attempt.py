# SPDX-License-Identifier: Apache-2.0
"""Is a claimed job carried to one end, written whole or not at all? (Everything at once: tests/simulation.)"""

import pytest

from karbor.model import errors
from karbor.protection import flows
from karbor.protection.attempt import LOGGED, OPERATIONS
from karbor.protection.protect import ProtectOperation
from karbor.protection.restore import RestoreOperation
from tests.support.simsite import Build, Process, Template, checkpoints
from tests.support.simworld import World


class Dies(BaseException):
    """The process ends here."""


class DiesAtTheEnd(ProtectOperation):
    def ended_well(self, rows):
        super().ended_well(rows)
        raise Dies


class FailsAfterTheRecord(ProtectOperation):
    def engine_step(self, step, results):
        answer = super().engine_step(step, results)
        if step.phase == flows.COMMIT:
            raise errors.BankUnavailable
        return answer


class FailsOnce(ProtectOperation):
    failing = True

    def engine_step(self, step, results):
        if FailsOnce.failing:
            FailsOnce.failing = False
            raise errors.BankUnavailable
        return super().engine_step(step, results)


class EndedBySomebody(RestoreOperation):
    def ended_well(self, rows):
        rows.restores.transition(self.restore_id, "fail")
        super().ended_well(rows)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return Template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def world(template):
    world = World(1, template, build=Build())
    world.calm = True
    yield world
    world.close()


@pytest.fixture
def site(world):
    return world.sites[0]


def _work(site, **operations):
    """A worker looks for a job, with these operations in the place of the real ones."""
    site.world.build.operations = {**OPERATIONS, **operations}
    process = Process(site, "worker")
    try:
        return process.look_for_work()
    finally:
        process.close()


def _shown(site, job_id):
    """(state of the job, status of its log, number of kept flows)"""
    with site.database.read() as rows:
        kept = rows.connection.exec_driver_sql("SELECT count(*) FROM logbooks").scalar()
        return rows.jobs.get(job_id).state, rows.operation_logs.get(job_id).status, kept


@pytest.mark.parametrize("operation", ["protect", "restore", "verify", "copy", "delete"])
def test_job_log_thing_and_flow_end_together(world, site, operation):
    world.ask_for("protect", site)
    job_id = _work(site)
    if operation != "protect":
        world.ask_for(operation, site)
        job_id = _work(site)
    assert _shown(site, job_id) == ("done", LOGGED[operation][0], 0)


def test_an_end_that_is_not_committed_has_not_happened_and_no_step_is_done_again(world, site):
    world.ask_for("protect", site)
    with pytest.raises(Dies):
        _work(site, protect=DiesAtTheEnd)
    with site.database.read() as rows:
        (job,) = rows.jobs.live()
    assert _shown(site, job.id) == ("running", None, 1)
    stored = len(world.banks[job.provider_id].objects)
    world.pass_time(100)
    assert _work(site) == job.id
    assert _shown(site, job.id) == ("done", "available", 0)
    assert len(world.banks[job.provider_id].objects) <= stored


def test_a_fault_after_the_record_was_put_does_not_make_it_undone(world, site):
    world.ask_for("protect", site)
    job_id = _work(site, protect=FailsAfterTheRecord)
    assert _shown(site, job_id) == ("done", "available", 0)
    assert [one.status for one in checkpoints(site)] == ["available"]


def test_a_fault_that_may_pass_is_tried_again_from_the_beginning(world, site):
    world.ask_for("protect", site)
    job_id = _work(site, protect=FailsOnce)
    assert _shown(site, job_id) == ("queued", None, 0)
    world.pass_time(10)
    assert _work(site, protect=FailsOnce) == job_id
    assert _shown(site, job_id) == ("done", "available", 0)


def test_a_thing_that_has_another_end_already_does_not_keep_the_job(world, site):
    world.ask_for("protect", site)
    _work(site)
    world.ask_for("restore", site)
    job_id = _work(site, restore=EndedBySomebody)
    assert _shown(site, job_id) == ("failed", "fail", 0)
    with site.database.read() as rows:
        assert "cannot become success" in rows.operation_logs.get(job_id).error_info


def test_who_lost_the_job_hears_it_and_shows_no_progress(world, site):
    world.ask_for("protect", site)
    process = Process(site, "worker")
    process.look_for_work()
    process.attempt.control.advance(7)
    with pytest.raises(errors.LeaseLost):
        process.attempt.beat()
    process.attempt.give_back()  # nothing happens: it is not ours to give
    process.close()
    (checkpoint,) = checkpoints(site)
    assert checkpoint.status == "available" and checkpoint.progress.bytes_done != 7

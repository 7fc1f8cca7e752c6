# SPDX-License-Identifier: Apache-2.0
"""Is everything that becomes of an operation told, once, with what a human needs to know?"""

import pytest

from karbor.common.meters import Meters
from karbor.model import errors
from karbor.rpc.notifications import BAD, event_type, payload_of
from tests.functional.test_operations import House


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path)
    house.heard, house.meters = [], Meters()
    house.database.listen(house.heard.append)
    house.database.listen(house.meters.observe)
    yield house
    house.close()


def log_of(house, checkpoint_id):
    jobs = [change.thing.id for change in house.heard if change.noun == "job"]
    with house.database.read() as rows:
        logs = [rows.operation_logs.get(id) for id in dict.fromkeys(jobs)]
        return next(log for log in logs if rows.jobs.get(log.id).checkpoint_id == checkpoint_id)


def test_a_fault_that_passes_is_told_of_and_stays_to_be_seen(house):
    house.checkpoint()  # keys exist from here on
    (house.files / "one").write_bytes(b"two" * 100_000)
    house.heard.clear()
    house.bank.fail(1, method="put_if_absent")
    checkpoint = house.checkpoint()
    assert [event_type(change).removeprefix("karbor.") for change in house.heard] == [
        *("checkpoint.protecting", "job.queued", "job.running"),
        *("job.queued", "job.running", "checkpoint.available", "job.done"),
    ]
    log = log_of(house, checkpoint.id)
    assert (log.status, log.error_info, log.extra_info["attempts"]) == ("available", None, 2)
    assert "Next: " in log.extra_info["last_failure"]
    value = house.meters.registry.get_sample_value
    assert value("karbor_job_attempts_total", {"operation": "protect"}) == 3
    assert value("karbor_jobs_ended_total", {"operation": "protect", "state": "done"}) == 2


def test_a_failure_names_resource_step_cause_and_next_action_wherever_it_is_shown(house):
    house.checkpoint()
    (house.files / "one").write_bytes(b"two" * 100_000)
    # the first put is the lease
    house.bank.fail(2, method="put_if_absent", error=errors.BankFull, lasting=True)
    house.heard.clear()
    checkpoint = house.checkpoint()
    assert all(checkpoint.reason.to_dict().values())
    assert log_of(house, checkpoint.id).error_info == checkpoint.reason.in_words()
    bad = [payload_of(change) for change in house.heard if change.word in BAD]
    assert [(entry["noun"], entry["before"]) for entry in bad] == [("checkpoint", "protecting"), ("job", "running")]
    assert bad[0]["reason"] == checkpoint.reason.to_dict()

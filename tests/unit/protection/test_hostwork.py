# SPDX-License-Identifier: Apache-2.0
"""What does a worker do with a step that it cannot, or need not, do? (With both sides: tests/functional.)"""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from karbor.common.clock import Clock
from karbor.db.database import Database
from karbor.model import errors
from karbor.protection.hostwork import HostWork
from karbor.protection.operation import Parts
from karbor.protection.protectables import ProtectableRegistry
from tests.functional.test_operations import OneProvider
from tests.support import rows as make

SECONDS = 60


@pytest.fixture
def database(tmp_path):
    found = Database(f"sqlite:///{tmp_path}/db.sqlite", clock=Clock())
    found.upgrade()
    yield found
    found.dispose()


@pytest.fixture
def work(database):
    parts = Parts(database, OneProvider(None), ProtectableRegistry([]), Clock())
    with ThreadPoolExecutor(1) as executor:
        found = HostWork(parts, executor, host="there", owner="me", lease=5, poll=0.05)
        found.start()
        yield found
        found.stop(1)


def _claimed(database, **given):
    with database.write() as rows:
        rows.jobs.create(make.job(**given))
        return rows.jobs.claim(owner="other", provider_ids=[make.PROVIDER], host="here", lease_ms=60_000)


def _until(database, condition):
    for _ in range(20 * SECONDS):
        with database.read() as rows:
            if condition(rows):
                return
        threading.Event().wait(0.05)
    raise AssertionError("not in time")


def _gone(rows):
    try:
        rows.host_steps.get("step-1")
    except errors.NotFound:
        return True
    return False


def test_a_step_of_a_claim_that_is_over_is_removed(database, work):
    job = _claimed(database)
    with database.write() as rows:
        rows.host_steps.ask(job, make.host_step(fence=job.fence))
        rows.jobs.release(job)
    work.wake()
    _until(database, _gone)


def test_a_step_of_an_operation_that_has_none_elsewhere_is_refused_with_the_reason(database, work):
    job = _claimed(database, operation="delete", checkpoint_id="checkpoint-1")
    with database.write() as rows:
        rows.host_steps.ask(job, make.host_step(fence=job.fence, phase="delete"))
    work.wake()
    _until(database, lambda rows: rows.host_steps.get("step-1").state == "failed")
    with database.read() as rows:
        assert rows.host_steps.get("step-1").fault["kind"] == "NotSupported"


def test_what_is_asked_of_another_host_is_let_alone(database, work):
    job = _claimed(database, operation="delete", checkpoint_id="checkpoint-1")
    with database.write() as rows:
        rows.host_steps.ask(job, make.host_step("other", fence=job.fence, host="elsewhere"))
        rows.host_steps.ask(job, make.host_step(fence=job.fence, phase="delete"))
    work.wake()
    _until(database, lambda rows: rows.host_steps.get("step-1").state == "failed")
    with database.read() as rows:
        assert rows.host_steps.get("other").state == "asked"

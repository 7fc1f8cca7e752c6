# SPDX-License-Identifier: Apache-2.0
"""Does a locked checkpoint stay whatever the catalog says, from the moment it is available on?"""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from karbor.model import errors
from karbor.model.operation import Job, OperationLog
from karbor.protection.operation import RECORD
from tests.functional.test_catalog import lose_the_database, provider, rebuild
from tests.functional.test_operations import PROJECT, PROVIDER, House

NOTHING = {"lock_mode": None, "locked_until": None, "held": False, "held_reason": None}


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path)
    yield house
    house.close()


def until(days):
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)


def ask(house, checkpoint, action, **wish):
    """What the API does."""
    job_id, payload = str(uuid.uuid4()), {"action": action, **wish}
    with house.database.write() as rows:
        rows.operation_logs.create(OperationLog(job_id, PROJECT, "lock"))
        rows.jobs.create(Job(job_id, "lock", PROJECT, PROVIDER, checkpoint_id=checkpoint.id, payload=payload))
    house.worker.wake()
    return house.ended(job_id)


def row(house, checkpoint):
    with house.database.read() as rows:
        return rows.checkpoints.get(checkpoint.id)


def tamper(house, checkpoint):
    """Somebody makes the catalog say that nothing keeps it."""
    with house.database.write() as rows:
        rows.checkpoints.update(checkpoint.id, **NOTHING)


def test_the_catalog_shows_what_the_bank_knows(house):
    checkpoint, end = house.checkpoint(), until(3)
    assert ask(house, checkpoint, "lock", mode="governance", until=end.isoformat()).state == "done"
    assert (row(house, checkpoint).lock_mode, row(house, checkpoint).locked_until) == ("governance", end)
    ask(house, checkpoint, "hold", reason="case 7")
    ask(house, checkpoint, "unlock")
    found = row(house, checkpoint)
    assert (found.lock_mode, found.locked_until, found.held, found.held_reason) == (None, None, True, "case 7")
    ask(house, checkpoint, "release")
    assert not row(house, checkpoint).held
    assert house.ask("delete", checkpoint_id=checkpoint.id).state == "done"


def test_the_bank_decides_where_the_catalog_was_tampered_with(house):
    checkpoint, end = house.checkpoint(), until(3)
    ask(house, checkpoint, "lock", mode="compliance", until=end.isoformat())
    tamper(house, checkpoint)
    job = house.ask("delete", checkpoint_id=checkpoint.id)
    assert job.state == "failed" and "compliance lock" in job.payload["failure"]["cause"]
    found = row(house, checkpoint)
    assert (found.status, found.lock_mode, found.locked_until) == ("available", "compliance", end)
    tamper(house, checkpoint)
    assert ask(house, checkpoint, "unlock").state == "failed"
    assert row(house, checkpoint).locked_until == end
    with pytest.raises(errors.CheckpointLocked):
        provider(house).vault.domain(PROJECT).delete_record(RECORD, checkpoint.id)


def test_a_rebuilt_catalog_knows_every_lock(house):
    locked, held = house.checkpoint(), house.checkpoint()
    end = until(9)
    ask(house, locked, "lock", mode="compliance", until=end.isoformat())
    ask(house, held, "hold", reason="case 7")
    tamper(house, held)
    assert rebuild(house)["counts"]["checkpoints mended"] == 1
    lose_the_database(house)
    rebuild(house)
    assert (row(house, locked).lock_mode, row(house, locked).locked_until) == ("compliance", end)
    assert row(house, held).held_reason == "case 7"
    assert rebuild(house)["counts"]["checkpoints kept"] == 2


def test_a_checkpoint_is_locked_when_it_becomes_available(house):
    plan = house.plan() | {"parameters": {"Karbor::Lock": {"mode": "compliance", "days": 2}}}
    checkpoint = house.checkpoint(plan)
    found = row(house, checkpoint)
    assert found.lock_mode == "compliance" and timedelta(days=1.9) < found.locked_until - datetime.now(UTC)
    assert house.ask("delete", checkpoint_id=checkpoint.id).state == "failed"
    assert row(house, checkpoint).status == "available"


def test_what_its_provider_asks_for_is_not_weakened_by_a_plan(house):
    provider(house).lock = ("compliance", 5)
    plan = house.plan() | {"parameters": {"Karbor::Lock": {"mode": "governance", "days": 2}}}
    found = row(house, house.checkpoint(plan))
    assert found.lock_mode == "compliance" and timedelta(days=4.9) < found.locked_until - datetime.now(UTC)

# SPDX-License-Identifier: Apache-2.0
"""Do protect, restore and delete end rightly, from a job row to a record in the bank, whatever fails on the way?

Real database, real vault, real worker threads; the sample resource type stands for any plug-in, a memory bank for any
bank.
"""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from karbor.common.clock import Clock
from karbor.db.database import Database
from karbor.model import errors
from karbor.model.checkpoint import Checkpoint
from karbor.model.operation import Job, OperationLog
from karbor.model.provider import ProviderInfo
from karbor.model.restore import Restore
from karbor.protection.attempt import JobSettings
from karbor.protection.operation import RECORD, Parts
from karbor.protection.protectables import ProtectableRegistry
from karbor.protection.providers import Provider
from karbor.protection.worker import Worker
from karbor.sdk.environment import Environment
from karbor.sdk.testing.faults import FaultyBank
from karbor.sdk.testing.memory_bank import MemoryBank
from karbor.vault.keys import MasterKey
from karbor.vault.vault import Vault
from tests.samples.sample_file import TYPE, FileProtectable, FileProtection

PROVIDER, PROJECT = "22222222-2222-4222-8222-222222222222", "a" * 32


class OneProvider:
    """A registry with one provider."""

    ids = (PROVIDER,)

    def __init__(self, provider):
        self._provider = provider

    def get(self, provider_id):
        return self._provider


class House:
    """A worker over a directory of files."""

    def __init__(self, root, protection=FileProtection, protectable=FileProtectable, *, bank=None):
        self.files = root / "files"
        self.files.mkdir()
        (self.files / "one").write_bytes(b"one" * 100_000)
        environment = Environment(host="here", state_dir=str(root))
        self.protectable = protectable(protectable.Settings(directory=str(self.files)), environment)
        self.bank = FaultyBank(bank or MemoryBank(MemoryBank.Settings()))
        self.bank.initialise()
        clock = Clock()
        vault = Vault(self.bank, master_key=MasterKey(b"k" * 32), cache_dir=root / "cache", clock=clock)
        self.plugin = protection(protection.Settings(), environment)
        provider = Provider(
            ProviderInfo(PROVIDER, "sample"),
            self.bank,
            {TYPE: self.plugin},
            {TYPE: "sample"},
            open_vault=lambda _bank: vault,
        )
        self.vault = vault
        self.database = Database(f"sqlite:///{root}/db.sqlite", clock=clock)
        self.database.upgrade()
        self._parts = Parts(self.database, OneProvider(provider), ProtectableRegistry([self.protectable]), clock)
        self.executor = ThreadPoolExecutor(2)
        self.open()

    def open(self):
        """Put a worker to work; ``worker.stop`` sends it home."""
        settings = JobSettings(lease=5, poll=0.1, attempts=2, retry_delay=0)
        self.worker = Worker(self._parts, self.executor, settings, owner="me", host="here")
        self.worker.start()

    def close(self):
        self.worker.stop(5)
        self.executor.shutdown()
        self.vault.close()
        self.database.dispose()

    def plan(self, resources=None):
        roots = resources or [self.protectable.list(PROJECT)[0].to_dict()]
        return {"id": str(uuid.uuid4()), "name": "p", "provider_id": PROVIDER, "resources": roots, "parameters": {}}

    def ask(self, operation, **what):
        """Have it done; returns the job as it ended."""
        return self.ended(self.book(operation, **what))

    def book(self, operation, *, checkpoint_id, restore=None, plan=None):
        """What the API does: rows in one transaction, then a word to the worker. Returns the id of the job."""
        job_id = str(uuid.uuid4())
        with self.database.write() as rows:
            if plan is not None:
                rows.checkpoints.create(
                    Checkpoint(checkpoint_id, PROJECT, PROVIDER, plan["id"], plan, created_at=datetime.now(UTC))
                )
            if operation == "delete":
                rows.checkpoints.transition(checkpoint_id, "deleting")
            if restore is not None:
                rows.restores.create(restore)
            rows.operation_logs.create(OperationLog(job_id, PROJECT, operation))
            restore_id = restore.id if restore else None
            rows.jobs.create(
                Job(job_id, operation, PROJECT, PROVIDER, checkpoint_id=checkpoint_id, restore_id=restore_id)
            )
        self.worker.wake()
        return job_id

    def ended(self, job_id):
        for _ in range(600):
            with self.database.read() as rows:
                job = rows.jobs.get(job_id)
            if job.state in ("done", "failed"):
                break
            threading.Event().wait(0.05)
        else:
            raise AssertionError(f"job did not end: {job}")
        for _ in range(200):  # what the worker holds in the bank for it is let go after its row says that it ended
            if job_id not in self.worker._running:
                break
            threading.Event().wait(0.05)
        return job

    def checkpoint(self, plan=None):
        """Make one; returns its row."""
        checkpoint_id = str(uuid.uuid4())
        self.ask("protect", checkpoint_id=checkpoint_id, plan=plan or self.plan())
        return self.row(checkpoint_id)

    def row(self, checkpoint_id):
        with self.database.read() as rows:
            return rows.checkpoints.get(checkpoint_id)

    def restore(self, checkpoint_id, parameters=None):
        restore = Restore(str(uuid.uuid4()), PROJECT, PROVIDER, checkpoint_id, parameters=parameters or {})
        self.ask("restore", checkpoint_id=checkpoint_id, restore=restore)
        with self.database.read() as rows:
            return rows.restores.get(restore.id)


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path)
    yield house
    house.close()


def test_a_checkpoint_is_complete_in_bank_and_catalog(house):
    checkpoint = house.checkpoint()
    assert checkpoint.status == "available" and checkpoint.mode == "full"
    assert checkpoint.sizes.logical == checkpoint.sizes.read == 300_000 and checkpoint.sizes.stored > 0
    record = house.vault.domain(PROJECT).get_record(RECORD, checkpoint.id)
    assert record["plan"]["id"] == checkpoint.plan_id and record["resources"][0]["streams"]
    assert checkpoint.progress.bytes_done == checkpoint.progress.bytes_total == 300_000


def test_a_restore_brings_the_bytes_back(house):
    checkpoint = house.checkpoint()
    (house.files / "one").write_bytes(b"changed")
    restore = house.restore(checkpoint.id, {TYPE: {"restore_name": "again"}})
    assert restore.status == "success"
    assert (house.files / "again").read_bytes() == b"one" * 100_000
    assert list(restore.resources_status.values()) == ["available"]


def test_a_deleted_checkpoint_leaves_no_record(house):
    checkpoint = house.checkpoint()
    assert house.ask("delete", checkpoint_id=checkpoint.id).state == "done"
    assert house.row(checkpoint.id).status == "deleted"
    with pytest.raises(errors.NotFound):
        house.vault.domain(PROJECT).get_record(RECORD, checkpoint.id)


def test_a_vanished_resource_gives_an_error_with_its_reason(house):
    plan = house.plan()
    (house.files / "one").unlink()
    checkpoint = house.checkpoint(plan)
    assert checkpoint.status == "error"
    assert "There is no file" in checkpoint.reason.cause and checkpoint.reason.step == "plan"


def test_a_failed_checkpoint_can_be_deleted(house):
    plan = house.plan()
    (house.files / "one").unlink()
    checkpoint = house.checkpoint(plan)
    house.ask("delete", checkpoint_id=checkpoint.id)
    assert house.row(checkpoint.id).status == "deleted"


def test_a_full_bank_gives_an_error_and_leaves_no_checkpoint(house):
    house.bank.fail(1, method="put_if_absent", error=errors.BankFull, lasting=True)
    checkpoint = house.checkpoint()
    assert checkpoint.status == "error" and "room" in checkpoint.reason.cause
    house.bank.heal()
    assert house.checkpoint().status == "available"


@pytest.mark.parametrize("lie", ["truncate", "forget"])
def test_a_pack_that_the_bank_lost_while_it_was_put_is_stored_anew_by_another_try(house, lie):
    getattr(house.bank, lie)(name="/pack/")
    checkpoint_id = str(uuid.uuid4())
    job = house.ask("protect", checkpoint_id=checkpoint_id, plan=house.plan())
    assert (job.state, job.attempts, house.row(checkpoint_id).status) == ("done", 2, "available")
    assert house.restore(checkpoint_id, {TYPE: {"restore_name": "again"}}).status == "success"
    assert (house.files / "again").read_bytes() == b"one" * 100_000


def test_a_fault_that_passes_is_tried_again(house):
    house.checkpoint()  # keys exist from here on
    (house.files / "one").write_bytes(b"two" * 100_000)
    house.bank.fail(1, method="put_if_absent")
    checkpoint = house.checkpoint()
    assert checkpoint.status == "available" and checkpoint.reason is None


class Fleeting(FileProtection):
    """A plug-in that loses its view once."""

    lost = False

    def protect(self, work):
        if not Fleeting.lost:
            Fleeting.lost = True
            raise errors.CaptureLost()
        return super().protect(work)


class Counted(FileProtectable):
    """Notes which files were looked up."""

    def __init__(self, settings, environment):
        super().__init__(settings, environment)
        self.looked_up = []

    def get(self, project_id, resource_id, *, parameters=None):
        self.looked_up.append(resource_id)
        return super().get(project_id, resource_id, parameters=parameters)


def test_a_lost_view_is_tried_again_and_the_inventory_is_looked_at_again(tmp_path):
    house = House(tmp_path, Fleeting, Counted)
    try:
        checkpoint = house.checkpoint()
    finally:
        house.close()
    assert Fleeting.lost and checkpoint.status == "available"
    assert house.protectable.looked_up == [checkpoint.plan["resources"][0]["id"]] * 2


def test_a_restore_of_a_lost_record_fails_with_its_reason(house):
    checkpoint = house.checkpoint()
    house.vault.domain(PROJECT).delete_record(RECORD, checkpoint.id)
    restore = house.restore(checkpoint.id)
    assert restore.status == "fail"
    assert "does not hold this checkpoint" in next(iter(restore.resources_reason.values()))


def test_a_fault_at_any_call_of_the_bank_ends_in_a_right_state(house):
    """Each call fails once, in turn, before or after it took effect: the second attempt of the job mends it."""
    house.checkpoint()
    for after in (False, True):
        for nth in range(1, 40):
            (house.files / "one").write_bytes(uuid.uuid4().bytes * 20_000)
            house.bank.calls.clear()
            house.bank.fail(nth, after=after)
            checkpoint = house.checkpoint()
            reached = len(house.bank.calls) >= nth
            house.bank.heal()
            assert checkpoint.status == "available", (nth, after, checkpoint.reason)
            restore = house.restore(checkpoint.id, {TYPE: {"restore_name": "again"}})
            assert restore.status == "success", restore
            assert (house.files / "again").read_bytes() == (house.files / "one").read_bytes()
            (house.files / "again").unlink()
            if not reached:
                break
        assert nth > 3


class Late(FileProtection):
    """A plug-in that writes the file and fails then."""

    def restore(self, work):
        super().restore(work)
        raise errors.StepFailed("The last step failed.")


def test_a_failed_restore_leaves_nothing_behind(tmp_path):
    house = House(tmp_path, Late)
    try:
        checkpoint = house.checkpoint()
        restore = house.restore(checkpoint.id)
    finally:
        house.close()
    assert restore.status == "fail" and [path.name for path in house.files.iterdir()] == ["one"]
    assert "The last step failed" in next(iter(restore.resources_reason.values()))


class Clumsy(FileProtection):
    """A plug-in with a fault of its own."""

    def protect(self, work):
        raise ZeroDivisionError("internal text")


def test_a_fault_of_a_plugin_shows_no_internals(tmp_path):
    house = House(tmp_path, Clumsy)
    try:
        checkpoint = house.checkpoint()
    finally:
        house.close()
    assert checkpoint.status == "error"
    assert checkpoint.reason.cause == "An internal fault." and "internal text" not in str(checkpoint.reason)


class Untidy(FileProtection):
    """A plug-in whose clean-up after the commit fails."""

    def committed(self, work):
        raise RuntimeError("cannot tidy up")


def test_a_failed_clean_up_after_the_commit_leaves_the_checkpoint_available(tmp_path):
    house = House(tmp_path, Untidy)
    try:
        assert house.checkpoint().status == "available"
    finally:
        house.close()

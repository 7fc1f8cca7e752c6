# SPDX-License-Identifier: Apache-2.0
"""What site do the crash tests run a worker in? One that outlives the process, and whose parts fail on command.

The worker, the job table, the flow store, the vault and the directory banks are the real ones; the resource type keeps
a marker outside, as a frozen guest would.
"""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from karbor.common.clock import Clock
from karbor.db.database import Database
from karbor.model import errors
from karbor.model.checkpoint import Checkpoint
from karbor.model.operation import Job, OperationLog
from karbor.model.plan import Plan
from karbor.model.provider import ProviderInfo
from karbor.model.restore import Restore
from karbor.model.verification import Verification
from karbor.plugins.banks.filesystem import FilesystemBank
from karbor.protection.attempt import JobSettings
from karbor.protection.operation import Parts
from karbor.protection.protectables import ProtectableRegistry
from karbor.protection.providers import Provider
from karbor.protection.watchedbank import WatchedBank
from karbor.protection.worker import Worker
from karbor.sdk.environment import Environment
from karbor.sdk.testing.faults import PUTS, FaultyBank
from karbor.vault.keys import MasterKey
from karbor.vault.vault import Vault
from tests.samples.sample_file import TYPE, FileProtectable, FileProtection

PROJECT = "a" * 32
HERE, THERE = "22222222-2222-4222-8222-222222222222", "33333333-3333-4333-8333-333333333333"
PLAN = "44444444-4444-4444-8444-444444444444"
SETTINGS = JobSettings(lease=1.5, poll=0.1, attempts=2, retry_delay=0)


class ShiftedClock(Clock):
    """A clock whose wall time is wrong by ``shift`` seconds, which may change at any moment."""

    def __init__(self, shift=0):
        self.shift = shift

    def now(self):
        return super().now() + timedelta(seconds=self.shift)

    def milliseconds(self):
        return super().milliseconds() + int(self.shift * 1000)


class HeldFile(FileProtection):
    """Every phase there is. ``frozen`` stands for a guest that holds still, ``snap`` for a snapshot outside."""

    def _marker(self, work, name):
        return Path(self.environment.state_dir) / "outside" / f"{work.resource.name}.{name}"

    def prepare_begin(self, work):
        self._marker(work, "frozen").touch()

    def prepare_finish(self, work):
        self._marker(work, "snap").touch()
        self._marker(work, "frozen").unlink(missing_ok=True)

    def complete(self, work):
        self._marker(work, "snap").unlink(missing_ok=True)

    def committed(self, work):
        self._marker(work, "old").unlink(missing_ok=True)

    def abandon(self, work):
        for name in ("frozen", "snap"):
            self._marker(work, name).unlink(missing_ok=True)

    def restore_prepare(self, work):
        return {"place": str(self._target(work))}

    def delete(self, work):
        self._marker(work, "old").unlink(missing_ok=True)

    def copy(self, work):
        self._marker(work, "copied").touch()
        self._marker(work, "copied").unlink()

    def copy_abandon(self, work):
        self._marker(work, "copied").unlink(missing_ok=True)


class House:
    """One site: database, two providers with a bank each, a worker. ``root`` outlives the process.

    ``banks``: the banks by the name of their provider, for who wants them to fail; each put of a pack is noted in the
    file ``packs-put``. ``gets``: the names of all objects that were read.
    """

    def __init__(self, root, *, database_url=None, clock=None, cache="cache"):
        self.root = Path(root)
        for name in ("files", "outside", "bank-here", "bank-there"):
            (self.root / name).mkdir(exist_ok=True, parents=True)
        environment = Environment(host="here", state_dir=str(root))
        self.protectable = FileProtectable(FileProtectable.Settings(directory=str(self.root / "files")), environment)
        self.clock = clock or ShiftedClock()
        self._cache = self.root / cache
        self.banks, self.gets = {}, set()
        self.plugin = HeldFile(HeldFile.Settings(), environment)
        self.database = Database(database_url or f"sqlite:///{root}/db.sqlite", clock=self.clock)
        self.ids = (HERE, THERE)
        self._providers = {id_: self._provider(id_, name) for id_, name in ((HERE, "here"), (THERE, "there"))}
        self._executor = ThreadPoolExecutor(2)
        parts = Parts(self.database, self, ProtectableRegistry([self.protectable]), self.clock)
        self.worker = Worker(parts, self._executor, SETTINGS, owner=f"{os.getpid()}", host="here")

    def _provider(self, provider_id, name):
        inner = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(self.root / f"bank-{name}")))
        self.banks[name] = FaultyBank(inner, told=self._note)
        bank = WatchedBank(self.banks[name])

        def open_vault(bank):
            return Vault(bank, master_key=MasterKey(b"k" * 32), cache_dir=self._cache / name, clock=self.clock)

        return Provider(
            ProviderInfo(provider_id, name), bank, {TYPE: self.plugin}, {TYPE: "held"}, open_vault=open_vault
        )

    def _note(self, method, name, size):
        if method == "get":
            self.gets.add(name)
        if method in PUTS and "/pack/" in name:
            with (self.root / "packs-put").open("a") as notes:
                notes.write(f"{name} {size}\n")

    def get(self, provider_id):
        """As a provider registry does."""
        return self._providers[provider_id]

    def initialise(self):
        """An empty database and empty banks."""
        self.database.upgrade()
        for provider in self._providers.values():
            provider.bank.initialise()
        with self.database.write() as rows:
            roots = tuple(self.protectable.list(PROJECT))
            rows.plans.create(Plan(PLAN, PROJECT, "plan", HERE, resources=roots, status="started"))

    def ask(self, case):
        """What the API does before it tells a worker: rows in one transaction. Returns the id of the job."""
        operation, job_id = case["operation"], case["job"]
        row = {"checkpoint_id": case["checkpoint"]}
        with self.database.write() as rows:
            if self._is_known(rows, job_id):
                return
            if operation in ("protect", "copy"):
                rows.checkpoints.create(self._new_checkpoint(rows, case))
            if operation == "delete":
                rows.checkpoints.transition(case["checkpoint"], "deleting")
            if operation == "restore":
                row["restore_id"] = case["row"]
                parameters = {TYPE: {}}
                rows.restores.create(Restore(case["row"], PROJECT, HERE, case["checkpoint"], parameters=parameters))
            if operation == "verify":
                row["verification_id"] = case["row"]
                rows.verifications.create(Verification(case["row"], PROJECT, HERE, case["checkpoint"]))
            payload = {"source_checkpoint_id": case.get("source"), "source_provider_id": HERE}
            rows.operation_logs.create(OperationLog(job_id, PROJECT, operation))
            provider = THERE if operation == "copy" else HERE
            payloads = {"copy": payload, "lock": {"action": "hold", "reason": "case 4711"}}
            rows.jobs.create(Job(job_id, operation, PROJECT, provider, payload=payloads.get(operation, {}), **row))

    def _is_known(self, rows, job_id):
        try:
            return rows.jobs.get(job_id)
        except errors.NotFound:
            return None

    def _new_checkpoint(self, rows, case):
        plan = rows.plans.get(PLAN)
        if case["operation"] == "protect":
            return Checkpoint(case["checkpoint"], PROJECT, HERE, PLAN, plan.snapshot())
        source = rows.checkpoints.get(case["source"])
        return Checkpoint(
            case["checkpoint"], PROJECT, THERE, PLAN, source.plan, status="wait_copying", source_id=source.id
        )

    def work(self, job_id, seconds):
        """Run the worker until the job has ended. Returns the job's state, None where time ran out."""
        self.worker.start()
        deadline = time.monotonic() + seconds
        state = None
        while time.monotonic() < deadline:
            try:
                with self.database.read() as rows:
                    state = rows.jobs.get(job_id).state
            except SQLAlchemyError:
                state = None  # a test stopped the database
            if state in ("done", "failed"):
                break
            threading.Event().wait(0.02)
        self.worker.stop(5)
        return state

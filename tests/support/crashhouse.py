# SPDX-License-Identifier: Apache-2.0
"""How does a test run a worker that dies at a named point, and another one that goes on?

    python -m tests.support.crashhouse        reads one case (JSON) a line from standard input, answers one line each

A case is done by children of this process, forked after everything is imported: that makes a death cost no start-up.
``prepare`` makes the rows and data a case begins with; ``run`` does a job to its end or to its death; ``look`` tells
what is there. The worker, the job table, the flow store, the vault and the directory banks are the real ones; the
resource type keeps a marker outside, as a frozen guest would.
"""

import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from karbor.common import faultpoints
from karbor.common.clock import Clock
from karbor.db.database import Database
from karbor.model import errors
from karbor.model.checkpoint import Checkpoint
from karbor.model.operation import Job, OperationLog
from karbor.model.plan import Plan
from karbor.model.provider import ProviderInfo
from karbor.model.restore import Restore
from karbor.plugins.banks.filesystem import FilesystemBank
from karbor.protection.attempt import JobSettings
from karbor.protection.operation import Parts
from karbor.protection.protectables import ProtectableRegistry
from karbor.protection.providers import Provider
from karbor.protection.watchedbank import WatchedBank
from karbor.protection.worker import Worker
from karbor.sdk.environment import Environment
from karbor.vault.keys import MasterKey
from karbor.vault.vault import Vault
from tests.samples.sample_file import TYPE, FileProtectable, FileProtection

PROJECT = "a" * 32
HERE, THERE = "22222222-2222-4222-8222-222222222222", "33333333-3333-4333-8333-333333333333"
PLAN = "44444444-4444-4444-8444-444444444444"
SETTINGS = JobSettings(lease=1.5, poll=0.1, attempts=2, retry_delay=0)


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
    """One site: database, two providers with a bank each, a worker. ``root`` outlives the process."""

    def __init__(self, root, *, database_url=None):
        self.root = Path(root)
        for name in ("files", "outside", "bank-here", "bank-there"):
            (self.root / name).mkdir(exist_ok=True, parents=True)
        environment = Environment(host="here", state_dir=str(root))
        self.protectable = FileProtectable(FileProtectable.Settings(directory=str(self.root / "files")), environment)
        self.clock = Clock()
        self.plugin = HeldFile(HeldFile.Settings(), environment)
        self.database = Database(database_url or f"sqlite:///{root}/db.sqlite", clock=self.clock)
        self.ids = (HERE, THERE)
        self._providers = {id_: self._provider(id_, name) for id_, name in ((HERE, "here"), (THERE, "there"))}
        self._executor = ThreadPoolExecutor(2)
        parts = Parts(self.database, self, ProtectableRegistry([self.protectable]), self.clock)
        self.worker = Worker(parts, self._executor, SETTINGS, owner=f"{os.getpid()}", host="here")

    def _provider(self, provider_id, name):
        inner = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(self.root / f"bank-{name}")))
        bank = WatchedBank(inner)

        def open_vault(bank):
            cache = self.root / "cache" / name
            return Vault(bank, master_key=MasterKey(b"k" * 32), cache_dir=cache, clock=self.clock)

        return Provider(
            ProviderInfo(provider_id, name), bank, {TYPE: self.plugin}, {TYPE: "held"}, open_vault=open_vault
        )

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
                from karbor.model.verification import Verification

                row["verification_id"] = case["row"]
                rows.verifications.create(Verification(case["row"], PROJECT, HERE, case["checkpoint"]))
            payload = {"source_checkpoint_id": case.get("source"), "source_provider_id": HERE}
            rows.operation_logs.create(OperationLog(job_id, PROJECT, operation))
            provider = THERE if operation == "copy" else HERE
            rows.jobs.create(
                Job(job_id, operation, PROJECT, provider, payload=payload if operation == "copy" else {}, **row)
            )

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
            with self.database.read() as rows:
                state = rows.jobs.get(job_id).state
            if state in ("done", "failed"):
                break
            threading.Event().wait(0.02)
        self.worker.stop(5)
        return state


def prepare(case):
    """An empty site with two files and one available checkpoint of them; the files change afterwards."""
    root = Path(case["root"])
    house = House(root, database_url=case.get("database"))
    for name, number in (("one", 1), ("two", 2)):
        (root / "files" / name).write_bytes(_content(number))
    house.initialise()
    first = {"operation": "protect", "job": str(uuid.uuid4()), "checkpoint": case["first"]}
    house.ask(first)
    assert house.work(first["job"], 60) == "done"
    (root / "files" / "one").write_bytes(_content(3))
    return {}


def _content(number):
    """1.5 MiB that cannot be compressed, the same for the same number."""
    import random

    return random.Random(number).randbytes(3 << 19)


def run(case):
    """Do the job of a case, up to its end or to the point where it dies. Answers what was reached."""
    reached = []

    def at(name):
        reached.append(name)
        if case.get("at") == [name, reached.count(name)]:
            _die(case)

    house = House(case["root"], database_url=case.get("database"))
    house.ask(case)
    faultpoints.arm(at)
    return {"state": house.work(case["job"], case.get("seconds", 60)), "reached": reached}


def _die(case):
    mark = Path(case["root"]) / "reached"
    mark.write_text(str(os.getpid()))
    if case.get("how") == "stop":  # until the mark is gone and somebody sends SIGCONT
        while mark.exists():
            os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(0.05)
        return
    if case.get("how") == "pause":  # until the test says go on: it stops a server meanwhile
        while mark.exists():
            time.sleep(0.02)
        return
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def look(case):
    """What the world looks like now: statuses, what a restore of each available checkpoint gives, what is left over."""
    house = House(case["root"], database_url=case.get("database"))
    with house.database.read() as rows:
        checkpoints = {id_: rows.checkpoints.get(id_).status for id_ in case["checkpoints"]}
        logs = rows.connection.exec_driver_sql("SELECT status FROM operation_logs").scalars().all()
        jobs = rows.connection.exec_driver_sql("SELECT state FROM jobs").scalars().all()
        flows = rows.connection.exec_driver_sql("SELECT count(*) FROM atomdetails").scalar()
    found = {}
    for id_, status in checkpoints.items():
        if status == "available":
            found[id_] = _hashes(house, id_)
    return {
        "checkpoints": checkpoints,
        "content": found,
        "logs": sorted(map(str, logs)),
        "jobs": sorted(jobs),
        "flows": flows,
        "outside": sorted(path.name for path in (house.root / "outside").iterdir()),
        "restored": {
            path.name: _hash(path.read_bytes()) for path in (house.root / "files").iterdir() if ".restored" in path.name
        },
        "files": sorted(path.name for path in (house.root / "files").iterdir() if not path.name.startswith(".tmp-")),
    }


def _hashes(house, checkpoint_id):
    """Hash of each file, read from the bank as a restore would."""
    with house.database.read() as rows:
        provider = rows.checkpoints.get(checkpoint_id).provider_id
    domain = house.get(provider).vault.domain(PROJECT)
    record = domain.get_record("checkpoint", checkpoint_id)
    found = {}
    for entry in record["resources"]:
        reader = domain.open_stream(entry["streams"]["content"])
        found[Path(entry["saved"]["path"]).name] = _hash(reader.read(0, reader.size))
    return found


def _hash(data):
    import hashlib

    return hashlib.sha256(data).hexdigest()


ACTIONS = {"prepare": prepare, "run": run, "look": look}


def _in_child(case):
    """The answer of a case done by a child; None where it died."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        code = 1
        try:
            answer = json.dumps(ACTIONS[case["do"]](case))
            with os.fdopen(write_end, "w") as pipe:
                pipe.write(answer)
            code = 0
        except BaseException:  # the edge of the child: its parent shows the text
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        text = pipe.read()
    _pid, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return {"died": True}
    if status:
        return {"failed": "see above"}
    return json.loads(text)


def main():
    """See the module text."""
    for line in sys.stdin:
        case = json.loads(line)
        if case["do"] == "clone":
            shutil.rmtree(case["root"], ignore_errors=True)
            shutil.copytree(case["from"], case["root"])
            answer = {}
        else:
            answer = _in_child(case)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

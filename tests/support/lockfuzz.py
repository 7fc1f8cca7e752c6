# SPDX-License-Identifier: Apache-2.0
"""Whoever has everything that the service has tries to get rid of a locked checkpoint: what can be tried?

Calls of the API, of the worker, of the commands, of the vault with clocks that are years ahead, and of the bank itself.
"""

import hashlib
import json
import random
import uuid
from datetime import timedelta
from pathlib import Path

import webob

from karbor.api.app import make_app
from karbor.app.jobs import Jobs
from karbor.common.clock import Clock
from karbor.model import errors
from karbor.model.lock import MODES, shown
from karbor.model.operation import Job, OperationLog
from karbor.plugins.banks.filesystem import FilesystemBank
from karbor.protection.catalog import Rebuild
from karbor.protection.operation import RECORD
from karbor.protection.projectkeys import KeyDestruction
from karbor.vault.cleanup import Settings
from karbor.vault.keys import MasterKey
from karbor.vault.vault import Vault
from tests.functional.test_operations import PROJECT, PROVIDER, House
from tests.support.api import WorkersTwin, make_conf
from tests.support.vaults import content_of

DAYS = 400


class MovedClock(Clock):
    """The clock of a host on which somebody set it; what passes is not changed by that."""

    def __init__(self, off):
        self._off = off

    def now(self):
        return super().now() + self._off


class Attack:
    """A locked checkpoint in a directory bank. ``attempt`` is one try; ``judge`` looks whether all is there still."""

    def __init__(self, directory: Path, seed: int):
        self.random = random.Random(seed)
        self.directory = directory
        self.bank = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(directory / "bank")))
        self.house = House(directory, bank=self.bank)
        with self.house.database.write() as rows:
            rows.providers.put(self.provider.info)
        self.checkpoint = self.house.checkpoint()
        self.house.checkpoint()  # shares all content
        self.domain = self.house.vault.domain(PROJECT)
        self.until = Clock().now() + timedelta(days=DAYS)
        self.domain.lock_record(RECORD, self.checkpoint.id, "lock", mode="compliance", until=self.until)
        self.until = self.domain.locks_of(RECORD, self.checkpoint.id).compliance_until
        self.kept = {name: self._digest(name) for name in self._names() if self.bank.retained(name)}
        self.content = self._content(self.domain)
        conf = make_conf()
        self.app = make_app(conf, database=self.house.database, protection=WorkersTwin(), clock=Clock())
        self.refused = self.done = 0
        self._tries = [
            (8, self._bank_deletes), (8, self._bank_shortens), (4, self._bank_replaces), (8, self._vault_deletes),
            (8, self._vault_locks), (4, self._gives_up), (3, self._cleans_up), (8, self._api), (2, self._tampers),
            (1, self._works), (1, self._commands), (2, self._buries),
        ]  # fmt: skip

    @property
    def provider(self):
        return self.house._parts.providers.get(PROVIDER)

    def close(self):
        self.house.close()

    def attempt(self):
        """One try, whatever comes of it."""
        (chosen,) = self.random.choices([what for _, what in self._tries], [weight for weight, _ in self._tries])
        try:
            chosen()
            self.done += 1
        except errors.KarborError:
            self.refused += 1
        for name, digest in self.kept.items():
            assert self._digest(name) == digest, (chosen.__name__, name)

    def judge(self):
        """As somebody who knows nothing but the bank and the key."""
        with self._vault(Clock()) as domain:
            assert self._content(domain) == self.content
            found = domain.locks_of(RECORD, self.checkpoint.id)
            assert found.compliance_until is not None and found.compliance_until >= self.until
        assert all(self.bank.retained(name) >= self.until for name in self.kept)

    # What is tried

    def _bank_deletes(self):
        bank = self.random.choice((self.bank, FilesystemBank(self.bank.settings, clock=self._clock())))
        name = self.random.choice(sorted(self.kept))
        bank.delete(name)
        raise AssertionError(f"{name} was deleted")

    def _bank_shortens(self):
        when = self.until + timedelta(days=self.random.randint(-2 * DAYS, 0))
        self.bank.retain(self.random.choice(sorted(self.kept)), when)

    def _bank_replaces(self):
        put = self.random.choice((self.bank.put_own, self.bank.put_if_absent))
        assert put(self.random.choice(sorted(self.kept)), b"something else") is False

    def _vault_deletes(self):
        with self._vault(self._clock()) as domain:
            domain.delete_record(RECORD, self.checkpoint.id)

    def _vault_locks(self):
        action = self.random.choice(("lock", "unlock", "hold", "release"))
        when = self.until + timedelta(days=self.random.randint(-2 * DAYS, 3))
        given = {"mode": self.random.choice(("governance", "compliance")), "until": when} if action == "lock" else {}
        with self._vault(self._clock()) as domain:
            domain.lock_record(RECORD, self.checkpoint.id, action, **given)

    def _gives_up(self):
        with self._vault(self._clock()) as domain:
            lease = domain.lease(str(uuid.uuid4()), fence=1, record=(RECORD, self.checkpoint.id))
            lease.end()

    def _buries(self):
        records = self.domain._for_writing().records
        records._bury(f"record/{RECORD}/{self.checkpoint.id}", {})

    def _cleans_up(self):
        settings = Settings(grace=0, thin=self.random.choice((0.5, 1.0)), tombstones=self.random.choice((0, 1e9)))
        with self._vault(self._clock()) as domain:
            domain.clean_up(settings, pause=lambda _seconds: None)

    def _api(self):
        path = f"/providers/{PROVIDER}/checkpoints/{self.checkpoint.id}"
        when = shown(Clock().now() + timedelta(days=self.random.randint(-5, DAYS + 5)))
        wishes = (
            ("DELETE", path, None),
            ("PUT", path, {"os-resetState": {"state": self.random.choice(("error", "available"))}}),
            ("POST", f"{path}/action", {"unlock": {}}),
            ("POST", f"{path}/action", {"release": {}}),
            ("POST", f"{path}/action", {"cancel": {}}),
            ("POST", f"{path}/action", {"hold": {"reason": "x"}}),
            ("POST", f"{path}/action", {"lock": {"mode": self.random.choice(MODES), "until": when}}),
        )  # fmt: skip
        method, place, body = self.random.choice(wishes)
        request = webob.Request.blank(f"/v1/{PROJECT}{place}", method=method)
        if body is not None:
            request.body, request.content_type = json.dumps(body).encode(), "application/json"
        answer = request.get_response(self.app)
        assert answer.status_int < 500, answer.body
        if answer.status_int >= 400:
            raise errors.Conflict(str(answer.body))

    def _tampers(self):
        """Somebody writes into the database."""
        with self.house.database.write() as rows:
            rows.checkpoints.update(self.checkpoint.id, lock_mode=None, locked_until=None, held=False)

    def _works(self):
        """A job that no API would have booked."""
        operation, job_id = self.random.choice(("delete", "lock")), str(uuid.uuid4())
        payload = {"action": self.random.choice(("unlock", "release")), "was": "available"}
        with self.house.database.write() as rows:
            if operation == "delete":
                rows.checkpoints.transition(self.checkpoint.id, "deleting")
            rows.operation_logs.create(OperationLog(job_id, PROJECT, operation))
            rows.jobs.create(
                Job(job_id, operation, PROJECT, PROVIDER, checkpoint_id=self.checkpoint.id, payload=payload)
            )
        self.house.worker.wake()
        self.house.ended(job_id)

    def _commands(self):
        database = self.house.database
        if self.random.random() < 0.3:
            Rebuild(database, self.provider).run()
        elif self.random.random() < 0.5:
            far = Clock().now() + timedelta(days=10 * DAYS)
            KeyDestruction(database, [self.provider], others=[], now=far).run(PROJECT)
        else:
            with database.read() as rows:
                live = rows.jobs.live()
            if live:
                Jobs(database, Clock(), down_after=0).abort(self.random.choice(live).id, force=True)

    # Looking

    def _clock(self):
        return MovedClock(timedelta(days=self.random.choice((0, 0, -10, 1, 10 * DAYS))))

    def _vault(self, clock):
        return _Domain(Vault(
            FilesystemBank(self.bank.settings, clock=clock), master_key=MasterKey(b"k" * 32),
            cache_dir=self.directory / "other", clock=clock, threads=1,
        ))  # fmt: skip

    def _content(self, domain):
        record = domain.get_record(RECORD, self.checkpoint.id)
        return [content_of(domain, one) for entry in record["resources"] for one in entry["streams"].values()]

    def _names(self):
        return [info.name for info in self.bank.list(limit=10_000)]

    def _digest(self, name):
        return hashlib.blake2b(self.bank.get(name)).digest()


class _Domain:
    """The project's domain of a vault of its own, for one block."""

    def __init__(self, vault):
        self._vault = vault

    def __enter__(self):
        return self._vault.domain(PROJECT)

    def __exit__(self, *_):
        self._vault.close()

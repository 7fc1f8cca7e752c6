# SPDX-License-Identifier: Apache-2.0
"""What is a site of the simulation: things to protect, worker processes, a catalog, and what each world begins with?"""

import copy
import functools
import random
import shutil
from pathlib import Path

from sqlalchemy import event

from karbor.db.database import Database
from karbor.model import errors
from karbor.model.page import PageRequest
from karbor.model.plan import Plan
from karbor.model.provider import ProviderInfo
from karbor.model.resource import Resource
from karbor.protection.attempt import OPERATIONS, Attempt, JobSettings
from karbor.protection.operation import RECORD, Parts
from karbor.protection.protectables import ProtectableRegistry
from karbor.protection.providers import Provider
from karbor.protection.runner import Runner
from karbor.sdk.protection import Restored
from karbor.vault.leases import Terms
from karbor.vault.vault import Vault
from tests.support.bankworld import SiteClock
from tests.support.baton import Inline
from tests.support.clock import TwinClock
from tests.support.memory import TYPE, MemoryProtection
from tests.support.simbank import SimBank
from tests.support.vaults import KEY, BytesSource, memory_bank, nothing

PROJECT, OTHER = "a" * 32, "b" * 32
HERE, THERE = "22222222-2222-4222-8222-222222222222", "33333333-3333-4333-8333-333333333333"
PLAN = "44444444-4444-4444-8444-444444444444"
SETTINGS = JobSettings(lease=20, attempts=3, retry_delay=5, claims=50)
TERMS = Terms(term=600, margin=60, skew=60)
BLOCK = 4096
THINGS = ("one", "two")


def content(name, version):
    """Bytes that say what they are: a version has most of its blocks in common with others."""
    head = f"{name}:{version}|".encode().ljust(BLOCK, b".")
    rng = random.Random(f"{name}{version}")
    return head + b"".join(random.Random(rng.randrange(4)).randbytes(BLOCK) for _ in range(2))


def whole(name, data):
    """Whether the bytes are some version of this thing, all of it."""
    version = data[:BLOCK].split(b"|")[0].split(b":")[-1]
    return version.isdigit() and data == content(name, int(version))


class SimProtection(MemoryProtection):
    """Things are restored under the id of the job, so that two restores do not meet."""

    def restore(self, work):
        reader = work.streams.read("content")
        data = reader.read(0, reader.size)
        work.check()
        self.contents[self._new_id(work)] = data
        return Restored(self._new_id(work))

    def _new_id(self, work):
        return f"{work.saved.saved['name']}@{work.operation_id}"


class Build:
    """The parts of the product that a wrong build replaces."""

    database = Database
    operations = OPERATIONS
    runner = Runner
    rates = None  # troubles of its own, by name
    asked = None  # what users ask for

    def bank(self, bank):
        """What lies between the vault of a worker and the bank."""
        return bank


class Process:
    """A worker process: its own vaults, one job at a time."""

    ids = (HERE, THERE)

    def __init__(self, site, name):
        self.site, self.name = site, name
        self.actor = self.attempt = self.beat = None
        self.beaten = 0.0
        world = site.world
        plugin = SimProtection(SimProtection.Settings(), world.environment, world.protectable.contents)
        self.providers = {
            id_: Provider(
                ProviderInfo(id_, id_[:4]),
                world.build.bank(SimBank(bank, world)),
                {TYPE: plugin},
                {TYPE: "memory"},
                open_vault=functools.partial(site.vault, cache=f"{name}-{id_[:4]}"),
            )
            for id_, bank in world.banks.items()
        }
        self.parts = Parts(site.database, self, ProtectableRegistry([world.protectable]), site.clock)
        self.runner = world.build.runner(site.database, Inline())

    def get(self, provider_id):
        return self.providers[provider_id]

    def close(self):
        for provider in self.providers.values():
            provider.close()

    def look_for_work(self):
        """Take a job and carry it as far as it goes."""
        with self.site.database.write() as rows:
            lease_ms = int(SETTINGS.lease * 1000)
            job = rows.jobs.claim(owner=self.name, provider_ids=self.ids, host="host", lease_ms=lease_ms)
        if job is None:
            return None
        self.beaten = self.site.world.clock.monotonic()
        self.attempt = Attempt(self.parts, self.runner, SETTINGS, job, operations=self.site.world.build.operations)
        self.attempt.run()
        return job.id

    def give_sign(self):
        """As the ticker of a worker does."""
        attempt = self.attempt
        if attempt is None:
            return
        try:
            attempt.beat()
        except errors.LeaseLost:
            # The flow also ends without being told, at its next write; to tell it, one waits for a lock of its engine,
            # whose holder may be without the baton.
            attempt.control.on_suspend = bool
            attempt.control.lose()


class Site:
    """A catalog, its clock, and the workers that look at it."""

    def __init__(self, world, number, workers):
        self.world, self.number = world, number
        self.clock = SiteClock(world.clock, 0.0)
        path = world.directory / f"site-{number}.sqlite"
        shutil.copy(world.template.database, path)
        self.database = self.open(path, world.build.database)
        event.listen(self.database.engine, "engine_connect", lambda _c: world.baton.point("database"))
        event.listen(self.database.engine, "commit", lambda _c: world.baton.at_commit())
        self.names = [f"site{number}-worker{one}" for one in range(workers)]
        self.processes = {name: Process(self, name) for name in self.names}
        self.touched = set()  # checkpoints that somebody reset: their log may say something else

    def open(self, path, kind=Database):
        return kind(f"sqlite:///{path}", clock=self.clock)

    def vault(self, bank, cache):
        cache_dir = self.world.directory / cache
        return Vault(bank, master_key=KEY, cache_dir=cache_dir, clock=self.clock, threads=1, terms=TERMS)

    def restart(self, process):
        """The process died: a new one takes its name and its caches."""
        process.close()
        self.processes[process.name] = Process(self, process.name)

    def close(self):
        for process in self.processes.values():
            process.close()
        self.database.dispose()


class Template:
    """What every world begins with; made once. Another tenant has something in the bank."""

    def __init__(self, directory):
        self.database = Path(directory) / "template.sqlite"
        clock = TwinClock()
        database = Database(f"sqlite:///{self.database}", clock=clock)
        database.upgrade()
        roots = tuple({"type": TYPE, "id": name, "name": name} for name in THINGS)
        with database.write() as rows:
            rows.plans.create(
                Plan(PLAN, PROJECT, "plan", HERE, resources=tuple(map(Resource.from_dict, roots)), status="started")
            )
        database.dispose()
        self.bank = memory_bank()
        vault = Vault(self.bank, master_key=KEY, cache_dir=Path(directory) / "made", clock=clock, threads=1)
        domain = vault.domain(OTHER)
        self.stream = domain.write_stream(BytesSource(content("other", 1)), advance=nothing).id
        domain.put_record(RECORD, "other", {"stream": self.stream})
        vault.close()

    def new_bank(self):
        bank = memory_bank()
        vars(bank).update({name: copy.copy(value) for name, value in vars(self.bank).items() if name != "_lock"})
        return bank


def checkpoints(site):
    """All checkpoints of a site, the deleted ones too."""
    found = []
    for filters in ({}, {"status": "deleted"}):
        with site.database.read() as rows:
            found += rows.checkpoints.list(PageRequest(limit=1000, filters=filters)).items
    return found

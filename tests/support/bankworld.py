# SPDX-License-Identifier: Apache-2.0
"""Two sites back up, copy, delete and clean up in one bank at the same time: is every checkpoint whole at every moment?

The real vault over a memory bank and a clock that jumps; the order of all bank calls follows from a seed. Processes are
killed at any call, stopped at any call and go on long after their lease, and jobs are taken over by another worker.

    python -m tests.support.bankworld --steps 1000000 [--seed N]
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from karbor.model import errors
from karbor.sdk.bank import Bank, Capabilities
from karbor.vault.cleanup import CleanUp, Settings
from karbor.vault.leases import Terms
from karbor.vault.vault import Vault
from tests.support.clock import TwinClock
from tests.support.stage import Actor, Stage, StagedBank
from tests.support.vaults import KEY, BytesSource, content_of, memory_bank, nothing

TERMS = Terms(term=600, margin=60, skew=30)
PROJECT, OTHER = "project", "other"
BLOCK = 4096
BLOCKS = [random.Random(number).randbytes(BLOCK) for number in range(6)]
KIND = "checkpoint"


def disk(rng):
    """A small disk of blocks that all disks have in common, so that nearly all is found to be there already."""
    return b"".join(rng.choice(BLOCKS) for _ in range(rng.randint(1, 3)) for _ in range(4))


class SiteClock(TwinClock):
    """The clock of one site: the clock of the world, and so much off."""

    def __init__(self, world, off):
        super().__init__()
        self._world, self._off = world, off

    def pass_time(self, seconds):
        self._world.pass_time(seconds)

    @property
    def _passed(self):
        return self._world.monotonic() + self._off

    @_passed.setter
    def _passed(self, value):
        """The world decides."""

    def monotonic(self):
        return self._world.monotonic()


class LateBank(Bank):
    """Keeps all conditions, but lists are up to ``lag`` seconds late, each object by another time."""

    def __init__(self, inner, clock, rng, lag):
        super().__init__(inner.settings)
        self.capabilities = Capabilities(list_lag=lag)
        self.inner, self._clock, self._rng, self._lag = inner, clock, rng, lag
        self._hidden = {}  # name -> until when no list shows it
        self._ghosts = {}  # name -> (info, until when lists show what was deleted)

    def initialise(self):
        return self.inner.initialise()

    def identity(self):
        return self.inner.identity()

    def put_if_absent(self, name, data):
        made = self.inner.put_if_absent(name, data)
        if made and name not in self._ghosts:
            self._hidden[name] = self._clock.monotonic() + self._rng.random() * self._lag
        self._ghosts.pop(name, None)
        return made

    def get(self, name, offset=0, length=None):
        return self.inner.get(name, offset, length)

    def stat(self, name):
        return self.inner.stat(name)

    def delete(self, name):
        if name in self.inner.objects and self._hidden.get(name, 0) <= self._clock.monotonic():
            self._ghosts[name] = (self.inner.stat(name), self._clock.monotonic() + self._rng.random() * self._lag)
        self._hidden.pop(name, None)
        self.inner.delete(name)

    def list(self, prefix="", after="", limit=1000):
        now = self._clock.monotonic()
        shown = [info for info in self.inner.list(prefix, after, 1 << 30) if self._hidden.get(info.name, 0) <= now]
        ghosts = [info for name, (info, until) in self._ghosts.items() if until > now and name.startswith(prefix)]
        shown += [info for info in ghosts if info.name > after]
        return sorted(shown, key=lambda info: info.name)[:limit]


@dataclass
class Job:
    """What a catalog knows of one job."""

    id: str
    disks: list
    fence: int = 0
    streams: list = field(default_factory=list)  # StreamInfo of the steps that ended
    proven: bool = False  # the step that reads back ended
    ended: bool = False
    disturbed: bool = False  # killed, stopped or taken over: then it may fail


class Broken(AssertionError):
    """A checkpoint that counts cannot be read back whole, or something is left over."""


class World:
    """One bank and what was told to its users. ``rules`` are the parts of the product that a wrong variant replaces."""

    def __init__(
        self,
        seed,
        directory,
        *,
        clean_up=CleanUp,
        lease_of=None,
        borrow_of=None,
        off=(0.0, 20.0),
        settings=None,
        lag=0,
        tolerant=False,
    ):
        self.random = random.Random(seed)
        self.seed = seed
        self.directory = Path(directory)
        self.clean_up = clean_up
        self.lease_of = lease_of or (lambda domain, **claim: domain.lease(**claim))
        self.borrow_of = borrow_of or (lambda domain, **claim: domain.borrow(**claim))
        self.settings = settings or Settings(grace=0, tombstones=1e9, small_index=3)
        self.clock = TwinClock()
        self.off = off
        self.tolerant = tolerant  # of backups that fail although nothing disturbed them: the clocks are wrong
        plain = self.memory()
        self.bank = LateBank(plain, self.clock, random.Random(seed), lag) if lag else plain
        self.plain = self.bank.inner if lag else self.bank
        self.objects = self.plain.objects
        self.jobs = {}
        self.available = {}  # record id -> disks: told to users, and not deleted since
        self.deleted = set()
        self.known = {}  # record id -> disks of every job that ever was
        self.steps = self.numbers = 0
        self.round = None
        self.failures = []
        vault = self.vault(self.plain, "first")
        self.elsewhere = [disk(self.random) for _ in range(3)]
        other = vault.domain(OTHER)
        self.elsewhere_ids = [other.write_stream(BytesSource(data), advance=nothing).id for data in self.elsewhere]
        vault.domain(PROJECT).write_stream(BytesSource(b""), advance=nothing)
        vault.close()

    def vault(self, bank, cache, off=0.0):
        clock = SiteClock(self.clock, off)
        return Vault(bank, master_key=KEY, cache_dir=self.directory / cache, clock=clock, threads=1, terms=TERMS)

    def memory(self):
        return memory_bank()

    # What actors do

    def back_up(self, domain, job, fence, base, there=None):
        """``there`` gives the domain as another site sees it, which stores the disks then, under a borrowed lease."""
        lease = self.lease_of(domain, job=job.id, fence=fence, record=(KIND, job.id))
        try:
            for number, data in enumerate(job.disks):
                if number < len(job.streams):
                    continue
                where, held = domain, lease
                if there is not None:
                    where = there()
                    held = self.borrow_of(where, job=job.id, fence=fence, pause=self.clock.pass_time)
                base_id = base if base and where.has_stream(base, lease=held) else None
                # Meanwhile whoever has the lease looks after it.
                info = where.write_stream(
                    BytesSource(data), base_id=base_id, advance=lambda _nbytes: lease.check(), lease=held
                )
                if job.fence != fence:  # the fence of the job's own rows
                    raise errors.LeaseLost()
                job.streams.append(info)
            self.finish(domain, job, fence, lease)
        except (errors.Conflict, errors.LeaseLost, errors.WriteLeaseLost) as fault:
            if job.fence == fence and isinstance(fault, errors.Conflict):
                lease.end()
            raise
        return job

    def copy(self, domain, job, source, number):
        lease = self.lease_of(domain, job=job.id, fence=1, record=(KIND, job.id))
        info = source.copy_stream(self.elsewhere_ids[number], domain, nothing, lease=lease)
        job.streams.append(info)
        self.finish(domain, job, 1, lease)
        return job

    def finish(self, domain, job, fence, lease):
        streams = list(job.streams)
        if not job.proven:
            domain.read_back(streams, nothing)
            if job.fence != fence:
                raise errors.LeaseLost()
            job.proven = True
        document = {"version": 1, "id": job.id, "streams": [info.id for info in streams]}
        self.commit(domain, job, document, lease)
        if job.id not in self.deleted:
            self.available[job.id] = job.disks
        lease.end()
        job.ended = True

    def commit(self, domain, job, document, lease):
        domain.put_record(KIND, job.id, document, lease=lease)

    def abandon(self, domain, job):
        """A job that wrote, and then failed for good."""
        lease = self.lease_of(domain, job=job.id, fence=job.fence, record=(KIND, job.id))
        domain.write_stream(BytesSource(job.disks[0]), advance=nothing, lease=lease)
        lease.end()
        job.ended = True

    def delete(self, domain, record_id):
        domain.delete_record(KIND, record_id)

    def clean(self, domain, vault):
        store, records, leases, *_ = domain._for_writing()
        wait = self.clock.pass_time
        work = self.clean_up(store, records, leases, settings=self.settings, scratch=vault.cache_dir, pause=wait)
        return work.run()

    # Rounds

    def play_round(self):
        """Some actors at once, in any order; then look at everything."""
        rng = self.random
        stage = Stage(rng, page=rng.choice((2, 5, 100)), on_step=self._tick)
        self.round = stage
        vaults, actors = [], []

        def act(name, play):
            site = rng.randrange(2)
            actor = Actor(f"{name} at {site}", None)
            bank = StagedBank(self.bank, stage, actor)

            def open_site(number):
                vaults.append(self.vault(bank, f"site-{number}", self.off[number]))
                return vaults[-1]

            vault = open_site(site)
            actor.there = lambda: open_site(1 - site).domain(PROJECT)
            actor.play = lambda: play(vault.domain(PROJECT), vault)
            actors.append(actor)
            return actor

        for _ in range(rng.randint(1, 3)):
            self._writer(act, rng, stage)
        for _ in range(rng.choice((0, 1, 1))):
            if self.available:
                chosen = rng.choice(sorted(self.available))
                del self.available[chosen]
                self.deleted.add(chosen)
                act(f"delete {chosen}", lambda domain, _vault, chosen=chosen: self.delete(domain, chosen))
        for _ in range(rng.choice((1, 1, 2))):
            self._disturb(act("clean", lambda domain, vault: self.clean(domain, vault)), stage, rng, 150)
        self.more_actors(act, rng, stage)
        rng.shuffle(actors)
        stage.run(actors, thaw_after=lambda: rng.choice((5, 40, 10_000)))
        self.steps += stage.steps
        for vault in vaults:
            vault.close()
        self._judge(actors)
        self.look()

    def more_actors(self, act, rng, stage):
        """For worlds in which more is done."""

    def _writer(self, act, rng, stage):
        waiting = [job for job in self.jobs.values() if not job.ended]
        if waiting and rng.random() < 0.6:
            job = rng.choice(waiting)
            job.fence += 1
            job.disturbed = True
        else:
            self.numbers += 1
            job = self.jobs[f"job{self.numbers}"] = Job(
                f"job{self.numbers}", [disk(rng) for _ in range(rng.choice((1, 1, 2)))], 1
            )  # noqa: E501
            self.known[job.id] = job.disks
            kind = rng.random()
            if kind < 0.1:
                act(f"abandon {job.id}", lambda domain, _vault: self.abandon(domain, job)).job = job
                return
            if kind < 0.3:
                number = rng.randrange(len(self.elsewhere))
                job.disks[:] = [self.elsewhere[number]]
                job.ended = True  # copies are not taken over here
                actor = act(f"copy {job.id}", lambda domain, vault: self.copy(domain, job, vault.domain(OTHER), number))
                actor.job = job
                self._disturb(actor, stage, rng, 60)
                return
        base = None
        if self.available and rng.random() < 0.7:
            base = self._streams(rng.choice(sorted(self.available)))[0]
        fence = job.fence
        spread = rng.random() < 0.4
        name = f"back up {job.id} claim {fence}{' from two sites' if spread else ''}"
        actor = act(
            name, lambda domain, _vault: self.back_up(domain, job, fence, base, actor.there if spread else None)
        )
        actor.job = job
        self._disturb(actor, stage, rng, 60)

    def _streams(self, record_id):
        vault = self.vault(self.plain, "look")
        try:
            return vault.domain(PROJECT).get_record(KIND, record_id)["streams"]
        finally:
            vault.close()

    def _disturb(self, actor, stage, rng, calls):
        kind = rng.random()
        if kind < 0.25:
            stage.kill(actor, rng.randint(1, calls), after=rng.random() < 0.5)
        elif kind < 0.6:
            actor.frozen_at = rng.randint(1, calls)
        if kind < 0.6 and hasattr(actor, "job"):
            actor.job.disturbed = True

    def _tick(self):
        self.clock.pass_time(self.random.random() * 4)
        if self.random.random() < 0.004:
            self.clock.pass_time(TERMS.term * 2)
            for job in self.jobs.values():
                job.disturbed = True

    def _judge(self, actors):
        for actor in actors:
            kind, what = actor.outcome
            job = getattr(actor, "job", None)
            if kind == "done" or actor.dead:
                continue
            expected = isinstance(what, (errors.Conflict, errors.LeaseLost, errors.WriteLeaseLost))
            if isinstance(what, (errors.ObjectNotFound, errors.IntegrityError)) and job is not None:
                expected = self._is_over(job)  # what it had written was taken away from under it
            if expected and job is not None and isinstance(what, errors.Conflict):
                job.ended = True
            if not expected or (job is not None and not job.disturbed and not self.tolerant):
                raise Broken(f"{actor.name} {kind}: {what!r} {getattr(what, 'detail', '')}") from (
                    what if kind != "done" else None
                )  # noqa: E501

    def _is_over(self, job):
        vault = self.vault(self.plain, "look")
        try:
            return job.ended or vault.domain(PROJECT)._for_reading().records.is_deleted(KIND, job.id)
        finally:
            vault.close()

    def look(self):
        """Read every checkpoint that counts from the bank alone, as somebody who knows nothing."""
        shutil.rmtree(self.directory / "look", ignore_errors=True)
        vault = self.vault(self.plain, "look")
        domain = vault.domain(PROJECT)
        counting = set()
        try:
            for record_id in domain.records(KIND):
                try:
                    document = domain.get_record(KIND, record_id)
                except errors.ObjectNotFound:
                    continue  # given up
                counting.add(record_id)
                disks = [content_of(domain, stream_id) for stream_id in document["streams"]]
                if disks != self.known[record_id]:
                    raise Broken(f"{record_id} reads back wrong")
        except (errors.IntegrityError, errors.ObjectNotFound) as fault:
            raise Broken(f"{record_id} cannot be read: {fault.operator_text()}") from fault
        finally:
            vault.close()
        if lost := self.available.keys() - counting:
            raise Broken(f"gone, but told to be available: {sorted(lost)}")
        for record_id in counting - self.available.keys() - self.deleted:  # put, and killed before it could tell
            self.available[record_id] = self.known[record_id]

    def settle(self):
        """Everybody is gone for long: after clean-up nothing is left that no checkpoint needs."""
        self.clock.pass_time(10 * TERMS.term)
        vault = self.vault(self.bank, "site-0")
        domain = vault.domain(PROJECT)
        settings = Settings(grace=0, tombstones=0, small_index=3)
        for _ in range(3):
            report = domain.clean_up(settings, pause=self.clock.pass_time)
            self.clock.pass_time(10 * TERMS.term)
        prefix = domain._for_writing().store.prefix
        left = [name.removeprefix(prefix) for name in self.objects if name.startswith(prefix)]
        vault.close()
        for job in self.jobs.values():
            job.ended = True
        wrong = [name for name in left if name.startswith(("lease/", "gc/condemned/", "gone/"))]
        if wrong or report.condemned_packs or report.condemned_streams:
            raise Broken(f"left over: {wrong} {report}")
        streams = {info for record_id in self.available for info in self._streams(record_id)}
        if {name.removeprefix("stream/") for name in left if name.startswith("stream/")} != streams:
            raise Broken("streams are left over")
        self.look()


def run(seed, *, rounds=12, world=World, **rules):
    """One world from its beginning to its end; returns the number of steps. Raises Broken with the last calls."""
    directory = tempfile.mkdtemp(prefix="bankworld-")
    world = world(seed, directory, **rules)
    try:
        for _ in range(rounds):
            world.play_round()
        world.settle()
        return world.steps
    except Broken as fault:
        trace = world.round.trace if world.round else []
        raise Broken(f"seed {seed}: {fault}; {len(trace)} calls in the last round") from fault
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    began, steps, worlds = time.monotonic(), 0, 0
    while steps < given.steps:
        steps += run(given.seed + worlds, lag=20 if worlds % 4 == 3 else 0)
        worlds += 1
    print(f"{steps} steps in {worlds} worlds, {time.monotonic() - began:.0f} s: every checkpoint whole")  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())

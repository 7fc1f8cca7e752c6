# SPDX-License-Identifier: Apache-2.0
"""Two sites, three workers, two banks, users, clean-up, and everything that can go wrong, in an order that a seed says.

The real attempts, repositories, vault, operations and clean-up; memory banks, SQLite files, and a clock that the world
sets. At the end all is calm for a while, and then everything that was promised must hold (tests.support.simjudge).
"""

import functools
import random
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import sqlalchemy as sa

from karbor.api import cancel as cancelling
from karbor.api.v1 import checkpoint_states
from karbor.common import faultpoints
from karbor.model import errors
from karbor.model.checkpoint import Checkpoint
from karbor.model.operation import Job, OperationLog
from karbor.model.restore import Restore
from karbor.model.verification import Verification
from karbor.sdk.environment import Environment
from karbor.vault.cleanup import Settings as CleanUp
from tests.support.baton import Baton
from tests.support.clock import TwinClock
from tests.support.memory import MemoryProtectable
from tests.support.simbank import LOSES, SimBank
from tests.support.simjudge import Broken, Judge
from tests.support.simsite import (
    HERE,
    PLAN,
    PROJECT,
    SETTINGS,
    TERMS,
    THERE,
    THINGS,
    Build,
    Site,
    checkpoints,
    content,
)  # fmt: skip

ASKED = ("protect", "protect", "protect", "copy", "restore", "verify", "delete", "delete", "cancel", "reset", "change")


class World:
    """One schedule. ``run`` plays it and judges; ``history`` tells what happened at large."""

    def __init__(self, seed, template, *, build=None, steps=700):
        self.random = random.Random(seed)
        self.template, self.build, self.steps = template, build or Build(), steps
        self.directory = Path(tempfile.mkdtemp(prefix="karbor-simulation-", dir=_memory()))
        self.clock = TwinClock()
        self.baton = Baton()
        self.history = []
        self.calm = False
        self.lied = False
        rng = self.random
        # Which troubles there are in this world, and how often: not all of them at once, or nothing ever ends well.
        self.rates = {
            name: rng.choice((0.0, 0.0, 1.0, 3.0)) * rate
            for name, rate in {
                "kill": 0.002, "stop": 0.002, "jump": 0.002, "clock": 0.001, "brink": 0.002, "down": 0.003,
                "full": 0.001, "slow": 0.003, "late": 0.003, "lie": 0.02, "double": 0.01, "deaf": 0.3,
            }.items()
        }  # fmt: skip
        if self.build.rates is not None:
            self.rates = dict.fromkeys(self.rates, 0.0) | self.build.rates
        self.asked = self.build.asked or ASKED
        other = template.new_bank()
        other._identity = "66666666-6666-4666-8666-666666666666"
        self.banks = {HERE: template.new_bank(), THERE: other}
        self.environment = Environment(host="host", state_dir=str(self.directory))
        self.protectable = MemoryProtectable(MemoryProtectable.Settings(), self.environment)
        self.versions = dict.fromkeys(THINGS, 1)
        for name in THINGS:
            self.protectable.add(PROJECT, name, content(name, 1))
        self.foreign = self._foreign()
        self.sites = [Site(self, 0, 2), Site(self, 1, 1)]
        self.actors, self.messages = [], []

    def pass_time(self, seconds):
        self.clock.pass_time(seconds)

    def trouble(self, method, name, *, trusted):
        """The fault of this call to a bank, or None."""
        if self.calm:
            return None
        threads = self.baton.current() is not None
        rng, rates = self.random, self.rates
        kept = method == "put" and not trusted and any(f"/{what}" in name for what in LOSES)
        if kept and rng.random() < rates["lie"]:
            self.lied = True
            return rng.choice(("forgets", "cuts"))
        if not threads and method != "put":
            return None  # asked for by several threads at once: the order of the answers would not follow from the seed
        for fault in ("down", "slow", "late"):
            if rng.random() < rates[fault]:
                return fault
        if method == "put" and rng.random() < rates["full"]:
            return "full"
        return "doubles" if method in ("put", "delete") and rng.random() < rates["double"] else None

    # The play

    def run(self):
        """Play the schedule, then the calm after it. Raises Broken. Returns the number of points."""
        faultpoints.arm(self.baton.point)
        try:
            self._ask("protect", self.sites[0])
            for _ in range(self.steps):
                self._event()
                self._step()
            self._settle()
            judge = Judge(self)
            judge.catalogs()
            judge.banks()
            self._delete_some()
            judge.catalogs()
            judge.banks()
            judge.rebuild()
            return self.baton.points
        finally:
            faultpoints.disarm()
            self.close()

    def _event(self):
        rng = self.random
        now = self.clock.monotonic()
        site = rng.choice(self.sites)
        if rng.random() < 0.04:
            self._ask(rng.choice(self.asked), site)
        if rng.random() < 0.01:
            self._begin(f"clean-up at {site.number}", functools.partial(self._clean_up, site), None)
        if rng.random() < 0.02:  # workers also look without having been told
            self._worker(site)
        for moment, where in list(self.messages):
            if moment <= now:
                self.messages.remove((moment, where))
                self._worker(where)
        for each in self.sites:
            for process in each.processes.values():
                self._keep(process, now)
        if rng.random() < self.rates["jump"]:
            self.pass_time(rng.choice((SETTINGS.lease * 2, TERMS.term * 2)))
        if rng.random() < self.rates["clock"]:
            site.clock._off += rng.choice((-50, -5, 5, 50))

    def _keep(self, process, now):
        """A sign of life every few seconds, unless the process is stopped, or cannot be heard for a while."""
        actor = process.actor
        if actor is None or actor.ended or actor.dead or actor.stopped_until > now or process.attempt is None:
            return
        if now - process.beaten < 6 or (process.beat is not None and not process.beat.ended):
            return
        process.beaten = now
        if self.random.random() >= self.rates["deaf"]:
            process.beat = self._begin(f"beat of {process.name}", process.give_sign, process)

    def _worker(self, site):
        """A worker of the site looks for a job, where one has time."""
        idle = [one for one in site.processes.values() if one.actor is None or one.actor.ended]
        if idle:
            process = self.random.choice(idle)
            process.attempt = None
            process.actor = self._begin(process.name, process.look_for_work, process)

    def _begin(self, name, play, process):
        actor = self.baton.begin(name, play, process)
        self.actors.append(actor)
        return actor

    def _step(self):
        rng, now = self.random, self.clock.monotonic()
        able = [actor for actor in self.actors if actor.stopped_until <= now]
        self.pass_time(rng.random() * 0.2)
        if not able:
            self.pass_time(1)
            return
        last = getattr(self, "_last", None)
        actor = last if last in able and rng.random() < 0.7 else rng.choice(able)
        self._last = actor
        late = 10 if any(word in actor.place for word in ("record", "commit", ".end:", "pack")) else 1
        if rng.random() < self.rates["kill"] * late:
            actor.dead = True
        elif rng.random() < self.rates["brink"] * late:
            actor.brink = True
        elif rng.random() < self.rates["stop"] * late:
            actor.stopped_until = now + rng.choice((5, 30, 100, TERMS.term * 1.5))
            return
        self._go(actor)

    def _go(self, actor):
        self.baton.go(actor)
        if actor.ended:
            self.actors.remove(actor)
            self._outcome(actor)

    def _outcome(self, actor):
        how, what = actor.outcome
        if how == "failed" and not isinstance(what, errors.KarborError):
            raise Broken(f"{actor.name}: {what!r}") from what
        damaged = isinstance(what, errors.IntegrityError) and actor.name.startswith("clean-up")
        if damaged and not self.lied:
            raise Broken(f"{actor.name}: {what.operator_text()}") from what
        process = actor.process
        if process is not None and actor.dead and process.site.processes.get(process.name) is process:
            if process.actor is not None and not process.actor.ended:  # its sign of life died: with the whole process
                process.actor.dead = True
                return
            process.site.restart(process)

    # Users

    def _ask(self, what, site):
        name = f"user at {site.number}: {what}"
        self._begin(name, functools.partial(self._user, what, site), None)

    def ask_for(self, what, site):
        """What the API does: rows in one transaction. Raises Conflict, NotFound where it cannot be done now."""
        getattr(self, f"_{what}")(site)

    def close(self):
        """The world ends."""
        for site in self.sites:
            site.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _user(self, what, site):
        try:
            self.ask_for(what, site)
        except (errors.Conflict, errors.NotFound):
            return  # as a user is told who asks for what cannot be done now
        for _ in range(self.random.choice((0, 1, 1, 2))):  # the message gets lost, or comes twice, or late
            self.messages.append((self.clock.monotonic() + self.random.random() * 10, site))

    def _book(self, rows, operation, checkpoint, **more):
        job_id = self._id()
        log = {name: more.get(name) for name in ("restore_id", "verification_id")}
        rows.operation_logs.create(OperationLog(job_id, PROJECT, operation, checkpoint_id=checkpoint.id, **log))
        rows.jobs.create(Job(job_id, operation, PROJECT, checkpoint.provider_id, checkpoint_id=checkpoint.id, **more))
        self.history.append(f"{operation} {checkpoint.id} job {job_id}")

    def _id(self):
        text = f"{self.random.getrandbits(128):032x}"
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:]}"

    def _some(self, rows, *statuses):
        """A checkpoint that is in one of these states."""
        found = rows.connection.execute(sa.text("SELECT id, status FROM checkpoints ORDER BY created_at, id")).all()
        ids = [id_ for id_, status in found if not statuses or status in statuses]
        if not ids:
            raise errors.NotFound
        return rows.checkpoints.get(self.random.choice(ids), lock=True)

    def _protect(self, site):
        with site.database.write() as rows:
            plan = rows.plans.get(PLAN)
            checkpoint = Checkpoint(self._id(), PROJECT, HERE, PLAN, plan.snapshot())
            self._book(rows, "protect", rows.checkpoints.create(checkpoint))

    def _copy(self, site):
        with site.database.write() as rows:
            source = self._some(rows, "available")
            if source.provider_id != HERE:
                raise errors.NotFound
            made = Checkpoint(self._id(), PROJECT, THERE, PLAN, source.plan, status="wait_copying", source_id=source.id)
            payload = {"source_checkpoint_id": source.id, "source_provider_id": HERE}
            self._book(rows, "copy", rows.checkpoints.create(made), payload=payload)

    def _restore(self, site):
        with site.database.write() as rows:
            checkpoint = self._some(rows, "available")
            restore = rows.restores.create(Restore(self._id(), PROJECT, checkpoint.provider_id, checkpoint.id))
            self._book(rows, "restore", checkpoint, restore_id=restore.id)

    def _verify(self, site):
        with site.database.write() as rows:
            checkpoint = self._some(rows, "available")
            row = Verification(self._id(), PROJECT, checkpoint.provider_id, checkpoint.id)
            self._book(rows, "verify", checkpoint, verification_id=rows.verifications.create(row).id)

    def _delete(self, site, checkpoint_id=None):
        with site.database.write() as rows:
            checkpoint = rows.checkpoints.get(checkpoint_id, lock=True) if checkpoint_id else self._some(rows)
            checkpoint_states.require_idle(rows, checkpoint, wish="deleted")
            rows.checkpoints.transition(checkpoint.id, "deleting", reason=None)
            self._book(rows, "delete", checkpoint)

    def _cancel(self, site):
        with site.database.write() as rows:
            jobs = rows.jobs.live()
            cancelling.cancel(rows, _call(site), self.random.sample(jobs, min(1, len(jobs))), what="checkpoint")

    def _reset(self, site):
        with site.database.write() as rows:
            checkpoint = self._some(rows, "protecting", "copying", "deleting", "error-deleting")
            checkpoint_states.reset(rows, _call(site), checkpoint, "error")
        site.touched.add(checkpoint.id)
        self.history.append(f"reset {checkpoint.id}")

    def _change(self, site):
        name = self.random.choice(THINGS)
        self.versions[name] += 1
        self.protectable.contents[name] = content(name, self.versions[name])

    def _clean_up(self, site):
        provider = self.random.choice((HERE, THERE))
        vault = site.vault(SimBank(self.banks[provider], self, trusted=True), f"cleaner-{site.number}-{self._id()}")
        try:
            settings = CleanUp(grace=self.random.choice((0, 100)), small_index=3)
            vault.domain(PROJECT).clean_up(settings, pause=self.pass_time)
        finally:
            vault.close()

    # The calm afterwards

    def _settle(self):
        """Nothing fails any more, everybody who was stopped goes on, and one more worker of each site is up."""
        self.calm = True
        while self.actors:
            self.pass_time(0.05)
            self._go(self.random.choice(self.actors))
        for _ in range(3 * SETTINGS.claims):
            self.pass_time(SETTINGS.lease + SETTINGS.retry_delay + 1)
            for site in self.sites:
                for process in list(site.processes.values()):
                    self._alone(process.name, process.look_for_work, process)
            if not any(self._live(site) for site in self.sites):
                return
        raise Broken("jobs do not end")

    def _alone(self, name, play, process=None):
        self._go_on(self._begin(name, play, process))

    def _go_on(self, actor):
        while not actor.ended:
            self._go(actor)

    def _live(self, site):
        with site.database.read() as rows:
            return rows.jobs.live()

    def _delete_some(self):
        """What is left can be deleted, whatever state it is in; its space is given back, and all others stay whole."""
        for site in self.sites:
            for checkpoint in checkpoints(site):
                if checkpoint.status != "deleted" and self.random.random() < 0.5:
                    self._alone("delete", functools.partial(self._delete, site, checkpoint.id))
        self._settle()
        for site in self.sites:
            self.pass_time(10 * TERMS.term)
            for provider in (HERE, THERE):
                vault = site.vault(SimBank(self.banks[provider], self), f"last-{site.number}-{provider[:2]}")
                settings = CleanUp(grace=0, tombstones=1e9, small_index=3)
                try:
                    vault.domain(PROJECT).clean_up(settings, pause=self.pass_time)
                except errors.IntegrityError as fault:  # what a bank that lies has damaged is in the way until deleted
                    if not self.lied:
                        raise Broken(fault.operator_text()) from fault
                finally:
                    vault.close()

    def _foreign(self):
        """What the banks hold of the other tenant: nothing else is there at the beginning."""
        return {id_: dict(bank.objects) for id_, bank in self.banks.items()}


def _call(site):
    """As much of a request as the rules of the API look at."""
    context = SimpleNamespace(user_id="user", request_id="req")
    return SimpleNamespace(services=SimpleNamespace(clock=site.clock), project_id=PROJECT, context=context)


def _memory():
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def play(seed, template, **rules):
    """One schedule; returns how many points it had. Raises Broken, with the end of what happened."""
    world = World(seed, template, **rules)
    try:
        return world.run()
    except Broken as fault:
        told = "\n  ".join((*world.history[-20:], *world.baton.trace[-15:]))
        raise Broken(f"seed {seed}: {fault}\n  {told}") from fault

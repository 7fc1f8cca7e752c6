# SPDX-License-Identifier: Apache-2.0
"""As in bankworld, and checkpoints are locked, held, extended and released at the same time: does each stay as long as
was promised?

    python -m tests.support.lockworld --steps 1000000 [--seed N]
"""

import argparse
import sys
import time
from datetime import timedelta

from karbor.model import errors
from karbor.sdk.testing.memory_bank import MemoryBank
from tests.support.bankworld import KIND, TERMS, World, run


class LockWorld(World):
    """In every second world the bank keeps objects by itself, by a clock of its own."""

    def __init__(self, seed, directory, **rules):
        self.promised = {}  # record id -> until when, told to users
        self.held, self.released = set(), set()
        self.seed = seed
        super().__init__(seed, directory, **rules)
        self.margin = timedelta(seconds=max(self.off))  # a fast clock of a host, where the bank has none

    def memory(self):
        bank = MemoryBank(clock=self.clock if self.seed % 2 else None)
        bank.initialise()
        return bank

    def commit(self, domain, job, document, lease):
        rng = self.random
        lock = (rng.choice(("governance", "compliance")), self._until(rng)) if rng.random() < 0.3 else None
        try:
            domain.put_record(KIND, job.id, document, lease=lease, lock=lock)
        except errors.InvalidInput:  # it was stopped until its lock had ended
            domain.put_record(KIND, job.id, document, lease=lease)
        self._promise(job.id, domain.settle_locks(KIND, job.id).compliance_until)

    def more_actors(self, act, rng, stage):
        self.released = set()  # in this round: which came later, a hold or its release, nobody can tell
        for _ in range(rng.choice((1, 1, 2))):
            known = sorted({*self.available, *self.deleted})
            if not known:
                return
            chosen, wish = rng.choice(known), rng.choice(("lock", "lock", "lock", "hold", "release", "unlock"))
            if wish == "release":
                self.held.discard(chosen)
                self.released.add(chosen)
            actor = act(f"{wish} {chosen}", lambda domain, _vault, c=chosen, w=wish: self.wish(domain, c, w))
            self._disturb(actor, stage, rng, 30)
        if self.deleted and rng.random() < 0.5:
            again = rng.choice(sorted(self.deleted))
            act(f"delete {again} again", lambda domain, _vault: self.delete(domain, again))

    def wish(self, domain, record_id, wish):
        given = {"mode": "compliance", "until": self._until(self.random)} if wish == "lock" else {}
        try:
            found = domain.lock_record(KIND, record_id, wish, **given)
        except (errors.ObjectNotFound, errors.InvalidInput):
            return  # deleted; or it was stopped until its lock had ended
        except errors.IntegrityError:
            if record_id not in self.deleted:
                raise
            return  # it was deleted while its objects were looked for
        if wish == "lock":
            self._promise(record_id, found.compliance_until)
        if wish == "hold" and record_id not in self.released:
            self.held.add(record_id)

    def look(self):
        """What was promised counts, whoever wished to delete it."""
        now, before = self.clock.now() + self.margin, dict(self.available)
        stays = {one for one, until in self.promised.items() if until > now} | self.held
        self.available |= {one: self.known[one] for one in stays}
        super().look()
        self.available = {one: disks for one, disks in self.available.items() if one in before or one not in stays}

    def settle(self):
        self.clock.pass_time(100 * TERMS.term)
        vault = self.vault(self.plain, "release")
        domain = vault.domain("project")
        for record_id in sorted(self.held):
            domain.lock_record(KIND, record_id, "release")
        self.held.clear()
        records = domain._for_reading().records
        for record_id in sorted(self.deleted):
            if records.locks.of(f"{KIND}/{record_id}").held:  # held by somebody who was killed then
                records.locks.add(f"{KIND}/{record_id}", "release")
            domain.delete_record(KIND, record_id)
        vault.close()
        super().settle()

    def _until(self, rng):
        return self.clock.now() + timedelta(seconds=rng.choice((200, 1000, 5000)))

    def _promise(self, record_id, until):
        if until is not None:
            self.promised[record_id] = max(until, self.promised.get(record_id, until))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    began, steps, worlds = time.monotonic(), 0, 0
    while steps < given.steps:
        steps += run(given.seed + worlds, world=LockWorld, lag=20 if worlds % 4 == 2 else 0)
        worlds += 1
    print(f"{steps} steps in {worlds} worlds, {time.monotonic() - began:.0f} s: every promise kept")  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())

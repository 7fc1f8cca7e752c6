# SPDX-License-Identifier: Apache-2.0
"""How could locks be wrong? Each variant leaves out one part of what makes them safe.

Where the part is missing they linger, so that others come in between, and whatever is deleted is locked just then: a
few worlds are enough, whatever the order of their steps.
"""

from tests.support.lockworld import LockWorld

KIND = "checkpoint"


class Crowded(LockWorld):
    """Others want to lock what is being deleted."""

    before = frozenset()

    def more_actors(self, act, rng, stage):
        super().more_actors(act, rng, stage)
        for chosen in sorted(self.deleted - self.before):
            act(f"lock {chosen} as well", lambda domain, _vault, c=chosen: self.wish(domain, c, "lock"))
        self.before = frozenset(self.deleted)


def linger(records):
    """Some calls to the bank."""
    for _ in range(30):
        records.is_deleted(KIND, "nothing")


class LooksOnce(Crowded):
    """Who deletes looks for locks before the tombstone is there, and not again."""

    def delete(self, domain, record_id):
        records = domain._for_writing().records
        records.locks.require_none(f"{KIND}/{record_id}")
        linger(records)
        records._bury(f"record/{KIND}/{record_id}", {})
        records._bank.delete(f"{records._prefix}record/{KIND}/{record_id}")


class NeverLooksBack(Crowded):
    """Who locks does not look for a tombstone afterwards."""

    def wish(self, domain, record_id, wish):
        records = domain._for_writing().records
        buried, add = records._buried, records.locks.add

        def later(*given, **more):
            linger(records)
            return add(*given, **more)

        records._buried, records.locks.add = lambda name: False, later
        try:
            super().wish(domain, record_id, wish)
        finally:
            records._buried, records.locks.add = buried, add

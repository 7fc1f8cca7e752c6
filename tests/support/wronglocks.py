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
    """Who deletes looks for locks, and does not close them."""

    def delete(self, domain, record_id):
        records = domain._for_writing().records
        records.locks.require_none(f"{KIND}/{record_id}")
        linger(records)
        records._bury(f"record/{KIND}/{record_id}", {})
        records._bank.delete(f"{records._prefix}record/{KIND}/{record_id}")


class NeverLooksBack(Crowded):
    """Who locks does not see that somebody closed the locks meanwhile."""

    def wish(self, domain, record_id, wish):
        locks = domain._for_writing().records.locks
        events = locks._events
        locks._events = lambda record: (one for one in events(record) if one["event"] != "close")
        put, locks._put = locks._put, lambda *given: put(*given) or True
        try:
            linger(domain._for_writing().records)
            super().wish(domain, record_id, wish)
        finally:
            locks._events, locks._put = events, put

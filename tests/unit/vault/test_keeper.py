# SPDX-License-Identifier: Apache-2.0
"""Is a lease kept while its job does something else?"""

import threading

from karbor.model import errors
from karbor.vault.keeper import Keeper


class Looked:
    """A lease that counts how often it is looked after."""

    job = "job"

    def __init__(self, *faults):
        self._faults = list(faults)
        self.enough = threading.Event()
        self.times = 0

    def check(self):
        self.times += 1
        if self.times == 5:
            self.enough.set()
        if self._faults:
            raise self._faults.pop(0)


def test_a_lease_is_looked_after_until_the_keeper_stops():
    lease = Looked(errors.BankUnavailable())
    keeper = Keeper(lease, every=0.001)
    keeper.start()
    assert lease.enough.wait(60)
    keeper.stop()
    times = lease.times
    keeper.stop()
    assert lease.times == times


def test_a_lost_lease_needs_no_keeper():
    lease = Looked(errors.WriteLeaseLost())
    keeper = Keeper(lease, every=0.001)
    keeper.start()
    keeper._thread.join(60)
    assert lease.times == 1
    keeper.stop()

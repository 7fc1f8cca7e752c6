# SPDX-License-Identifier: Apache-2.0
"""Does no single fast clock end a lock early?"""

from datetime import timedelta

from karbor.sdk.testing.memory_bank import MemoryBank
from karbor.vault.locktime import LockTime
from tests.support.clock import TwinClock

HOUR = timedelta(hours=1)


class MovedClock(TwinClock):
    """A clock that somebody can set: what has passed is not changed by it."""

    off = timedelta()

    def now(self):
        return super().now() + self.off


def test_a_clock_that_is_set_forward_does_not_count():
    clock = MovedClock()
    time, start = LockTime(MemoryBank(), clock), clock.now()
    clock.off = 1000 * HOUR
    clock.pass_time(3600)
    assert time.now() == time.here() == start + HOUR


def test_a_clock_that_is_set_back_ends_locks_later():
    clock = MovedClock()
    time, start = LockTime(MemoryBank(), clock), clock.now()
    clock.off = -5 * HOUR
    assert time.now() == start - 5 * HOUR


def test_the_clock_of_the_bank_counts_where_it_is_behind():
    clock, theirs = MovedClock(), MovedClock()
    clock.off = 1000 * HOUR  # already when the service began
    time = LockTime(MemoryBank(clock=theirs), clock)
    assert time.now() == theirs.now() < time.here()
    theirs.off = 2000 * HOUR
    clock.pass_time(61)
    assert time.now() == time.here()


def test_the_bank_is_not_asked_each_time():
    clock, theirs = TwinClock(), TwinClock()
    time, start = LockTime(MemoryBank(clock=theirs), clock), theirs.now()
    assert time.now() == start
    clock.pass_time(30)
    assert time.now() == start + timedelta(seconds=30)  # carried on
    clock.pass_time(31)
    assert time.now() == start  # theirs stands still

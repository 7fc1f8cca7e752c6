# SPDX-License-Identifier: Apache-2.0
"""Is what failed in passing tried again, with waits that grow, and not for ever?"""

import pytest

from karbor.common.clock import Clock
from karbor.common.retrying import Passing, Policy, Retrying
from karbor.model import errors


class PausedClock(Clock):
    """Time goes on in pauses only."""

    def __init__(self):
        self.at, self.pauses = 0.0, []

    def monotonic(self):
        return self.at

    def pause(self, seconds):
        self.pauses.append(seconds)
        self.at += seconds


class Failing:
    """Fails so often before it answers."""

    def __init__(self, times, *, wait=0.0, fault=None):
        self.left, self.calls = times, 0
        self.fault = fault or Passing(errors.BankUnavailable("not now"), wait=wait)

    def __call__(self):
        self.calls += 1
        if self.calls <= self.left:
            raise self.fault
        return "done"


def retrying(clock, **policy):
    return Retrying(Policy(**policy), clock=clock, pause=clock.pause)


def test_what_passes_is_tried_again_after_waits_that_grow_up_to_a_bound():
    clock, work = PausedClock(), Failing(5)
    assert retrying(clock, attempts=6, backoff=2, longest=6).call(work) == "done"
    assert work.calls == 6
    for pause, full in zip(clock.pauses, (2, 4, 6, 6, 6), strict=True):
        assert full / 2 <= pause <= full


def test_after_the_last_try_callers_see_the_fault_behind():
    work = Failing(9)
    with pytest.raises(errors.BankUnavailable, match="not now"):
        retrying(PausedClock(), attempts=3).call(work)
    assert work.calls == 3


def test_other_errors_are_not_tried_again():
    clock, work = PausedClock(), Failing(9, fault=errors.ObjectNotFound())
    with pytest.raises(errors.ObjectNotFound):
        retrying(clock).call(work)
    assert work.calls == 1 and clock.pauses == []


def test_the_other_side_may_ask_for_more_time():
    clock = PausedClock()
    retrying(clock, attempts=2, backoff=0.1).call(Failing(1, wait=7.0))
    assert clock.pauses == [7.0]


def test_no_try_begins_after_the_deadline():
    clock, work = PausedClock(), Failing(99)
    with pytest.raises(errors.BankUnavailable):
        retrying(clock, attempts=99, backoff=10, longest=10, deadline=25).call(work)
    assert clock.at <= 25 and 2 < work.calls < 7

# SPDX-License-Identifier: Apache-2.0
"""Does one client leave something to the others?"""

import pytest

from karbor.api import limits
from karbor.api.limits import Concurrency, Rate
from karbor.model import errors
from tests.support.clock import TwinClock


@pytest.fixture
def clock():
    return TwinClock()


def test_as_many_calls_as_in_a_minute_may_come_at_once(clock):
    rate = Rate(3, clock=clock, what="calls")
    for _ in range(3):
        rate.take("a")
    with pytest.raises(errors.TooMany, match="too many calls") as told:
        rate.take("a")
    assert told.value.retry_after == 20


def test_after_the_time_that_was_told_the_next_call_is_taken(clock):
    rate = Rate(3, clock=clock, what="calls")
    for _ in range(3):
        rate.take("a")
    clock.pass_time(19)
    with pytest.raises(errors.TooMany) as told:
        rate.take("a")
    assert told.value.retry_after == 1
    clock.pass_time(1)
    rate.take("a")
    with pytest.raises(errors.TooMany):
        rate.take("a")


def test_a_long_rest_saves_no_more_than_a_minute(clock):
    rate = Rate(2, clock=clock, what="calls")
    rate.take("a")
    clock.pass_time(10_000)
    rate.take("a")
    rate.take("a")
    with pytest.raises(errors.TooMany):
        rate.take("a")


def test_each_key_has_its_own_bucket(clock):
    rate = Rate(1, clock=clock, what="calls")
    rate.take("a")
    rate.take("b")
    with pytest.raises(errors.TooMany):
        rate.take("a")


def test_looking_costs_nothing(clock):
    rate = Rate(1, clock=clock, what="calls")
    for _ in range(5):
        rate.check("a")
    rate.take("a")
    with pytest.raises(errors.TooMany):
        rate.check("a")


def test_no_number_is_no_bound(clock):
    rate = Rate(0, clock=clock, what="calls")
    for _ in range(1000):
        rate.take("a")


def test_memory_has_a_bound_and_the_last_ones_are_kept(clock):
    rate = Rate(1, clock=clock, what="calls")
    for number in range(limits.REMEMBERED + 10):
        rate.take(str(number))
    rate.take("0")  # forgotten
    with pytest.raises(errors.TooMany):
        rate.take(str(limits.REMEMBERED + 9))


def test_so_many_at_the_same_time_and_no_more():
    busy = Concurrency(2, what="requests")
    with busy.hold("a"), busy.hold("a"), busy.hold("b"):
        with pytest.raises(errors.TooMany, match="at the same time"), busy.hold("a"):
            pass
    with busy.hold("a"), busy.hold("a"):
        pass


def test_a_request_that_failed_holds_nothing():
    busy = Concurrency(1, what="requests")
    for _ in range(3):
        with pytest.raises(KeyError), busy.hold("a"):
            raise KeyError
    with busy.hold("a"):
        pass


def test_no_number_is_no_bound_at_the_same_time():
    busy = Concurrency(0, what="requests")
    with busy.hold("a"), busy.hold("a"):
        pass

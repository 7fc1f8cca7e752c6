# SPDX-License-Identifier: Apache-2.0
"""Does running work hear of its end, and do users hear how far it is?"""

import threading

import pytest

from karbor.model import errors
from karbor.model.operation import Job
from karbor.protection.control import Control
from tests.support.clock import TwinClock


@pytest.fixture
def clock():
    return TwinClock()


@pytest.fixture
def control(clock):
    return Control(Job("j", "protect", "p", "v"), clock=clock)


def test_work_goes_on_while_nobody_ends_it(control):
    control.check()
    control.advance(1)
    assert not control.lost


@pytest.mark.parametrize("end", ["cancel", "abort"])
def test_work_that_is_ended_hears_it_at_the_next_check_and_at_the_next_bytes(control, end):
    getattr(control, end)()
    for touch in (control.check, lambda: control.advance(1)):
        with pytest.raises(errors.Cancelled):
            touch()
    assert not control.lost


def test_the_first_cause_is_told(control):
    control.abort()
    control.cancel()
    with pytest.raises(errors.Cancelled, match="Another step"):
        control.check()


def test_a_lost_lease_outweighs_every_other_end(control):
    control.cancel()
    control.lose()
    control.cancel()
    control.abort()
    assert control.lost
    with pytest.raises(errors.LeaseLost):
        control.check()


def test_suspending_tells_the_runner_and_lets_steps_end(control):
    told = []
    control.on_suspend = lambda: told.append("suspended")
    control.suspend()
    control.check()
    assert told == ["suspended"]
    control.lose()
    assert told == ["suspended", "suspended"]


def test_a_control_nobody_runs_yet_can_be_suspended(control):
    control.suspend()


def test_bytes_of_all_resources_add_up(control):
    control.expect("a", 100)
    control.expect("b", 50)
    control.expect("a", 70)
    control.advance(30)
    progress = control.news()
    assert (progress.bytes_done, progress.bytes_total) == (30, 120)


def test_there_is_news_only_after_a_change(control):
    assert control.news() is None
    control.enter("Disk#vda", "protect")
    progress = control.news()
    assert (progress.resource, progress.phase) == ("Disk#vda", "protect")
    assert control.news() is None


def test_the_estimate_follows_the_rate_since_the_first_bytes(control, clock):
    clock.pass_time(1000)
    control.expect("a", 100)
    control.advance(0)
    clock.pass_time(10)
    control.advance(20)
    assert control.news().eta_seconds == 40


def test_without_bytes_there_is_no_estimate(control):
    control.expect("a", 100)
    assert control.news().eta_seconds is None


def test_more_than_expected_is_never_more_than_all(control):
    control.expect("a", 10)
    control.advance(25)
    progress = control.news()
    assert progress.bytes_total >= progress.bytes_done == 25


def test_bytes_counted_by_many_threads_are_all_counted(control):
    together = threading.Barrier(8)

    def count():
        together.wait()
        for _ in range(1000):
            control.advance(1)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert control.news().bytes_done == 8000

# SPDX-License-Identifier: Apache-2.0
"""Do guests that are held wait for nobody, and are they let go before others are held?"""

import threading
from dataclasses import dataclass

import pytest

from karbor.protection.lanes import Lanes

SECONDS = 60


@dataclass(frozen=True)
class Named:
    phase: str


@pytest.fixture
def lanes():
    found = Lanes(1, 1)
    yield found
    found.shutdown()


def test_what_is_urgent_does_not_wait_for_long_steps(lanes):
    done = threading.Event()
    long = lanes.submit(lambda _step: done.wait(SECONDS), Named("protect"))
    assert lanes.submit(lambda step: step.phase, Named("prepare_finish")).result(SECONDS) == "prepare_finish"
    assert not long.done()
    done.set()
    assert long.result(SECONDS)


def test_guests_are_let_go_before_others_are_held(lanes):
    gate, order = threading.Event(), []

    def note(step, name):
        order.append((step.phase, name))

    first = lanes.submit(lambda _step: gate.wait(SECONDS), Named("prepare_begin"))
    phases = ("prepare_begin", "prepare_finish", "prepare_begin", "prepare_finish")
    others = [lanes.submit(note, Named(phase), name) for name, phase in enumerate(phases)]
    gate.set()
    assert first.result(SECONDS) and [one.result(SECONDS) for one in others] == [None] * 4
    assert order == [("prepare_finish", 1), ("prepare_finish", 3), ("prepare_begin", 0), ("prepare_begin", 2)]


def test_a_fault_is_that_of_the_step(lanes):
    for phase in ("protect", "prepare_begin"):
        failing = lanes.submit(lambda _step: 1 // 0, Named(phase))
        with pytest.raises(ZeroDivisionError):
            failing.result(SECONDS)


def test_what_waits_can_be_cancelled_at_the_end():
    lanes, gate, begun = Lanes(1, 1), threading.Event(), threading.Event()

    def hold(_step):
        begun.set()
        gate.wait(SECONDS)

    first = lanes.submit(hold, Named("prepare_begin"))
    waiting = lanes.submit(hold, Named("prepare_finish"))
    assert begun.wait(SECONDS)
    lanes.shutdown(wait=False, cancel_futures=True)
    gate.set()
    assert first.result(SECONDS) is None and waiting.cancelled()


def test_what_is_no_step_is_done_too(lanes):
    assert lanes.submit(lambda: 7).result(SECONDS) == 7

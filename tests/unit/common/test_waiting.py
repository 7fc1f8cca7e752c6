# SPDX-License-Identifier: Apache-2.0
"""Does waiting end in time, ask less and less often, and stop when it must?"""

import pytest

from karbor.common.waiting import wait_for
from karbor.model import errors
from tests.support.clock import TwinClock


class World:
    """Something that is there after some seconds, and a note of when somebody looked."""

    def __init__(self, after):
        self.clock = TwinClock()
        self.after = after
        self.looks = []

    def look(self):
        self.looks.append(self.clock.monotonic())
        return "there" if self.clock.monotonic() >= self.after else None

    def wait(self, seconds, check=lambda: None):
        return wait_for(self.look, clock=self.clock, seconds=seconds, check=check, pause=self.clock.pass_time)


def test_what_is_there_is_returned_at_once():
    world = World(after=0)
    assert world.wait(60) == "there"
    assert world.looks == [0]


def test_questions_become_rarer_up_to_a_bound():
    world = World(after=200)
    assert world.wait(600) == "there"
    gaps = [b - a for a, b in zip(world.looks, world.looks[1:], strict=False)]
    assert gaps[:3] == [1.0, 1.5, 2.25]
    assert max(gaps) == 15.0


def test_the_last_look_is_at_the_deadline():
    world = World(after=1000)
    assert world.wait(30) is None
    assert world.looks[-1] == 30


def test_a_check_ends_the_wait_within_a_second():
    world = World(after=1000)

    def check():
        if world.clock.monotonic() > 40:
            raise errors.Cancelled()

    with pytest.raises(errors.Cancelled):
        world.wait(600, check)
    assert world.clock.monotonic() <= 42

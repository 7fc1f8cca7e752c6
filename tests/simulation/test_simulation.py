# SPDX-License-Identifier: Apache-2.0
"""Does everything end, and end truly, whatever happens to workers, users, clocks and banks at the same time?

A schedule follows from its number. By default a few; KARBOR_SIMULATION_SEEDS=N plays the first N (about a second each),
KARBOR_SIMULATION_FIRST=M begins with number M.
"""

import logging
import os

import pytest

from tests.support import wrongbuilds
from tests.support.simjudge import Broken
from tests.support.simsite import Build, Template
from tests.support.simworld import play

SEEDS = int(os.environ.get("KARBOR_SIMULATION_SEEDS", "6"))
FIRST = int(os.environ.get("KARBOR_SIMULATION_FIRST", "0"))
CATCHING = 20  # schedules within which a wrong build must be caught; nearly every second one does it
STEPS = 300

pytestmark = pytest.mark.timeout(600 + 60 * SEEDS)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return Template(tmp_path_factory.mktemp("template"))


@pytest.fixture(autouse=True)
def quiet():
    """A schedule has hundreds of faults; what they write into the log is of no use."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def _under_the_troubles_of(wrong):
    """The right build, in the world where a wrong one is tried."""
    return type("Right", (Build,), {"rates": wrong.rates, "asked": wrong.asked})()


def test_every_schedule_keeps_every_promise(template):
    points = [play(seed, template) for seed in range(FIRST, FIRST + SEEDS)]
    assert min(points) > 200, "a schedule in which hardly anything happens proves nothing"
    print(f"{len(points)} schedules, {sum(points)} points")


@pytest.mark.parametrize("wrong", wrongbuilds.ALL, ids=lambda wrong: wrong.__name__)
def test_a_wrong_build_is_caught(template, wrong):
    for seed in range(CATCHING):
        try:
            play(seed, template, build=wrong(), steps=STEPS)
        except Broken:
            break
    else:
        pytest.fail(f"{wrong.__doc__} Nothing of it was seen in {CATCHING} schedules.")
    play(seed, template, build=_under_the_troubles_of(wrong), steps=STEPS)

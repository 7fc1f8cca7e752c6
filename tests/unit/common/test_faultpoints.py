# SPDX-License-Identifier: Apache-2.0
"""Does a named point do nothing until it is armed, and then exactly what the test asks?"""

import pytest

from karbor.common import faultpoints


@pytest.fixture(autouse=True)
def _calm():
    yield
    faultpoints.disarm()


def test_nothing_happens_at_a_point_that_is_not_armed():
    assert not faultpoints.armed()
    faultpoints.reach("step:protect.protect:before")


def test_an_armed_point_tells_its_name_every_time_it_is_reached():
    reached = []
    faultpoints.arm(reached.append)
    for name in ("bank:put-packs:before", "bank:put-packs:after", "bank:put-packs:before"):
        faultpoints.reach(name)
    assert faultpoints.armed()
    assert reached == ["bank:put-packs:before", "bank:put-packs:after", "bank:put-packs:before"]


def test_what_a_point_raises_reaches_the_code_there():
    def stop(_name):
        raise KeyboardInterrupt

    faultpoints.arm(stop)
    with pytest.raises(KeyboardInterrupt):
        faultpoints.reach("job:protect.taken:after")


def test_a_disarmed_point_is_quiet_again():
    reached = []
    faultpoints.arm(reached.append)
    faultpoints.disarm()
    faultpoints.reach("job:protect.taken:after")
    assert reached == []

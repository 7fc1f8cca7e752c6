# SPDX-License-Identifier: Apache-2.0
"""What is told of a guest that was booted to verify its checkpoint?"""

import uuid

import pytest

from karbor.model import errors
from karbor.sdk.hypervisor import TrialResult
from tests.support.libvirt_twin import Cycle


@pytest.fixture
def cycle():
    return Cycle()


def test_a_guest_that_comes_up_is_told_with_its_sign_and_nothing_is_lent_any_more(cycle):
    work = cycle.verify_work(cycle.protect("cp-1"), level="boot", boot_seconds=77)
    assert cycle.domain.verify(work) == {"came_up": "agent", "seconds": 1.0}
    [trial] = cycle.driver.trials
    assert (trial.seconds, set(trial.exports), trial.uuid != cycle.guest.id) == (77, {"vda", "vdb"}, True)
    assert cycle.driver.lent == {} and list(cycle.driver.guests) == [cycle.guest.id]


@pytest.mark.parametrize("sign", ["any", "agent", "console"])
def test_only_signs_that_were_asked_for_count(cycle, sign):
    cycle.domain.verify(cycle.verify_work(cycle.protect("cp-1"), level="boot", boot_sign=sign, boot_text="ready"))
    [trial] = cycle.driver.trials
    assert trial.agent == (sign != "console")
    assert trial.text == ("" if sign == "agent" else "ready")


def test_one_that_does_not_come_up_is_told_with_its_last_words(cycle):
    cycle.driver.comes_up = TrialResult("", 9.0, "Kernel panic", "It ended by itself.")
    with pytest.raises(errors.StepFailed, match="did not come up") as caught:
        cycle.domain.verify(cycle.verify_work(cycle.protect("cp-1"), level="boot"))
    assert (caught.value.detail, cycle.driver.lent) == ("Kernel panic", {})


def test_nothing_is_booted_where_that_is_not_asked_for(cycle):
    for level in ("quick", "data"):
        work = cycle.verify_work(cycle.protect("cp-1"), level=level)
        assert cycle.domain.verify(work) is None
        cycle.domain.verify_abandon(work)
    assert cycle.driver.trials == []


def test_each_attempt_of_a_verification_is_the_same_trial_and_another_one_is_not(cycle):
    point = cycle.protect("cp-1")
    for _ in range(2):
        cycle.domain.verify(cycle.verify_work(point, level="boot"))
    other = cycle.verify_work(point, level="boot")
    other.operation_id = str(uuid.uuid4())
    cycle.domain.verify(other)
    first, again, third = (trial.uuid for trial in cycle.driver.trials)
    assert first == again != third


def test_a_worker_that_lost_its_job_leaves_what_is_lent_to_the_next_one(cycle):
    work = cycle.verify_work(cycle.protect("cp-1"), level="boot")
    keys = [key for key, _disk in work.children]
    work.lend(keys, "disk").keep_up()
    work.stop = errors.LeaseLost()
    with pytest.raises(errors.LeaseLost):
        cycle.domain.verify(work)
    assert cycle.driver.lent
    work.stop = None
    cycle.domain.verify_abandon(work)
    cycle.domain.verify_abandon(work)
    assert cycle.driver.lent == {}

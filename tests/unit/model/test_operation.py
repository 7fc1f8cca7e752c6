# SPDX-License-Identifier: Apache-2.0
"""Is a new job one that nobody owns yet?"""

import dataclasses

import pytest

from karbor.model import states
from karbor.model.operation import Job


def test_a_new_job_waits_without_an_owner():
    job = Job("j", "protect", "p", "v")
    assert (job.state, job.owner, job.fence, job.attempts) == (states.JOB.initial, None, 0, 0)
    assert not job.cancel_requested


def test_a_job_is_a_value():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Job("j", "protect", "p", "v").fence = 1

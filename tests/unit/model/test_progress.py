# SPDX-License-Identifier: Apache-2.0
"""Is the estimate of the time left sensible, and progress the same after it was kept?"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor.model.progress import Progress, eta

amounts = st.integers(0, 2**60)


@given(st.builds(Progress, amounts, amounts, st.text(), st.text(), st.none() | amounts))
def test_progress_comes_back_from_json(progress):
    assert Progress.from_dict(json.loads(json.dumps(progress.to_dict()))) == progress


@given(amounts, amounts, st.floats(0, 1e9))
def test_an_estimate_is_never_negative(done, total, seconds):
    left = eta(done=done, total=total, seconds=seconds)
    assert left is None or left >= 0
    assert (left is None) == (done == 0 or total == 0 or seconds == 0)


def test_half_done_takes_as_long_again():
    assert eta(done=50, total=100, seconds=30) == 30


def test_more_done_than_expected_takes_no_time():
    assert eta(done=150, total=100, seconds=30) == 0


@pytest.mark.parametrize("known", [{"done": 0}, {"total": 0}, {"seconds": 0}])
def test_without_a_rate_there_is_no_estimate(known):
    assert eta(**{"done": 1, "total": 2, "seconds": 1, **known}) is None

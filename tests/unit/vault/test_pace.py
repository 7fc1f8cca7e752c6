# SPDX-License-Identifier: Apache-2.0
"""Does maintenance take no more than its share?"""

import pytest

from karbor.model import errors
from karbor.vault.pace import Pace
from tests.support.clock import TwinClock


def took(calls, **bounds):
    clock = TwinClock()
    pace = Pace(clock, clock.pass_time, **{"bytes_per_second": None, "requests": None, **bounds})
    for nbytes in calls:
        pace.spend(nbytes)
    return clock.monotonic()


def test_bytes_and_requests_have_bounds():
    assert took([1000] * 100, bytes_per_second=1000) == pytest.approx(100, abs=2)
    assert took([1000] * 100, requests=10) == pytest.approx(10, abs=2)
    assert took([1000] * 100, requests=10, bytes_per_second=1000) == pytest.approx(100, abs=2)
    assert took([1000] * 100) == 0


def test_what_pause_raises_ends_the_work_also_without_bounds():
    def stop(_seconds):
        raise errors.Cancelled

    with pytest.raises(errors.Cancelled):
        Pace(TwinClock(), stop, bytes_per_second=None, requests=None).spend()

# SPDX-License-Identifier: Apache-2.0
"""Is what was heard of a daemon a value?"""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from karbor.model.service import Service


def test_a_sign_of_life_is_a_value():
    heard = Service(1, "karbor-api", "here", datetime.now(UTC), datetime.now(UTC))
    with pytest.raises(dataclasses.FrozenInstanceError):
        heard.host = "there"


def test_a_daemon_is_up_as_long_as_it_was_heard_of_within_the_bound():
    now = datetime.now(UTC)
    heard = Service(1, "karbor-api", "here", now, now)
    assert heard.is_up(now + timedelta(seconds=60), down_after=60)
    assert not heard.is_up(now + timedelta(seconds=60, microseconds=1), down_after=60)

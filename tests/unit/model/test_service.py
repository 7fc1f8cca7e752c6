# SPDX-License-Identifier: Apache-2.0
"""Is what was heard of a daemon a value?"""

import dataclasses
from datetime import UTC, datetime

import pytest

from karbor.model.service import Service


def test_a_sign_of_life_is_a_value():
    heard = Service(1, "karbor-api", "here", datetime.now(UTC), datetime.now(UTC))
    with pytest.raises(dataclasses.FrozenInstanceError):
        heard.host = "there"

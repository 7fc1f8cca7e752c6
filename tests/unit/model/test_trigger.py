# SPDX-License-Identifier: Apache-2.0
"""Is a trigger a value?"""

import dataclasses

import pytest

from karbor.model.trigger import Trigger


def test_a_trigger_is_a_value():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Trigger("t", "p", "nightly", "time").name = "weekly"

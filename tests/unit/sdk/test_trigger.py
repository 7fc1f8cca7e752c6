# SPDX-License-Identifier: Apache-2.0
"""Are the bounds of triggers checked when the service starts, and are the kinds of triggers found?"""

import pytest

from karbor.model import errors
from karbor.sdk.trigger import Limits, TriggerType, load_types


@pytest.mark.parametrize(
    ("min_interval", "min_window", "max_window"), [(3600, 900, 900), (3600, 1800, 900), (3599, 900, 1800), (60, 1, 31)]
)
def test_bounds_that_contradict_each_other_are_refused(min_interval, min_window, max_window):
    with pytest.raises(errors.ConfigurationError) as caught:
        Limits(min_interval, min_window, max_window)
    assert f"max_window_time={max_window}" in caught.value.operator_text()


def test_every_installed_kind_is_found_with_the_bounds_it_is_to_keep():
    limits = Limits(3600, 900, 1800)
    types = load_types(limits)
    assert "time" in types
    assert all(isinstance(kind, TriggerType) and kind.limits is limits for kind in types.values())

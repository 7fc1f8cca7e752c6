# SPDX-License-Identifier: Apache-2.0
"""Does a plug-in get the driver it asks for, or a reason, and learn who sees what?"""

import pytest

from karbor.model import errors
from karbor.sdk.environment import Environment


def test_a_driver_is_found_by_its_name():
    driver = object()
    assert Environment("here", "/state", hypervisors={"some": driver}).hypervisor("some") is driver


def test_a_driver_that_this_host_has_not_is_named_with_what_to_do():
    with pytest.raises(errors.HypervisorUnavailable, match="no libvirt hypervisor") as caught:
        Environment("here", "/state").hypervisor("libvirt")
    assert "enabled_hypervisors" in caught.value.next_action


@pytest.mark.parametrize(
    ("default", "owner", "visible"),
    [
        ("", "", True),
        ("", "me", True),
        ("", "other", False),
        ("me", "", True),
        ("other", "", False),
        ("other", "me", True),
    ],
)
def test_a_resource_is_seen_by_its_owner_and_one_without_by_the_default_project_or_by_all(default, owner, visible):
    assert Environment("here", "/state", default_project=default).is_visible(owner, "me") is visible

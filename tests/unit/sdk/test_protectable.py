# SPDX-License-Identifier: Apache-2.0
"""What is true of a protectable that says nothing of itself?"""

from karbor.sdk.environment import Environment
from karbor.sdk.protectable import Protectable


class Plain(Protectable):
    """Only what must be written."""

    resource_type = "Plain"

    def list(self, project_id, *, after="", limit=1000, parameters=None):
        return []

    def get(self, project_id, resource_id, *, parameters=None):
        raise NotImplementedError


def test_it_has_no_parents_no_children_and_may_be_named_in_a_plan():
    plain = Plain(Plain.Settings(), Environment("here", "/state"))
    assert plain.parent_types == () and plain.standalone
    assert plain.children("p", []) == {}

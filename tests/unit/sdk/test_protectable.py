# SPDX-License-Identifier: Apache-2.0
"""What is true of a protectable that says nothing of itself?"""

import pytest

from karbor.model import errors
from karbor.model.resource import Resource
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


class InCloud(Plain):
    """Looks into the cloud of the caller."""

    acts_in_cloud = True

    def get(self, project_id, resource_id, *, parameters=None):
        return self.cloud


def test_it_has_no_cloud_unless_somebody_asks():
    with pytest.raises(errors.NotSupported):
        InCloud(InCloud.Settings(), Environment("here", "/state")).get("p", "x")


def test_every_caller_has_a_cloud_of_its_own_that_is_opened_when_it_is_needed():
    opened = []
    plain = InCloud(InCloud.Settings(), Environment("here", "/state"))
    ours, theirs = (plain.in_cloud(lambda name=name: opened.append(name) or name) for name in ("ours", "theirs"))
    assert opened == []
    assert (ours.get("p", "x"), theirs.get("p", "x")) == ("ours", "theirs")


def test_of_many_those_that_are_there_are_found():
    class Some(Plain):
        def get(self, project_id, resource_id, *, parameters=None):
            if resource_id == "gone":
                raise errors.ResourceNotFound
            return Resource("Plain", resource_id.lower(), resource_id)

    found = Some(Some.Settings(), Environment("here", "/state")).get_many("p", ["A", "gone", "b"])
    assert {asked: one.id for asked, one in found.items()} == {"A": "a", "b": "b"}

# SPDX-License-Identifier: Apache-2.0
"""Does every resource come behind those it needs, and does the right id stand in the place of each reference?"""

import pytest

from karbor.heat.references import in_order, needed_by, resolved
from karbor.model import errors

NET = {"type": "N", "properties": {}}


def test_each_comes_behind_what_it_needs():
    found = in_order(
        {
            "server": {"type": "S", "properties": {"networks": [{"port": {"get_resource": "port"}}]}},
            "port": {"type": "P", "properties": {"net": {"get_attr": ["net", "name"]}}, "depends_on": "sub"},
            "sub": {"type": "B", "depends_on": ["net"]},
            "net": NET,
        }
    )
    assert found == ["net", "sub", "port", "server"]


@pytest.mark.parametrize(
    "resources",
    [
        {"a": {"depends_on": ["b"]}, "b": {"properties": {"x": {"get_resource": "a"}}}},
        {"a": {"properties": {"x": {"get_resource": "nowhere"}}}},
    ],
)
def test_circles_and_references_to_nothing_are_refused(resources):
    with pytest.raises(errors.InvalidInput):
        in_order(resources)


def test_what_is_needed_is_named_once():
    properties = {"a": {"get_resource": "x"}, "b": [{"get_attr": ["x", "y"]}]}
    assert needed_by({"properties": properties, "depends_on": ["x"]}) == ["x"]


def test_ids_values_and_attributes_stand_in_their_places():
    given = {"a": {"get_resource": "x"}, "b": [{"get_param": "p"}, 1], "c": {"get_attr": ["x", "name"]}}
    found = resolved(given, {"x": "id"}, {"p": "value"}, lambda name, wanted: f"{name}.{wanted}")
    assert found == {"a": "id", "b": ["value", 1], "c": "x.name"}
    with pytest.raises(KeyError):
        resolved({"get_resource": "y"}, {}, {}, lambda *_: "")

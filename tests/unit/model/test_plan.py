# SPDX-License-Identifier: Apache-2.0
"""Which options hold for a resource of a plan, and what does a checkpoint keep of the plan?"""

import json

from karbor.model.plan import Plan, options_for
from karbor.model.resource import Resource


def test_options_of_an_id_override_those_of_its_type():
    parameters = {"T": {"a": 1, "b": 2}, "T#1": {"b": 3}, "T#2": {"a": 9}, "U": {"a": 7}}
    assert options_for(parameters, "T", "1") == {"a": 1, "b": 3}
    assert options_for(parameters, "T", "other") == {"a": 1, "b": 2}
    assert options_for(parameters, "V", "1") == {}


def test_null_means_not_given_even_where_the_type_gives_a_value():
    assert options_for({"T": {"a": 1, "b": None}, "T#1": {"a": None}}, "T", "1") == {}


def test_null_instead_of_an_object_is_no_options():
    assert options_for({"T": None, "T#1": None}, "T", "1") == {}


def test_a_checkpoint_keeps_the_plan_as_json():
    plan = Plan("i", "p", "name", "v", (Resource("T", "1", "n", {"k": "v"}),), parameters={"T": {"a": 1}})
    assert json.loads(json.dumps(plan.snapshot())) == {
        "id": "i",
        "name": "name",
        "provider_id": "v",
        "resources": [{"id": "1", "type": "T", "name": "n", "extra_info": {"k": "v"}}],
        "parameters": {"T": {"a": 1}},
    }

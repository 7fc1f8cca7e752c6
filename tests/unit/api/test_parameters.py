# SPDX-License-Identifier: Apache-2.0
"""Are options checked against what the provider says of them?"""

import pytest

from karbor.api import parameters
from karbor.model import errors

ID = "11111111-2222-4333-8444-555555555555"
SCHEMAS = {
    "A::B": {
        "properties": {
            "mode": {"type": "string", "enum": ["full", "increment"]},
            "number": {"type": "integer", "minimum": 1},
            "rate": {"type": "number"},
            "flag": {"type": "boolean"},
        },
    },
    "A::Needy": {"properties": {"where": {"type": "string"}}, "required": ["where"]},
    "A::Empty": {},
}


def check(given, resources=()):
    parameters.check(parameters.without_nulls(given), SCHEMAS, resources=resources)


def test_nulls_mean_not_given():
    assert parameters.without_nulls({"A::B": {"mode": None, "number": 1}, "A::C": None, "A::D": {"x": None}}) == {
        "A::B": {"number": 1}
    }
    assert parameters.without_nulls(None) == {}


@pytest.mark.parametrize(
    "values",
    [
        {"mode": "full", "number": 3, "flag": True, "rate": 1.5},
        {"number": "3", "flag": "true", "rate": "1.5"},  # as the command line sends them
        {},
    ],
)
def test_right_values_are_taken(values):
    check({"A::B": values, f"A::B#{ID}": values})


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"mode": "half"}, "parameters.A::B.mode. It must be one of full, increment"),
        ({"number": 0}, "at least 1"),
        ({"number": "many"}, "type integer"),
        ({"flag": "maybe"}, "type boolean"),
        ({"strange": 1}, "no option strange. Known options: mode, number"),
    ],
)
def test_wrong_values_are_refused(values, reason):
    with pytest.raises(errors.InvalidInput) as fault:
        check({"A::B": values})
    assert reason in fault.value.message


def test_a_type_that_the_provider_does_not_know_has_no_options():
    with pytest.raises(errors.InvalidInput, match="knows no options for A::Unknown"):
        check({"A::Unknown": {"x": 1}})
    check({"A::Unknown": {}})


def test_an_empty_schema_has_no_options_but_is_no_fault():
    check({"A::Empty": {}})
    with pytest.raises(errors.InvalidInput, match="Known options: none"):
        check({"A::Empty": {"x": 1}})


def test_what_follows_the_type_is_a_uuid():
    with pytest.raises(errors.InvalidInput, match="must be a uuid"):
        check({"A::B#../etc": {"number": 1}})


def test_required_options_may_come_from_the_type_or_the_resource():
    resources = [("A::Needy", ID)]
    with pytest.raises(errors.InvalidInput, match="where is required"):
        check({}, resources)
    check({"A::Needy": {"where": "here"}}, resources)
    check({f"A::Needy#{ID}": {"where": "here"}}, resources)

# SPDX-License-Identifier: Apache-2.0
"""Is a mapping taken as users write it, and refused with a reason where it says nothing?"""

import pytest
from jsonschema import Draft202012Validator

from karbor.model import errors
from karbor.model.mapping import KINDS, MAY_BE_EMPTY
from karbor.sdk.mapping import WorldMap, new_name, renamed


def test_an_id_comes_before_a_name_and_a_name_before_all():
    given = WorldMap.parse({"network": {"*": "any", "inner": "by name", "id-1": "by id"}})
    assert given.find("network", "id-1", "inner") == ("id-1", "by id")
    assert given.find("network", "id-2", "inner") == ("inner", "by name")
    assert given.find("network", "id-2", "outer") == ("*", "any")
    assert given.find("subnet", "id-1") is None


def test_what_was_not_there_is_not_mapped():
    assert WorldMap.parse({"availability_zone": {"*": "west"}}).find("availability_zone", "") is None


def test_an_empty_mapping_maps_nothing():
    assert not WorldMap.parse({}) and not WorldMap.parse({"flavor": {}})
    assert WorldMap.parse({"flavor": {"a": "b"}})


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_an_answer_only_where_one_can_do_without(kind):
    if kind in MAY_BE_EMPTY:
        assert WorldMap.parse({kind: {"a": ""}}).find(kind, "a") == ("a", "")
    else:
        with pytest.raises(errors.InvalidInput, match=kind):
            WorldMap.parse({kind: {"a": ""}})


@pytest.mark.parametrize("wrong", [
    {"colour": {"a": "b"}},
    {"flavor": "m1.small"},
    {"flavor": ["m1.small"]},
    {"flavor": {"a": 1}},
    {"flavor": {"a": None}},
    {"flavor": {"": "b"}},
    {"flavor": {"a": "b" * 256}},
    {"flavor": {"a" * 256: "b"}},
    {"flavor": {str(number): "b" for number in range(1001)}},
])  # fmt: skip
def test_what_is_wrong_is_refused_by_the_parser_and_by_the_published_schema(wrong):
    with pytest.raises(errors.InvalidInput):
        WorldMap.parse(wrong)
    assert not Draft202012Validator(WorldMap.schema()).is_valid(wrong)


def test_the_schema_knows_every_kind():
    Draft202012Validator.check_schema(WorldMap.schema())
    assert Draft202012Validator(WorldMap.schema()).is_valid({kind: {"old": "new", "*": "other"} for kind in KINDS})


def test_a_new_name_is_made_of_the_old_one_and_not_too_long():
    assert (renamed("web", "dr-*-2"), renamed("web", "front")) == ("dr-web-2", "front")
    assert len(renamed("w" * 255, "dr-*")) == 255


class Asked:
    def mapped(self, kind, value):
        return f"{kind}:{value}" if value == "web" else value


def test_without_a_mapped_name_the_other_one_is_taken():
    assert (new_name(Asked(), "web", "x"), new_name(Asked(), "db", "x")) == ("names:web", "x")

# SPDX-License-Identifier: Apache-2.0
"""Does a key name one resource and no other, in both its forms?"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor.model import errors
from karbor.model.resource import Resource, ResourceKey
from tests.support.strategies import json_objects, keys


@given(keys)
def test_a_key_comes_back_from_its_text(key):
    assert ResourceKey.parse(key.text) == key


@given(keys, keys)
def test_two_keys_never_share_a_text(one, other):
    assert (one.text == other.text) == (one == other)


@given(st.text(alphabet="ab#@:/", max_size=8))
def test_a_text_is_either_a_key_with_that_text_or_refused(text):
    try:
        assert ResourceKey.parse(text).text == text
    except ValueError:
        assert not text.partition("#")[0] or not text.partition("#")[2].partition("@")[0] or text.endswith("@")


@pytest.mark.parametrize("text", ["", "#", "T", "T#", "#id", "T#@parent", "T#id@", "id@parent"])
def test_other_forms_are_refused(text):
    with pytest.raises(ValueError, match="not a resource key"):
        ResourceKey.parse(text)


@pytest.mark.parametrize(("type_", "id_"), [("", "id"), ("T", ""), ("T#U", "id"), ("T", "a@b")])
def test_a_key_whose_text_would_be_doubtful_is_refused(type_, id_):
    with pytest.raises(errors.InvalidInput):
        ResourceKey(type_, id_)


@given(st.text(), st.text(), st.text(), json_objects)
def test_a_resource_comes_back_from_its_api_form(type_, id_, name, extra_info):
    resource = Resource(type_, id_, name, extra_info)
    assert Resource.from_dict(json.loads(json.dumps(resource.to_dict()))) == resource


def test_the_api_form_leaves_out_extra_info_where_there_is_none():
    assert Resource("T", "i", "n").to_dict() == {"id": "i", "type": "T", "name": "n"}


def test_null_extra_info_is_none():
    assert Resource.from_dict({"type": "T", "id": "i", "name": "n", "extra_info": None}).extra_info == {}

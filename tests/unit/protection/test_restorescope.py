# SPDX-License-Identifier: Apache-2.0
"""Which resources does a restore of a part of a checkpoint bring back?"""

import pytest

from karbor.model import errors
from karbor.model.graph import Node, ResourceGraph
from karbor.model.resource import Resource, ResourceKey
from karbor.protection.restorescope import SCOPE_TYPE, scoped


def _key(id_):
    return ResourceKey("T", id_)


def _node(id_, *below):
    return Node(_key(id_), Resource("T", id_, id_), tuple(_key(one) for one in below))


GRAPH = ResourceGraph([_node("v1"), _node("v2"), _node("s1", "v1", "v2"), _node("s2"), _node("p", "s1", "s2")])


def _ids(only):
    return [node.key.id for node in scoped(GRAPH, {SCOPE_TYPE: {"only": only}})]


def test_without_a_word_all_of_it():
    assert scoped(GRAPH, {}) == GRAPH


@pytest.mark.parametrize("only", ["", " , "])
def test_an_empty_choice_is_none(only):
    assert _ids(only) == ["v1", "v2", "s1", "s2", "p"]


def test_what_belongs_to_a_resource_comes_with_it():
    assert _ids("s1") == ["v1", "v2", "s1"]


def test_a_part_comes_alone_without_its_owner():
    assert _ids("v2") == ["v2"]
    assert scoped(GRAPH, {SCOPE_TYPE: {"only": "v2"}}).parents(_key("v2")) == ()


def test_several_are_named_with_commas_and_blanks_do_no_harm():
    assert _ids(" s2 ,v1") == ["v1", "s2"]


def test_a_resource_that_the_checkpoint_does_not_have_is_named():
    with pytest.raises(errors.InvalidInput, match="no resource elsewhere, nowhere"):
        _ids("v1,nowhere,elsewhere")


def test_an_option_that_is_not_known_is_refused():
    with pytest.raises(errors.InvalidInput):
        scoped(GRAPH, {SCOPE_TYPE: {"some": "v1"}})

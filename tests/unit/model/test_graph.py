# SPDX-License-Identifier: Apache-2.0
"""Is a resource graph a DAG, walked children first, and the same after it was kept?"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor.model import errors, graph
from karbor.model.graph import Node, ResourceGraph
from karbor.model.resource import Resource, ResourceKey
from tests.support.strategies import graphs


def _key(id_):
    return ResourceKey("T", id_)


def _graph(edges):
    """A graph from {id: ids of children}."""
    return ResourceGraph(
        Node(_key(id_), Resource("T", id_, id_), tuple(_key(child) for child in below)) for id_, below in edges.items()
    )


def _walk(edges, roots, **more):
    """graph.build over {id: ids of children}; also the ids that were asked for, in order."""
    asked = []

    def dependents(resources):
        asked.extend(resource.id for resource in resources)
        return {one.id: [Resource("T", child, child) for child in edges.get(one.id, ())] for one in resources}

    return graph.build([Resource("T", id_, id_) for id_ in roots], dependents, **more), asked


@given(graphs())
def test_children_come_before_parents(found):
    seen = set()
    for node in found:
        assert set(node.children) <= seen
        seen.add(node.key)
    assert len(seen) == len(found)


@given(graphs())
def test_a_graph_is_the_same_after_a_round_trip_through_json(found):
    again = ResourceGraph.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again == found
    assert [node.key for node in again] == [node.key for node in found]
    assert [node.resource for node in again] == [node.resource for node in found]


@given(graphs(), st.randoms(use_true_random=False))
def test_a_part_holds_everything_below_it_and_nothing_else(found, random):
    keys = [node.key for node in found]
    chosen = random.sample(keys, random.randrange(len(keys) + 1)) if keys else []
    part = {node.key: node for node in found.below(chosen)}
    assert set(chosen) <= set(part)
    assert all(set(node.children) <= set(part) for node in part.values())
    assert all(key in chosen or any(key in node.children for node in part.values()) for key in part)


@given(graphs())
def test_the_quick_way_to_the_api_form_leads_there_too(found):
    stored = json.loads(json.dumps(found.to_dict()))
    assert graph.shown(stored) == ResourceGraph.from_dict(stored).to_json() == found.to_json()


@given(graphs())
def test_parents_and_children_mirror_each_other(found):
    for node in found:
        assert all(node.key in found.parents(child) for child in node.children)
        assert all(node.key in found[parent].children for parent in found.parents(node.key))
    assert {node.key for node in found if not found.parents(node.key)} == set(found.roots())


@given(graphs())
def test_the_api_form_numbers_children_before_parents_and_lists_a_parent_after_its_children(found):
    nodes, edges = json.loads(json.dumps(found.to_json()))
    assert list(nodes) == [hex(place) for place in range(len(found))]
    listed = set()
    with_children = {parent for parent, _below in edges}
    for parent, below in edges:
        assert below and all(int(child, 16) < int(parent, 16) for child in below)
        assert {child for child in below if child in with_children} <= listed
        listed.add(parent)
    for node, shown in zip(found, nodes.values(), strict=True):
        assert shown == [node.key.type, node.key.id, node.resource.name, node.resource.extra_info or None]


@given(graphs(), st.randoms(use_true_random=False))
def test_any_circle_is_refused(found, random):
    """Turn one edge of a path back."""
    lower = [node for node in found if found.parents(node.key)]
    if not lower:
        return
    bottom = random.choice(lower)
    above = found.parents(bottom.key)[0]
    nodes = [
        Node(node.key, node.resource, (*node.children, above)) if node.key == bottom.key else node for node in found
    ]
    with pytest.raises(errors.InvalidInput, match="circle"):
        ResourceGraph(nodes)


def test_a_circle_is_named_without_those_who_only_lead_to_it():
    with pytest.raises(errors.InvalidInput) as caught:
        _graph({"root": ["a"], "a": ["b"], "b": ["a", "leaf"], "leaf": []})
    assert "T#a, T#b" in caught.value.message
    assert "root" not in caught.value.message and "leaf" not in caught.value.message


def test_a_resource_below_itself_is_a_circle():
    with pytest.raises(errors.InvalidInput, match="circle"):
        _walk({"a": ["a"]}, ["a"])


def test_a_child_that_is_missing_is_named():
    with pytest.raises(errors.InvalidInput, match="T#gone"):
        _graph({"a": ["gone"]})


def test_order_is_as_given_where_it_is_free():
    assert [node.key.id for node in _graph({"c": [], "a": [], "b": []})] == ["c", "a", "b"]


def test_a_child_named_twice_has_its_parent_once():
    assert _graph({"a": ["b", "b"], "b": []}).parents(_key("b")) == (_key("a"),)


def test_graphs_with_other_edges_or_resources_differ():
    assert _graph({"a": ["b"], "b": []}) != _graph({"a": [], "b": []})
    assert _graph({"a": []}) != ResourceGraph([Node(_key("a"), Resource("T", "a", "other"))])
    assert _graph({"a": []}) != "a"


def test_an_empty_graph_has_the_form_the_clients_parse():
    assert ResourceGraph(()).to_json() == [{}, []]


def test_a_deep_chain_of_diamonds_is_walked_in_linear_time():
    """2^20000 paths, 40000 nodes: only a walk that visits each node once ends."""
    edges, below = {}, []
    for layer in range(20_000):
        pair = [f"{layer}a", f"{layer}b"]
        edges.update(dict.fromkeys(pair, below))
        below = pair
    found, asked = _walk(edges, below)
    assert len(found) == len(asked) == 40_000
    assert ResourceGraph.from_dict(found.to_dict()) == found


def test_building_asks_once_for_each_resource():
    found, asked = _walk({"a": ["c"], "b": ["c"], "c": ["d"]}, ["a", "b", "a"])
    assert sorted(asked) == ["a", "b", "c", "d"]
    assert set(found.parents(_key("c"))) == {_key("a"), _key("b")}
    assert [key.id for key in found.roots()] == ["a", "b"]


def test_a_root_that_is_also_a_child_is_no_root_of_the_graph():
    found, _asked = _walk({"a": ["b"]}, ["b", "a"])
    assert found.roots() == (_key("a"),)


def test_too_many_resources_are_refused():
    with pytest.raises(errors.InvalidInput, match="more than 3"):
        _walk({"a": ["b", "c", "d"]}, ["a"], limit=3)


def test_a_disk_of_two_domains_is_two_nodes():
    disk = Resource("Disk", "vda", "vda", per_parent=True)
    roots = [Resource("Domain", id_, id_) for id_ in ("one", "two")]
    found = graph.build(roots, lambda found: {one.id: [disk] for one in found if one.type == "Domain"})
    assert {node.key.text for node in found} == {"Domain#one", "Domain#two", "Disk#vda@one", "Disk#vda@two"}
    assert found.parents(ResourceKey("Disk", "vda", "two")) == (ResourceKey("Domain", "two"),)
    assert all(node.resource.per_parent for node in ResourceGraph.from_dict(found.to_dict()) if node.key.type == "Disk")


def test_a_disk_that_a_plan_names_has_no_parent_in_its_key():
    found = graph.build([Resource("Disk", "vda", "vda", per_parent=True)], lambda _found: {})
    assert [node.key.text for node in found] == ["Disk#vda"]

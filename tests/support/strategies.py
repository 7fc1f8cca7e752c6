# SPDX-License-Identifier: Apache-2.0
"""Which values do property tests draw: resources, keys, graphs?"""

from hypothesis import strategies as st

from karbor.model.graph import Node, ResourceGraph
from karbor.model.resource import Resource, ResourceKey

#: JSON values as plug-ins keep them.
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
json_objects = st.dictionaries(st.text(max_size=8), json_values, max_size=3)
types = st.text(min_size=1, max_size=10).filter(lambda text: "#" not in text)
ids = st.text(min_size=1, max_size=10).filter(lambda text: "@" not in text)
keys = st.builds(ResourceKey, types, ids, st.text(max_size=10))


@st.composite
def graphs(draw, max_nodes=12):
    """A DAG: an edge only ever leads from a later drawn key to an earlier one; nodes are given in any order."""
    drawn = draw(st.lists(keys, unique=True, max_size=max_nodes))
    nodes = []
    for place, key in enumerate(drawn):
        below = draw(st.lists(st.sampled_from(drawn[:place]), unique=True, max_size=4)) if place else []
        resource = Resource(key.type, key.id, draw(st.text(max_size=8)), draw(json_objects), bool(key.parent_id))
        nodes.append(Node(key, resource, tuple(below)))
    return ResourceGraph(draw(st.permutations(nodes)))

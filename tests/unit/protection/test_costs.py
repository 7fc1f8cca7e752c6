# SPDX-License-Identifier: Apache-2.0
"""Is what passes bounded by working on resources in batches, and is a checkpoint that cannot fit refused?"""

import pytest

from karbor.model.cost import Item, Room, Use
from karbor.model.graph import Node, ResourceGraph
from karbor.model.resource import Resource, ResourceKey
from karbor.protection import costs
from karbor.sdk.environment import Environment
from karbor.sdk.options import Options
from karbor.sdk.protection import Protected, Protection, Restored

HERE = Environment("here", "/state")


class Plain(Protection):
    """Holds nothing."""

    resource_types = ("Project",)

    def protect(self, work):
        return Protected()

    def restore(self, work):
        return Restored("")


class Holding(Plain):
    """Has a snapshot of each volume for a while."""

    resource_types = ("Volume", "Server")

    class Protect(Options):
        """None."""

    def cost(self, resource, options):
        return [Use("block_storage", "snapshots", 1, passing=True)] if resource.type == "Volume" else []

    def prepare_finish(self, work):
        return None


PLUGINS = {type_: kind(kind.Settings(), HERE) for kind in (Plain, Holding) for type_ in kind.resource_types}


def plugin(key):
    return PLUGINS[key.type]


def _graph(**below):
    """Servers with their volumes, all below one project."""
    volumes = sorted({name for names in below.values() for name in names})
    nodes = [Node(_key(name), Resource("Volume", name, name)) for name in volumes]
    for server, names in below.items():
        children = tuple(_key(name) for name in names)
        nodes.append(Node(ResourceKey("Server", server), Resource("Server", server, server), children))
    servers = tuple(ResourceKey("Server", server) for server in below)
    return ResourceGraph([*nodes, Node(ResourceKey("Project", "p"), Resource("Project", "p", "p"), servers)])


def _key(name):
    return ResourceKey("Volume", name)


def _batches(graph, most):
    uses = costs.uses_of(graph, plugin, {})
    return [sorted(key.id for key in batch) for batch in costs.batches_of(graph, plugin, uses, most)]


def test_what_belongs_together_is_worked_on_at_once_and_the_rest_in_turns():
    graph = _graph(a=["v1", "v2"], b=["v3"], c=["v4", "v5"])
    assert _batches(graph, 16) == [["a", "b", "c", "v1", "v2", "v3", "v4", "v5"]]
    assert _batches(graph, 3) == [["a", "b", "v1", "v2", "v3"], ["c", "v4", "v5"]]
    assert _batches(graph, 1) == [["a", "v1", "v2"], ["b", "v3"], ["c", "v4", "v5"]]


def test_servers_that_share_a_volume_belong_together():
    assert _batches(_graph(a=["v1", "v2"], b=["v3"], c=["v1"]), 1) == [["a", "c", "v1", "v2"], ["b", "v3"]]


def test_of_what_passes_one_batch_counts_in_the_bill():
    graph = _graph(a=["v1"], b=["v2"], c=["v3"])
    uses = costs.uses_of(graph, plugin, {})
    for most, passing in ((1, 1), (2, 2), (9, 3)):
        (item,) = costs.costed(uses, costs.batches_of(graph, plugin, uses, most), None)
        assert (item.kept, item.passing) == (0, passing)


def test_what_does_not_fit_is_refused_with_its_figures():
    scarce = Item("block_storage", "snapshots", passing=3, room=Room(10, 8))
    refused = costs.refusal([Item("image", "images", kept=1, room=Room(5, 0)), scarce])
    assert "block-storage snapshots: 3 needed (3 of them for a while), 8 of 10 in use" in refused.message
    assert refused.permanent and refused.next_action


@pytest.mark.parametrize("room", [None, Room(None, 8), Room(11, 8)])
def test_what_fits_or_nobody_can_tell_is_not_refused(room):
    assert costs.refusal([Item("block_storage", "snapshots", passing=3, room=room)]) is None

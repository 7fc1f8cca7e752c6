# SPDX-License-Identifier: Apache-2.0
"""Is every question about the new world answered alike, and is it known who asked and what was never asked for?"""

from karbor.model.resource import ResourceKey
from karbor.protection.world import Asked, World, merged
from karbor.sdk.mapping import WorldMap

KEY = ResourceKey("Server", "web")
GIVEN = WorldMap.parse({"network": {"inner": "lan", "outer": "wan"}, "names": {"*": "new-*"}, "flavor": {"*": "s1"}})


def world():
    return World(GIVEN, {"network": {"net-1": "inner"}}, {"network": {"lan": "id-of-lan"}, "flavor": {"s1": "7"}})


def test_an_old_name_leads_to_the_new_id():
    assert world().mapped(KEY, "network", "net-1") == "id-of-lan"


def test_what_is_not_mapped_stays():
    found = world()
    assert (found.mapped(KEY, "network", "net-2"), found.mapped(KEY, "subnet", "s")) == ("net-2", "s")


def test_names_are_made_and_not_looked_up():
    assert world().mapped(KEY, "names", "web") == "new-web"


def test_each_question_is_kept_once_in_its_order():
    found = world()
    for _ in range(2):
        found.mapped(KEY, "flavor", "m1")
        found.mapped(KEY, "network", "net-2")
    assert found.asked == [Asked(KEY, "flavor", "m1", "7"), Asked(KEY, "network", "net-2", "net-2")]


def test_entries_that_nothing_asked_for_are_known():
    found = world()
    assert found.unused() == [("network", "inner"), ("network", "outer"), ("names", "*"), ("flavor", "*")]
    found.mapped(KEY, "network", "net-1")
    found.mapped(KEY, "flavor", "m1")
    assert found.unused() == [("network", "outer"), ("names", "*")]


def test_names_of_several_resources_are_known_together():
    found = merged([{"network": {"a": "1"}}, {"network": {"b": "2"}, "router": {"c": "3"}}, {}])
    assert found == {"network": {"a": "1", "b": "2"}, "router": {"c": "3"}}

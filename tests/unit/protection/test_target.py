# SPDX-License-Identifier: Apache-2.0
"""Is what the user calls something found by its id or its name, and is it known what is not there?"""

import pytest

from karbor.model import errors
from karbor.protection.target import Target
from karbor.sdk.testing.memorycloud import MemoryCloud
from tests.support.clock import TwinClock

SERVER, VOLUME = "OS::Nova::Server", "OS::Cinder::Volume"


@pytest.fixture
def cloud():
    return MemoryCloud()


@pytest.fixture
def target(cloud):
    tenant = cloud.open("alpha")
    return Target(lambda: tenant)


def test_an_id_and_a_name_lead_to_the_same(cloud, target):
    net = cloud.networks.add("alpha", "networks", name="inner")
    flavor = cloud.compute.flavor("small")
    group = cloud.networks.add("alpha", "security-groups", name="web")
    image = cloud.images.add("alpha", "base", b"data")
    address = cloud.networks.add("alpha", "floatingips", floating_ip_address="203.0.113.9")
    for kind, thing, name in (
        ("network", net, "inner"),
        ("flavor", flavor, "small"),
        ("security_group", group, "web"),
        ("image", image, "base"),
        ("floating_ip", address, "203.0.113.9"),
    ):
        assert target.resolve(kind, thing["id"]) == target.resolve(kind, name) == thing["id"]
        assert target.has(kind, thing["id"]) and not target.has(kind, name)


def test_types_are_asked_for_by_name(cloud, target):
    assert target.resolve("volume_type", "rbd") == "rbd"
    assert target.resolve("volume_type", cloud.choice_id("volume_type", "rbd")) == "rbd"
    assert target.has("volume_type", "rbd") and not target.has("volume_type", "fast")
    assert target.has("share_type", "default") and not target.has("share_type", "fast")


def test_servers_and_volumes_have_zones_of_their_own(cloud, target):
    cloud.choices["server_zone"] = {"north"}
    cloud.choices["volume_zone"] = {"south"}
    assert target.resolve("availability_zone", "north") == "north"
    assert target.resolve("availability_zone", "south") == "south"
    assert target.has("availability_zone", "north", SERVER) and not target.has("availability_zone", "south", SERVER)
    assert target.has("availability_zone", "south", VOLUME) and not target.has("availability_zone", "north", VOLUME)


def test_what_is_of_another_project_and_not_shared_is_not_there(cloud, target):
    theirs = cloud.networks.add("beta", "networks", name="theirs")
    shared = cloud.networks.add("beta", "networks", name="all", shared=True)
    assert not target.has("network", theirs["id"])
    assert target.resolve("network", "all") == shared["id"]


def test_several_of_a_name_must_be_told_apart_by_their_ids(cloud, target):
    one, _other = (cloud.networks.add("alpha", "networks", name="twin") for _ in range(2))
    with pytest.raises(errors.InvalidInput, match="several"):
        target.resolve("network", "twin")
    assert target.resolve("network", one["id"]) == one["id"]


@pytest.mark.parametrize("kind", ["network", "flavor", "volume_type", "keypair", "server_group", "availability_zone"])
@pytest.mark.parametrize("name", ["nothing", "../../os-services", "a?b=c#d"])
def test_what_is_not_there_is_refused_with_advice(target, kind, name):
    with pytest.raises(errors.InvalidInput, match="there is none") as refusal:
        target.resolve(kind, name)
    assert kind in refusal.value.next_action


def test_a_key_pair_is_found_by_its_name(cloud, target):
    cloud.things["keypair"]["mine"] = {"name": "mine"}
    assert target.resolve("keypair", "mine") == "mine"
    assert target.resolve("keypair", "") == ""


def test_each_list_is_asked_for_once(cloud, target):
    for _ in range(3):
        target.has("volume_type", "rbd")
        target.has("network", "x")
    lists = {key: number for key, number in cloud.calls.items() if key[2] in ("/types", "/{collection}")}
    assert set(lists.values()) == {1}


def test_of_a_list_that_the_cloud_does_not_give_nothing_is_said(cloud, target):
    cloud.fail("block-storage", "GET", "/types", 403)
    assert target.has("volume_type", "whatever") and target.resolve("volume_type", "whatever") == "whatever"


def test_a_cloud_that_is_away_is_not_a_cloud_without_things():
    cloud = MemoryCloud(clock=TwinClock())
    tenant = cloud.open("alpha", pause=cloud.clock.pass_time)
    cloud.fail("block-storage", "GET", "/types", 503, times=100)
    with pytest.raises(errors.Unavailable):
        Target(lambda: tenant).has("volume_type", "rbd")

# SPDX-License-Identifier: Apache-2.0
"""Is a server handed to Heat as it was, and is what cannot be as it was told before?"""

import base64

import pytest

from karbor.heat.template import assemble
from karbor.model import errors
from karbor.model.checkpoint import SavedResource
from karbor.model.resource import Resource, ResourceKey
from karbor.plugins.resources.image_data import root_disk_id
from karbor.plugins.resources.server_protection import ServerProtection as Plugin
from karbor.sdk.environment import Environment
from karbor.sdk.template import HeatParameter
from karbor.sdk.testing.memorycloud import MemoryCloud
from karbor.sdk.testing.work import TwinWork
from tests.support.clock import TwinClock

IMAGE, VOLUME, SERVER = "OS::Glance::Image", "OS::Cinder::Volume", "OS::Nova::Server"


class World:
    """A server with a port in a network and a volume, booted from an image or from a volume."""

    def __init__(self, *, from_volume=False, types=()):
        self.cloud = MemoryCloud(clock=TwinClock())
        self.tenant = self.cloud.open("alpha", pause=self.cloud.clock.pass_time)
        self.types = types
        self.image = self.cloud.images.add("alpha", "base", b"root")
        self.net = self.cloud.networks.add("alpha", "networks", name="inner")
        self.subnet = self.cloud.networks.add("alpha", "subnets", network_id=self.net["id"], cidr="10.1.0.0/24")
        image = None if from_volume else self.image
        self.server = self.cloud.compute.add("alpha", "web", image=image, metadata={"app": "shop"}, tags=["gold"])
        self.volumes = [self.cloud.volumes.add("alpha", name, server=self.server) for name in ("first", "second")]
        self.port = self.cloud.networks.add(
            "alpha",
            "ports",
            network_id=self.net["id"],
            device_id=self.server["id"],
            fixed_ips=[{"subnet_id": self.subnet["id"], "ip_address": "10.1.0.7"}],
            security_groups=["sg-1"],
        )
        self.resource = Resource(SERVER, self.server["id"], "web")
        self.plugin = Plugin(Plugin.Settings(), Environment("here", "/state"))
        self.children = [(ResourceKey(VOLUME, one["id"]), Resource(VOLUME, one["id"], "v")) for one in self.volumes]
        if not from_volume:
            key = ResourceKey(IMAGE, self.image["id"], self.server["id"])
            self.children.append((key, Resource(IMAGE, self.image["id"], "base")))

    def work(self, operation, options=None, saved=None, mapping=None):
        return TwinWork(
            operation,
            self.resource,
            options=options,
            saved=saved,
            children=self.children,
            cloud=self.tenant,
            types=self.types,
            mapping=mapping,
        )

    def protected(self):
        work = self.work("protect", Plugin.Protect.parse({}))
        for _ in range(2):
            work.results["prepare_begin"] = self.plugin.prepare_begin(work)
        for _ in range(2):
            work.results["prepare_finish"] = self.plugin.prepare_finish(work)
        done = self.plugin.protect(work)
        Plugin.Saved.parse(done.saved)
        return SavedResource(work.key.text, "karbor-server-protection-plugin", done.saved, {})

    def lost(self):
        """The server and its port are gone; the volumes stay."""
        del self.cloud.things["server"][self.server["id"]]
        del self.cloud.things["port"][self.port["id"]]

    def restored(self, saved, mapping=None, **options):
        """The resources of the template by the old ids, with what came back of the disks."""
        work = self.work("restore", Plugin.Restore.parse(options), saved, mapping)
        work.results["restore_prepare"] = self.plugin.restore_prepare(work)
        parts = list(self.plugin.restore(work).template)
        disks = [HeatParameter(one["id"], f"new-{one['name']}") for one in self.volumes]
        root = HeatParameter(root_disk_id(self.image["id"], self.server["id"]), "new-root")
        template = assemble([*parts, *disks, root], description="")
        return {part.original_id: template.resources[name] for name, part in template.names.items()}

    def plan(self, saved, mapping=None, **options):
        return self.plugin.restore_plan(self.work("restore", Plugin.Restore.parse(options), saved, mapping))


@pytest.fixture
def world():
    return World()


def test_a_server_of_an_image_boots_from_its_own_root_disk(world):
    saved = world.protected()
    world.lost()
    server = world.restored(saved)[world.server["id"]]["properties"]
    assert list(server["image"]) == ["get_param"]
    assert (server["name"], server["metadata"], server["tags"]) == ("web", {"app": "shop"}, ["gold"])
    assert server["flavor"] == world.cloud.compute.flavor("m1.nano")["id"]


def test_its_volumes_are_attached_where_they_were(world):
    found = world.restored(world.protected())
    names = [f"{world.server['id']}:{one['id']}" for one in world.volumes]
    attached = [found[name]["properties"] for name in names]
    assert [one["mountpoint"] for one in attached] == ["/dev/vdb", "/dev/vdc"]
    assert all(list(one["instance_uuid"]) == ["get_resource"] for one in attached)
    assert "depends_on" not in found[names[0]] and len(found[names[1]]["depends_on"]) == 1, "one after the other"


def test_a_server_of_a_volume_boots_from_that_volume():
    world = World(from_volume=True)
    found = world.restored(world.protected())
    (root,) = found[world.server["id"]]["properties"]["block_device_mapping_v2"]
    assert root["boot_index"] == 0
    assert "image" not in found[world.server["id"]]["properties"]
    assert f"{world.server['id']}:{world.volumes[0]['id']}" not in found
    assert f"{world.server['id']}:{world.volumes[1]['id']}" in found


def test_a_lost_server_gets_its_old_address_again(world):
    saved = world.protected()
    world.lost()
    port = world.restored(saved)[f"{world.server['id']}:{world.port['id']}"]["properties"]
    assert port["fixed_ips"] == [{"ip_address": "10.1.0.7", "subnet": world.subnet["id"]}]
    assert (port["network"], port["security_groups"]) == (world.net["id"], ["sg-1"])
    assert "mac_address" not in port


def test_beside_the_old_server_the_new_one_gets_another_address(world):
    saved = world.protected()
    assert "fixed_ips" not in world.restored(saved)[f"{world.server['id']}:{world.port['id']}"]["properties"]
    assert any("10.1.0.7 is in use" in text for text in world.plan(saved).warnings)


def test_who_insists_on_the_address_is_told_that_it_is_in_use(world):
    saved = world.protected()
    assert [type(one) for one in world.plan(saved, addresses="keep").conflicts] == [errors.Conflict]
    with pytest.raises(errors.Conflict, match="in use"):
        world.restored(saved, addresses="keep")


def test_in_networks_that_come_back_too_every_address_is_free():
    world = World(types=["OS::Neutron::Network"])
    saved = world.protected()
    world.lost()
    world.cloud.things["network"].clear()
    port = world.restored(saved)[f"{world.server['id']}:{world.port['id']}"]["properties"]
    assert port["fixed_ips"][0]["ip_address"] == "10.1.0.7"


def test_in_a_network_of_somebody_else_no_address_is_chosen(world):
    world.net.update(project_id=world.cloud.project("beta"), shared=True)
    saved = world.protected()
    world.lost()
    assert "fixed_ips" not in world.restored(saved)[f"{world.server['id']}:{world.port['id']}"]["properties"]
    assert any("Only its owner may choose" in text for text in world.plan(saved).warnings)


def test_another_network_is_one_new_port_in_it(world):
    found = world.restored(world.protected(), restore_net_id="other-net")
    (port,) = [one for one in found.values() if one["type"] == "OS::Neutron::Port"]
    assert port["properties"]["network"] == "other-net"
    assert "fixed_ips" not in port["properties"]


def test_without_its_flavor_the_smallest_that_is_large_enough_is_taken(world):
    saved = world.protected()
    world.cloud.things["flavor"].clear()
    for name, ram in (("tiny", 32), ("huge", 9999), ("fits", 128)):
        world.cloud.compute.flavor(name, ram=ram)
    plan = world.plan(saved)
    assert plan.decided["flavor_name"] == "fits"
    assert any("fits is the smallest" in text for text in plan.warnings)
    assert world.plan(saved, restore_flavor_id="huge").decided["flavor_name"] == "huge"


def test_where_no_flavor_is_large_enough_nothing_is_begun(world):
    saved = world.protected()
    world.cloud.things["flavor"].clear()
    assert [type(one) for one in world.plan(saved).conflicts] == [errors.InvalidInput]
    with pytest.raises(errors.InvalidInput, match="none with"):
        world.restored(saved)


@pytest.mark.parametrize("known", [True, False])
def test_a_key_pair_is_used_where_it_still_is(world, known):
    world.server["key_name"] = "mine"
    saved = world.protected()
    if known:
        world.cloud.things["keypair"]["mine"] = {"name": "mine"}
    server = world.restored(saved)[world.server["id"]]["properties"]
    assert server.get("key_name") == ("mine" if known else None)
    assert any("key pair 'mine'" in text for text in world.plan(saved).warnings) != known


def test_a_volume_that_is_not_in_the_checkpoint_is_named_and_left_alone(world):
    world.children = [one for one in world.children if one[0].id != world.volumes[1]["id"]]
    saved = world.protected()
    assert f"{world.server['id']}:{world.volumes[1]['id']}" not in world.restored(saved)
    assert any(world.volumes[1]["id"] in text for text in world.plan(saved).warnings)


def test_a_floating_address_that_is_free_leads_to_the_new_server(world):
    world.cloud.networks.add("alpha", "floatingips", port_id=world.port["id"])
    saved = world.protected()
    assert "FloatingIPAssociation" not in str(world.restored(saved))
    next(iter(world.cloud.things["floatingip"].values()))["port_id"] = None
    assert "FloatingIPAssociation" in str(world.restored(saved))
    world.cloud.things["floatingip"].clear()
    assert "FloatingIPAssociation" not in str(world.restored(saved))
    world.types = ["OS::Neutron::Network"]
    assert "FloatingIPAssociation" in str(world.restored(saved))


def test_a_root_disk_that_nobody_keeps_is_refused_at_the_beginning(world):
    world.children = [one for one in world.children if one[0].type != IMAGE]
    with pytest.raises(errors.NotSupported, match="protects no images"):
        world.protected()


def test_a_server_costs_as_many_questions_whatever_it_has(world):
    before = sum(world.cloud.calls.values())
    world.protected()
    few = sum(world.cloud.calls.values()) - before
    for number in range(20):
        world.cloud.volumes.add("alpha", f"more-{number}", server=world.server)
    before = sum(world.cloud.calls.values())
    world.protected()
    assert sum(world.cloud.calls.values()) - before <= few


class TestMapped:
    """In another network, with other names."""

    @pytest.fixture
    def there(self, world):
        """The id of a network, with a subnet of the same addresses or of others."""

        def make(cidr):
            net = world.cloud.networks.add("alpha", "networks", name="there")
            return net["id"], world.cloud.networks.add("alpha", "subnets", network_id=net["id"], cidr=cidr)["id"]

        return make

    def port(self, world, found):
        return found[f"{world.server['id']}:{world.port['id']}"]["properties"]

    def test_an_address_is_taken_along_into_a_subnet_that_holds_it(self, world, there):
        net, subnet = there("10.1.0.0/16")
        mapping = {"network": {"*": net}, "security_group": {"sg-1": "sg-2"}}
        port = self.port(world, world.restored(world.protected(), mapping))
        assert (port["network"], port["security_groups"]) == (net, ["sg-2"])
        assert port["fixed_ips"] == [{"ip_address": "10.1.0.7", "subnet": subnet}]

    def test_where_no_subnet_holds_it_the_server_gets_another_and_people_are_told(self, world, there):
        net, _subnet = there("192.168.7.0/24")
        saved, mapping = world.protected(), {"network": {world.net["id"]: net}}
        assert "fixed_ips" not in self.port(world, world.restored(saved, mapping))
        assert any("has no subnet with 10.1.0.7" in text for text in world.plan(saved, mapping).warnings)
        assert world.plan(saved, mapping, addresses="keep").conflicts

    def test_a_subnet_that_is_named_is_used(self, world, there):
        net, subnet = there("10.1.0.0/24")
        mapping = {"network": {"*": net}, "subnet": {world.subnet["id"]: subnet}}
        port = self.port(world, world.restored(world.protected(), mapping))
        assert [one["subnet"] for one in port["fixed_ips"]] == [subnet]

    def test_a_network_that_the_options_name_counts_more(self, world, there):
        net, _subnet = there("10.1.0.0/24")
        found = world.restored(world.protected(), {"network": {"*": "elsewhere"}}, restore_net_id=net)
        assert self.port(world, found)["network"] == net

    def test_names_zones_and_flavors_are_those_of_the_mapping(self, world):
        large = world.cloud.compute.flavor("large")
        mapping = {
            "names": {"web": "front"},
            "availability_zone": {"*": "west"},
            "flavor": {"m1.nano": large["id"]},
            "keypair": {"*": ""},
        }
        server = world.restored(world.protected(), mapping)[world.server["id"]]["properties"]
        assert (server["name"], server["availability_zone"], server["flavor"]) == ("front", "west", large["id"])
        assert "key_name" not in server

    def test_the_names_of_its_networks_are_known(self, world):
        names = world.plugin.old_names(world.protected())
        assert names["network"] == {world.net["id"]: "inner"}

    def test_a_plan_has_the_template_that_the_restore_gives(self, world):
        saved = world.protected()
        plan = world.plan(saved)
        work = world.work("restore", Plugin.Restore.parse({}), saved)
        work.results["restore_prepare"] = world.plugin.restore_prepare(work)
        assert list(plan.template) == list(world.plugin.restore(work).template)


def test_user_data_comes_back_as_it_was_given(world):
    text = "#!/bin/sh\necho hällo\n"
    world.server["OS-EXT-SRV-ATTR:user_data"] = base64.b64encode(text.encode()).decode()
    saved = world.protected()
    properties = world.restored(saved)[world.server["id"]]["properties"]
    assert (properties["user_data"], properties["user_data_format"]) == (text, "RAW")
    assert not any("user data" in one for one in world.plan(saved).warnings)


def test_user_data_that_no_template_can_hold_is_told(world):
    world.server["OS-EXT-SRV-ATTR:user_data"] = base64.b64encode(b"\x1f\x8b\x08\xff").decode()
    saved = world.protected()
    assert "user_data" not in world.restored(saved)[world.server["id"]]["properties"]
    assert any("is no text" in one for one in world.plan(saved).warnings)

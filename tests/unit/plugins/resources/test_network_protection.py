# SPDX-License-Identifier: Apache-2.0
"""Are the networks of a project kept whole, and is what is gone of them made again and nothing else?"""

import json

import pytest

from karbor.heat.template import assemble
from karbor.model import errors
from karbor.model.checkpoint import SavedResource
from karbor.model.resource import Resource
from karbor.plugins.resources.network_protection import NetworkProtection as Plugin
from karbor.sdk.environment import Environment
from karbor.sdk.template import reference
from karbor.sdk.testing.memorycloud import MemoryCloud
from karbor.sdk.testing.work import TwinWork
from tests.support.clock import TwinClock
from tests.support.heat import WAYS, built
from tests.support.networking import Networking


class MappedWork(TwinWork):
    """With a mapping of the user."""

    def __init__(self, *args, mapping, **named):
        super().__init__(*args, **named)
        self.mapping = mapping

    def mapped(self, kind, value):
        return self.mapping.get((kind, value), value)


class World:
    """A project with networks of every kind, and a network of others that leads outside."""

    def __init__(self):
        self.cloud = MemoryCloud(clock=TwinClock())
        self.tenant = self.cloud.open("alpha", pause=self.cloud.clock.pass_time)
        self.external = self.outside("outside")
        self.cloud.networks.add("alpha", "security-groups", name="default")
        self.networking = Networking(self.tenant, self.external).make()
        self.ids = self.networking.ids
        self.plugin = Plugin(Plugin.Settings(), Environment("here", "/state"))

    def outside(self, name):
        made = self.cloud.networks.add("admin", "networks", name=name, **{"router:external": True, "shared": True})
        self.cloud.networks.add("admin", "subnets", network_id=made["id"], cidr="203.0.113.0/24", shared=True)
        return made["id"]

    def work(self, operation="protect", options=None, saved=None, mapping=None, tenant=None):
        resource = Resource("OS::Neutron::Network", self.tenant.project_id, "Network Topology")
        options = Plugin.Restore.parse(options or {})
        cloud = tenant or self.tenant
        return MappedWork(operation, resource, options=options, saved=saved, cloud=cloud, mapping=mapping or {})

    def protected(self):
        work = self.work()
        done = self.plugin.protect(work)
        Plugin.Saved.parse(done.saved)
        return SavedResource(work.key.text, "karbor-network-protection-plugin", done.saved, {})

    def restoring(self, saved, mapping=None, tenant=None, **options):
        work = self.work("restore", options, saved, mapping, tenant)
        work.results["restore_prepare"] = json.loads(json.dumps(self.plugin.restore_prepare(work)))
        return work

    def restored(self, saved, mapping=None, tenant=None, **options):
        return self.plugin.restore(self.restoring(saved, mapping, tenant, **options)).template

    def planned(self, saved, mapping=None, tenant=None, **options):
        return self.plugin.restore_plan(self.work("restore", options, saved, mapping, tenant))


@pytest.fixture
def world():
    return World()


def types(parts):
    return sorted(part.type.rsplit("::", 1)[-1] for part in parts if hasattr(part, "type"))


@pytest.mark.parametrize("way", WAYS)
def test_what_was_deleted_comes_back_as_it_was(world, way):
    saved, before = world.protected(), world.networking.found(world.work())
    world.networking.remove()
    built(world.cloud, world.tenant, world.restored(saved), way)
    after = world.networking.found(world.work())
    quiet = next(one for one in after["security_groups"] if one["name"] == "shopnet-quiet")
    assert [rule["remote_ip_prefix"] for rule in quiet["rules"]] == ["127.0.0.1/32"]
    quiet["rules"] = []
    assert after == before


def test_two_looks_at_the_same_networks_say_the_same(world):
    assert world.protected() == world.protected()


def test_everything_is_read_with_six_questions_whatever_there_is(world):
    for count in range(30):
        net = world.cloud.networks.add("alpha", "networks", name=f"more-{count}")
        world.cloud.networks.add("alpha", "subnets", network_id=net["id"], cidr=f"10.1.{count}.0/24")
    world.protected()
    world.cloud.calls.clear()
    world.protected()
    assert sum(count for (service, _method, _path), count in world.cloud.calls.items() if service == "network") == 6


def test_what_is_still_there_is_left_alone(world):
    saved = world.protected()
    restored = world.plugin.restore(world.restoring(saved))
    assert (list(restored.template), restored.new_id) == ([], world.tenant.project_id)
    plan = world.planned(saved)
    assert (plan.creates, plan.conflicts) == ([], [])
    assert {"name": "network shopnet-net"} in plan.keeps and {"name": "security group default"} in plan.keeps


def test_only_what_is_gone_is_made_and_refers_to_what_is_there(world):
    saved = world.protected()
    world.tenant.network.put(
        f"/routers/{world.ids['router']}/remove_router_interface", json={"subnet_id": world.ids["near"]}
    )
    world.tenant.network.delete(f"/security-groups/{world.ids['quiet']}")
    parts = world.restored(saved)
    assert types(parts) == ["RouterInterface", "SecurityGroup"]
    made = assemble(parts, description="").resources.values()
    (interface,) = (one["properties"] for one in made if one["type"].endswith("Interface"))
    assert interface == {"router": world.ids["router"], "subnet": world.ids["near"]}


def test_all_can_be_made_anew_beside_the_old_under_other_names(world):
    saved = world.protected()
    parts = world.restored(saved, existing="new", restore_name="copy")
    made = built(world.cloud, world.tenant, parts)
    assert made[world.ids["net"]] != world.ids["net"]
    names = {one["name"] for one in world.tenant.network.get("/networks").json()["networks"]}
    assert {"shopnet-net", "copy-shopnet-net"} <= names


def test_no_second_default_security_group_is_asked_for(world):
    saved = world.protected()
    parts = world.restored(saved, existing="new")
    groups = [part.properties["name"] for part in parts if getattr(part, "type", "").endswith("SecurityGroup")]
    assert "default (restored)" in groups and "default" not in groups
    assert any("default" in warning for warning in world.planned(saved, existing="new").warnings)


def test_groups_that_refer_to_each_other_make_no_circle(world):
    saved = world.protected()
    world.networking.remove()
    parts = world.restored(saved)
    beside = [part for part in parts if getattr(part, "type", "").endswith("SecurityGroupRule")]
    assert any("remote_group" in part.properties for part in beside)
    assert [part.properties.get("description") for part in beside if "description" in part.properties] == ["for people"]


def test_what_stands_in_for_a_network_is_referred_to_and_nothing_of_it_is_made(world):
    saved = world.protected()
    world.networking.remove()
    other = world.cloud.networks.add("alpha", "networks", name="other")
    subnet = world.cloud.networks.add("alpha", "subnets", network_id=other["id"], cidr="10.91.0.0/24")
    mapping = {("network", world.ids["net"]): other["id"]}
    parts = world.restored(saved, mapping)
    assert "Net" not in types(parts) and "Subnet" not in types(parts)
    given = {part.original_id: part.value for part in parts if not hasattr(part, "type")}
    assert given[world.ids["near"]] == subnet["id"]
    port = next(part for part in parts if part.original_id == world.ids["address"])
    assert port.properties["network"] == reference(world.ids["net"], or_else=other["id"])
    assert any("10.93.0.0/24" in warning for warning in world.planned(saved, mapping).warnings)


def test_a_network_of_others_is_found_by_its_name_in_another_cloud(world):
    saved = world.protected()
    world.networking.remove()
    del world.cloud.things["network"][world.external]
    new = world.outside("outside")
    given = {part.original_id: part.value for part in world.restored(saved) if not hasattr(part, "type")}
    assert given[world.external] == new
    world.outside("outside")  # two of that name: nobody can tell
    assert [type(one) for one in world.planned(saved).conflicts] == [errors.InvalidInput]
    with pytest.raises(errors.InvalidInput, match="outside"):
        world.restoring(saved)
    mapped = {("network", world.external): new}
    assert world.planned(saved, mapped).conflicts == []


def test_a_quota_that_is_too_small_is_told_before_anything_is_made(world):
    saved = world.protected()
    world.networking.remove()
    assert any("1 router" in warning for warning in world.planned(saved).warnings)
    world.cloud.quotas["security_group"] = 3
    with pytest.raises(errors.Conflict, match="security_group"):
        world.restoring(saved)
    assert len(world.planned(saved).conflicts) == 1


def test_another_project_gets_networks_of_its_own(world):
    saved = world.protected()
    tenant = world.cloud.open("beta", pause=world.cloud.clock.pass_time)
    made = built(world.cloud, tenant, world.restored(saved, tenant=tenant))
    assert world.cloud.things["network"][made[world.ids["net"]]]["project_id"] == tenant.project_id


def test_rules_that_were_changed_are_told_and_stay(world):
    saved = world.protected()
    rule = {"security_group_id": world.ids["web"], "direction": "ingress", "protocol": "udp"}
    world.tenant.network.post("/security-group-rules", json={"security_group_rule": rule})
    assert any("shopnet-web" in warning for warning in world.planned(saved).warnings)
    assert world.restored(saved) == []


def test_an_address_outside_is_asked_for_only_on_request(world):
    saved = world.protected()
    world.networking.remove()
    for wanted, has in (("any", False), ("same", True)):
        parts = world.restored(saved, floating_addresses=wanted)
        (floating,) = (part for part in parts if getattr(part, "type", "").endswith("FloatingIP"))
        assert ("floating_ip_address" in floating.properties) is has


def test_a_network_with_a_larger_mtu_than_this_cloud_has_is_left_to_the_cloud(world):
    saved = world.protected()
    world.networking.remove()
    world.cloud.things["network"][world.external]["mtu"] = 1300
    net = next(part for part in world.restored(saved) if part.original_id == world.ids["net"])
    assert "mtu" not in net.properties["value_specs"]
    assert any("1400" in warning for warning in world.planned(saved).warnings)


def test_in_networks_of_others_no_addresses_are_chosen(world):
    shared = world.cloud.networks.add("admin", "networks", name="shared", shared=True)["id"]
    subnet = world.cloud.networks.add("admin", "subnets", network_id=shared, cidr="10.95.0.0/24", shared=True)["id"]
    ports = [
        world.tenant.network.post("/ports", json={"port": {"network_id": shared, "name": name}}).json()["port"]["id"]
        for name in ("leg", "address")
    ]
    body = {"port_id": ports[0]}
    world.tenant.network.put(f"/routers/{world.ids['router']}/add_router_interface", json=body)
    saved = world.protected()
    parts = {part.original_id: part.properties for part in world.restored(saved, existing="new")}
    leg = next(found for id_, found in parts.items() if id_.endswith(":port") and subnet in id_)
    for found in (leg, parts[ports[1]]):
        assert found["fixed_ips"] == [{"subnet": reference(subnet, or_else=subnet)}]
        assert "mac_address" not in found


def test_a_plan_has_the_template_that_the_restore_gives_and_knows_the_old_names(world):
    saved = world.protected()
    world.networking.remove()
    assert list(world.planned(saved).template) == list(world.restored(saved))
    names = world.plugin.old_names(saved)
    topology = json.loads(saved.saved["topology"])
    assert {one["name"] for one in topology["networks"]} | {"outside"} == set(names["network"].values())
    assert all(names[kind] for kind in ("subnet", "router", "security_group", "floating_ip"))


def test_what_is_made_has_the_names_of_the_mapping(world):
    saved = world.protected()
    world.networking.remove()
    old = json.loads(saved.saved["topology"])["networks"][0]["name"]
    made = world.restored(saved, {("names", old): "renamed"})
    assert "renamed" in [part.properties.get("name") for part in made if hasattr(part, "properties")]

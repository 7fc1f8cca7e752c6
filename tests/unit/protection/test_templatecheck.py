# SPDX-License-Identifier: Apache-2.0
"""Is every reference of a template that leads nowhere named, and none that leads somewhere?"""

import pytest

from karbor.model.resource import ResourceKey
from karbor.protection.outlook import Outlook
from karbor.protection.target import Target
from karbor.protection.templatecheck import Part, check_template
from karbor.protection.world import World
from karbor.sdk.mapping import WorldMap
from karbor.sdk.template import HeatParameter, HeatResource, reference
from karbor.sdk.testing.memorycloud import MemoryCloud

SERVER = ResourceKey("OS::Nova::Server", "server-1")
VOLUME = ResourceKey("OS::Cinder::Volume", "volume-1")


class Site:
    def __init__(self, mapping=None):
        self.cloud = MemoryCloud()
        tenant = self.cloud.open("alpha")
        self.target = Target(lambda: tenant)
        self.world = World(WorldMap.parse(mapping or {}), {"network": {"net-1": "inner"}}, {})

    def port(self, network="net-1", subnet=None):
        """A port of the server, whose plug-in asks what stands in for its network."""
        here = self.world.mapped(SERVER, "network", network)
        given = {"network": reference(network, or_else=here)}
        if subnet:
            at = reference(subnet, or_else=self.world.mapped(SERVER, "subnet", subnet))
            given["fixed_ips"] = [{"subnet": at}]
        return Part(SERVER, "web", HeatResource("port-1", "OS::Neutron::Port", given))

    def checked(self, *parts, unclear=()):
        found = Outlook()
        check_template(parts, unclear, self.world, self.target, found)
        return found


def test_what_is_neither_here_nor_brought_back_is_named_by_its_old_name():
    found = (site := Site()).checked(site.port())
    (entry,) = found.answer["conflicts"]
    assert (entry["type"], entry["id"]) == (SERVER.type, SERVER.id)
    assert entry["reason"].startswith("web needs the network inner, which is not here")
    assert '{"network": {"inner": "..."}}' in entry["next_action"]
    assert found.answer["template"] is None


def test_a_subnet_of_a_network_that_is_missing_is_not_named_as_well():
    site = Site()
    assert len(site.checked(site.port(subnet="subnet-1")).conflicts) == 1


def test_a_subnet_alone_is_named():
    site = Site()
    net = site.cloud.networks.add("alpha", "networks", name="here")
    (entry,) = site.checked(site.port(net["id"], "subnet-1")).answer["conflicts"]
    assert "the subnet subnet-1" in entry["reason"]


def test_what_is_here_or_brought_back_is_in_nobodys_way():
    site = Site()
    net = site.cloud.networks.add("alpha", "networks", name="here")
    brought = Part(SERVER, "net", HeatResource("net-1", "OS::Neutron::Net", {"name": "inner"}))
    for parts in ([site.port(net["id"])], [site.port(), brought]):
        found = site.checked(*parts)
        assert found.conflicts == []
        assert len(found.answer["template"]["resources"]) == len(parts)


@pytest.mark.parametrize("unclear", [[], [VOLUME]])
def test_what_a_resource_that_is_not_clear_may_bring_back_is_not_named(unclear):
    attached = HeatResource("x", "OS::Cinder::VolumeAttachment", {"volume_id": reference("volume-1")})
    found = Site().checked(Part(SERVER, "web", attached), unclear=unclear)
    assert len(found.conflicts) == 1 - len(unclear)
    assert found.answer["template"] is None


def test_two_parts_that_bring_back_the_same_do_not_fit_together():
    parts = [Part(VOLUME, "data", HeatParameter("volume-1", "?")) for _ in range(2)]
    server = Part(SERVER, "web", HeatResource("server-1", "OS::Nova::Server", {"volume": reference("volume-1")}))
    assert "twice" in Site().checked(*parts, server).answer["conflicts"][0]["reason"]


def test_without_anything_for_heat_there_is_no_template():
    found = Site().checked(Part(VOLUME, "data", HeatParameter("volume-1", "?")))
    assert (found.conflicts, found.answer["template"]) == ([], None)

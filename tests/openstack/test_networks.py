# SPDX-License-Identifier: Apache-2.0
"""Do the networks of a project come back from the real Neutron, through the real Heat or without, as they were?"""

import contextlib
import uuid

import pytest

from karbor.clients.heat import HeatStacks
from karbor.common.clock import Clock
from karbor.heat.direct import DirectBuilder
from karbor.heat.stack import StackBuilder
from karbor.heat.template import assemble
from karbor.model.checkpoint import SavedResource
from karbor.model.resource import Resource
from karbor.plugins.resources.network_protection import NetworkProtection as Plugin
from karbor.sdk.environment import Environment
from karbor.sdk.testing.work import TwinWork
from tests.support.networking import Networking

#: Two runs at once must not meet.
PREFIX = f"shopnet-{uuid.uuid4().hex[:8]}"
STACK = f"karbor-test-{PREFIX}"


@pytest.fixture
def networking(tenant):
    """The networks of an application, and a network that leads outside, of somebody else."""
    admin, cloud = tenant("admin"), tenant("other")
    body = {"network": {"name": f"outside-{PREFIX}", "router:external": True}}
    external = admin.network.post("/networks", json=body).json()["network"]["id"]
    subnet = {"network_id": external, "cidr": "203.0.113.0/24", "ip_version": 4, "enable_dhcp": False}
    found = Networking(cloud, external, PREFIX)
    with contextlib.ExitStack() as undo:
        undo.callback(admin.network.delete, f"/networks/{external}")
        admin.network.post("/subnets", json={"subnet": subnet})
        undo.callback(found.remove)
        yield found.make()


def by_heat(cloud):
    """As where a cloud has Heat."""
    return StackBuilder(HeatStacks(cloud), Clock(), lambda: None)


def directly(cloud):
    """As where it has none."""
    return DirectBuilder(cloud, str(uuid.uuid4()), Clock(), lambda: None)


@pytest.mark.parametrize("way", [by_heat, directly])
def test_networks_that_were_deleted_come_back_as_they_were(networking, way):
    cloud = networking.cloud
    plugin = Plugin(Plugin.Settings(), Environment("here", "/state"))
    resource = Resource("OS::Neutron::Network", cloud.project_id, "Network Topology")
    protecting = TwinWork("protect", resource, options=Plugin.Protect.parse({}), cloud=cloud)
    before = networking.found(protecting)
    saved = SavedResource(protecting.key.text, "karbor-network-protection-plugin", plugin.protect(protecting).saved, {})
    networking.remove()
    restoring = TwinWork("restore", resource, options=Plugin.Restore.parse({}), saved=saved, cloud=cloud)
    restoring.results["restore_prepare"] = plugin.restore_prepare(restoring)
    template = assemble(plugin.restore(restoring).template, description="networks")
    builder = way(cloud)
    try:
        builder.build(STACK, template, report=lambda _now: None, timeout_minutes=20)
        after = networking.found(protecting)
        closing = {"direction": "egress", "ethertype": "IPv4", "remote_ip_prefix": "127.0.0.1/32"}
        quiet = next(one for one in after["security_groups"] if one["name"] == f"{PREFIX}-quiet")
        assert quiet["rules"] == [closing]  # Heat cannot make a group without any
        quiet["rules"] = []
        assert after == before
    finally:
        builder.remove(STACK, template)

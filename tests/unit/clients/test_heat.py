# SPDX-License-Identifier: Apache-2.0
"""Does the client of Heat keep what Stacks promises, with a Heat that really builds?"""

import pytest

from karbor.clients.heat import HeatStacks
from karbor.model import errors
from karbor.sdk.testing.memorycloud import MemoryCloud
from tests.support.clock import TwinClock

NET = {
    "heat_template_version": "2018-08-31",
    "parameters": {"cidr": {"type": "string", "default": "10.0.0.0/24"}},
    "resources": {
        "sub": {
            "type": "OS::Neutron::Subnet",
            "properties": {"network": {"get_resource": "net"}, "cidr": {"get_param": "cidr"}},
        },
        "net": {"type": "OS::Neutron::Net", "properties": {"name": "inner"}},
    },
}


class World:
    """A cloud with Heat and the stacks of one project of it."""

    def __init__(self):
        self.cloud = MemoryCloud(clock=TwinClock(), latency=5)
        self.stacks = HeatStacks(self.cloud.open("alpha", pause=self.cloud.clock.pass_time))
        self.others = HeatStacks(self.cloud.open("beta", pause=self.cloud.clock.pass_time))

    def create(self, document=NET):
        return self.stacks.create("mine", document, tags=("karbor",), timeout_minutes=5)


@pytest.fixture
def world():
    return World()


def test_a_stack_is_built_and_its_resources_are_told(world):
    stack_id = world.create()
    assert world.stacks.get(stack_id).status == "CREATE_IN_PROGRESS"
    world.cloud.clock.pass_time(5)
    assert world.stacks.find("mine").status == "CREATE_COMPLETE"
    built = {one.name: one for one in world.stacks.resources(stack_id)}
    assert set(built) == {"net", "sub"}
    subnet = world.cloud.things["subnet"][built["sub"].physical_id]
    assert subnet["network_id"] == built["net"].physical_id


def test_a_name_in_use_is_a_conflict(world):
    world.create()
    with pytest.raises(errors.Conflict):
        world.create()


def test_a_template_that_heat_refuses_is_the_users_to_mend(world):
    wrong = {"resources": {"a": {"type": "OS::Neutron::Net", "properties": {"name": {"get_resource": "b"}}}}}
    with pytest.raises(errors.InvalidInput):
        world.create(wrong)
    assert world.stacks.find("mine") is None


def test_what_cannot_be_built_says_why(world):
    stack_id = world.create({"resources": {"a": {"type": "OS::No::Such", "properties": {}}}})
    world.cloud.clock.pass_time(5)
    assert world.stacks.get(stack_id).status == "CREATE_FAILED"
    (one,) = world.stacks.resources(stack_id)
    assert one.status == "CREATE_FAILED"
    assert "OS::No::Such" in one.reason


def test_a_deleted_stack_is_gone_by_name_with_all_it_built(world):
    stack_id = world.create()
    world.cloud.clock.pass_time(5)
    for _ in range(2):
        world.stacks.delete(stack_id)
        world.cloud.clock.pass_time(5)
    assert world.stacks.find("mine") is None
    assert not world.cloud.things["network"]


def test_stacks_of_others_are_not_seen(world):
    stack_id = world.create()
    assert world.others.find("mine") is None
    assert world.others.get(stack_id) is None
    world.others.delete(stack_id)
    assert world.stacks.find("mine") is not None

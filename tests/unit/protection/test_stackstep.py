# SPDX-License-Identifier: Apache-2.0
"""Is what plug-ins leave to Heat built once, shown as it grows, exported where the user wants it, and taken back?"""

import pytest
import yaml

from karbor.heat.options import StackOptions
from karbor.model import errors
from karbor.protection.stackstep import StackStep
from karbor.sdk.template import HeatParameter, HeatResource, reference
from karbor.sdk.testing.memory_stacks import MemoryStacks
from tests.support.clock import TwinClock

PORT = HeatResource("p", "OS::Neutron::Port", {"network": reference("n", or_else="net-here")}, shown=False)
SERVER = HeatResource("s", "OS::Nova::Server", {"volume": reference("v"), "port": reference("p")})
VOLUME = HeatParameter("v", "new-volume")


def results(*parts):
    """As the steps of three resources and of the engine leave them."""
    found = {f"T#{part.original_id}:restore": {"new_id": "", "template": [part.to_dict()]} for part in parts}
    return {**found, "T#x:restore": {"new_id": "x", "result": {}}, "finish": None}


class World:
    """A step over a twin of Heat, what it showed and what it put away."""

    def __init__(self, faults=None, **options):
        self.stacks = MemoryStacks(faults)
        self.clock = TwinClock()
        self.shown = []
        self.objects = {}
        self.step = StackStep(
            self.stacks,
            StackOptions.parse(options),
            "restore-id",
            clock=self.clock,
            check=lambda: None,
            show=lambda *told: self.shown.append(told),
            put=self.put,
            pause=self.clock.pass_time,
        )

    def put(self, container, name, content):
        self.objects[container, name] = content

    def build(self, *parts):
        return self.step.build(results(*parts), description="a restore")


def test_new_ids_come_by_the_original_ones():
    found = World().build(SERVER, VOLUME, PORT)
    assert found["stack"] == "karbor-restore-restore-id"
    assert set(found["new_ids"]) == {"s", "p"}


def test_only_what_users_know_is_shown():
    world = World()
    found = world.build(SERVER, VOLUME, PORT)
    assert {type_ for type_, *_ in world.shown} == {"OS::Nova::Server"}
    assert world.shown[-1] == ("OS::Nova::Server", found["new_ids"]["s"], "available", "")


def test_a_restore_that_leaves_nothing_to_heat_makes_no_stack():
    world = World()
    assert world.build(VOLUME) == {}
    assert world.stacks.calls == []


def test_the_template_is_exported_before_anything_is_built():
    world = World(faults={"server_s": "no host"}, export_to="mine/it.yaml")
    with pytest.raises(errors.StepFailed, match="no host"):
        world.build(SERVER, VOLUME, PORT)
    template = yaml.safe_load(world.objects["mine", "it.yaml"])
    assert set(template["resources"]) == {"server_s", "port_p"}


def test_a_template_can_be_had_without_a_stack():
    world = World(export_to="mine/deep/it.yaml", build="no")
    assert world.build(SERVER, VOLUME, PORT)["new_ids"] == {}
    assert list(world.objects) == [("mine", "deep/it.yaml")]
    world.step.remove()
    assert world.stacks.calls == []


@pytest.mark.parametrize("place", ["nothing", "/name", "container/"])
def test_a_place_that_is_none_is_refused(place):
    with pytest.raises(errors.InvalidInput, match="CONTAINER/NAME"):
        World(export_to=place).build(SERVER, VOLUME, PORT)


def test_what_was_built_can_be_taken_back_twice():
    world = World()
    world.build(SERVER, VOLUME, PORT)
    world.step.remove()
    world.step.remove()
    assert world.stacks.find("karbor-restore-restore-id") is None

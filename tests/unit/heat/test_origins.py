# SPDX-License-Identifier: Apache-2.0
"""Are the stacks that made things of a tenant found, with few requests, and kept without anything hidden?"""

import json

import pytest

from karbor.clients.heat import HeatStacks
from karbor.heat.origins import Origin, origins
from karbor.sdk.testing.memorycloud import MemoryCloud
from tests.support.clock import TwinClock

NET = {"type": "OS::Neutron::Net", "properties": {"name": "x"}}
VOLUME = {"type": "OS::Cinder::Volume", "properties": {"size": 1}}
INNER = {"heat_template_version": "2018-08-31", "resources": {"deep": VOLUME}}
SECRET = {
    "heat_template_version": "2018-08-31",
    "parameters": {
        "key": {"type": "string", "hidden": True},
        "spare": {"type": "string", "hidden": True, "default": "nobody knows"},
        "size": {"type": "number", "default": 1},
    },
    "resources": {"disk": {"type": "OS::Cinder::Volume", "properties": {"size": {"get_param": "size"}}}},
}


class World:
    """The stacks of a tenant."""

    def __init__(self):
        self.memory = MemoryCloud(clock=TwinClock())
        self.cloud = self.memory.open("alpha", pause=self.memory.clock.pass_time)
        self.stacks = HeatStacks(self.cloud)

    def launch(self, name, template, **launch):
        id_ = self.stacks.create(name, template, tags=(), timeout_minutes=5, launch=launch)
        assert self.stacks.get(id_).status == "CREATE_COMPLETE"
        return {one.name: one.physical_id for one in self.stacks.resources(id_)}

    def asked(self):
        return sum(count for (service, *_rest), count in self.memory.calls.items() if service == "orchestration")


@pytest.fixture
def world():
    return World()


def test_the_stack_of_a_volume_is_kept_as_it_was_launched(world):
    made = world.launch("data", SECRET, parameters={"key": "much hidden", "size": 2})
    world.launch("nets", {"resources": {"n": NET}})
    (found,) = origins(world.cloud, {made["disk"]}, networks=False)
    assert (found.name, found.parameters, found.hidden) == ("data", {"size": 2}, ("key",))
    assert [(one.id, one.name, one.type) for one in found.members] == [(made["disk"], "disk", "OS::Cinder::Volume")]
    kept = json.loads(json.dumps(found.to_dict()))
    assert "much hidden" not in json.dumps(kept)
    assert Origin.from_dict({**kept, "later": 1}) == found


def test_stacks_with_networks_are_kept_with_the_networks(world):
    world.launch("nets", {"resources": {"n": NET}})
    assert [one.name for one in origins(world.cloud, set(), networks=True)] == ["nets"]
    assert origins(world.cloud, set(), networks=False) == []


def test_what_a_stack_below_made_is_known_for_that(world):
    outer = {"resources": {"group": {"type": "inner.yaml", "properties": {}}}}
    world.launch("outer", outer, files={"inner.yaml": json.dumps(INNER)})
    (volume,) = world.memory.things["volume"]
    (found,) = origins(world.cloud, {volume}, networks=False)
    assert [(one.name, one.nested) for one in found.members] == [("group", False), ("deep", True)]
    assert "inner.yaml" in found.files


def test_a_stack_that_is_gone_is_none(world):
    made = world.launch("data", {"resources": {"v": VOLUME}})
    world.stacks.delete(world.stacks.find("data").id)
    assert origins(world.cloud, set(made.values()), networks=True) == []


def test_it_costs_a_page_a_look_at_each_and_the_whole_of_those_that_matter(world):
    made = world.launch("data", SECRET, parameters={"key": "k"})
    for number in range(20):
        world.launch(f"other-{number}", {"resources": {"n": NET}})
    world.memory.calls.clear()
    origins(world.cloud, set(made.values()), networks=False)
    assert world.asked() == 1 + 21 + 3


def test_every_page_of_stacks_is_read(world):
    for number in range(5):
        world.launch(f"stack-{number}", {"resources": {"n": NET}})
    assert len(origins(world.cloud, set(), networks=True, page=2)) == 5


def test_what_heat_veils_is_hidden_whatever_the_template_says(world):
    environment = {"parameter_defaults": {"deep": "******", "size": 3}}
    made = world.launch("data", SECRET, parameters={"key": "k"}, environment=environment)
    (found,) = origins(world.cloud, set(made.values()), networks=False)
    assert found.hidden == ("deep", "key")
    assert found.environment["parameter_defaults"] == {"size": 3}


def test_hidden_parameters_of_the_old_format_are_hidden_too(world):
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Parameters": {"Key": {"Type": "String", "NoEcho": "true"}},
        "resources": {"v": VOLUME},
    }
    made = world.launch("old", template)
    (found,) = origins(world.cloud, set(made.values()), networks=False)
    assert found.hidden == ("Key",)

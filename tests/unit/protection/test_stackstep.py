# SPDX-License-Identifier: Apache-2.0
"""Is what plug-ins leave to Heat built once, shown as it grows, exported where the user wants it, and taken back?"""

import pytest
import yaml

from karbor.clients.heat import HeatStacks
from karbor.heat.direct import DirectBuilder
from karbor.heat.options import StackOptions
from karbor.heat.stack import StackBuilder
from karbor.model import errors
from karbor.protection.stackstep import StackStep, builder_for
from karbor.sdk.template import HeatParameter, HeatResource, reference
from karbor.sdk.testing.memorycloud import MemoryCloud
from tests.support.clock import TwinClock

SERVER, VOLUME, PORT = "s", "v", "p"


def parts(network_id, volume_id):
    """By their original ids."""
    disks = [{"volume_id": reference("v"), "boot_index": 0}]
    server = {"name": "web", "networks": [{"port": reference("p")}], "block_device_mapping_v2": disks}
    port = {"network": reference("n", or_else=network_id)}
    return {
        "p": HeatResource("p", "OS::Neutron::Port", port, shown=False),
        "s": HeatResource("s", "OS::Nova::Server", server),
        "v": HeatParameter("v", volume_id),
    }


def results(*parts):
    """As the steps of three resources and of the engine leave them."""
    found = {f"T#{part.original_id}:restore": {"new_id": "", "template": [part.to_dict()]} for part in parts}
    return {**found, "T#x:restore": {"new_id": "x", "result": {}}, "finish": None}


class World:
    """A step over a twin of Heat, what it showed and what it put away."""

    def __init__(self, faults=None, **options):
        self.clock = TwinClock()
        self.cloud = MemoryCloud(clock=self.clock)
        self.cloud.orchestration.faults = dict(faults or {})
        net = self.cloud.networks.add("alpha", "networks", name="here")
        self.parts = parts(net["id"], self.cloud.volumes.add("alpha", "filled")["id"])
        self.stacks = HeatStacks(self.cloud.open("alpha", pause=self.clock.pass_time))
        self.shown = []
        self.objects = {}
        builder = StackBuilder(self.stacks, self.clock, lambda: None, pause=self.clock.pass_time)
        self.step = StackStep(
            builder,
            StackOptions.parse(options),
            "restore-id",
            show=lambda *told: self.shown.append(told),
            put=self.put,
        )

    def put(self, container, name, content):
        self.objects[container, name] = content

    def build(self, *ids):
        return self.step.build(self.results(ids), description="a restore")

    def remove(self, *ids):
        self.step.remove(self.results(ids), description="a restore")

    def results(self, ids):
        return results(*(self.parts[id_] for id_ in ids))

    def asked(self):
        return sum(count for (service, *_request), count in self.cloud.calls.items() if service == "orchestration")


def test_new_ids_come_by_the_original_ones():
    found = World().build(SERVER, VOLUME, PORT)
    assert found["stack"] == "karbor-restore-restore-id"
    assert set(found["new_ids"]) == {"s", "p"}


def test_only_what_users_know_is_shown():
    world = World()
    found = world.build(SERVER, VOLUME, PORT)
    assert {type_ for type_, *_ in world.shown} == {"OS::Nova::Server"}
    assert world.shown[-1] == ("OS::Nova::Server", found["new_ids"]["s"], "available", "")


def test_each_change_is_shown_once():
    world = World()
    world.build(SERVER, VOLUME, PORT)
    assert len(world.shown) == len(set(world.shown))


def test_a_restore_that_leaves_nothing_to_heat_makes_no_stack():
    world = World()
    assert world.build(VOLUME) == {}
    assert world.asked() == 0


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
    world.remove(SERVER, VOLUME, PORT)
    assert world.asked() == 0


@pytest.mark.parametrize("place", ["nothing", "/name", "container/"])
def test_a_place_that_is_none_is_refused(place):
    with pytest.raises(errors.InvalidInput, match="CONTAINER/NAME"):
        World(export_to=place).build(SERVER, VOLUME, PORT)


def test_what_was_built_can_be_taken_back_twice():
    world = World()
    world.build(SERVER, VOLUME, PORT)
    world.remove(SERVER, VOLUME, PORT)
    world.remove(SERVER, VOLUME, PORT)
    assert world.stacks.find("karbor-restore-restore-id") is None


def test_what_was_never_whole_is_taken_back_too():
    world = World()
    world.build(SERVER, VOLUME, PORT)
    world.remove(SERVER, PORT)  # the volume's step never ended
    assert world.stacks.find("karbor-restore-restore-id") is None


@pytest.mark.parametrize(
    ("engine", "without", "builds"),
    [
        ("auto", (), StackBuilder),
        ("auto", ("orchestration",), DirectBuilder),
        ("direct", (), DirectBuilder),
        ("heat", (), StackBuilder),
    ],
)
def test_the_user_and_the_cloud_decide_what_builds(engine, without, builds):
    cloud = MemoryCloud(clock=TwinClock(), without=without).open("alpha")
    options = StackOptions.parse({"engine": engine})
    assert type(builder_for(cloud, options, "r", TwinClock(), lambda: None)) is builds


def test_heat_is_not_replaced_for_whoever_insists_on_it():
    cloud = MemoryCloud(clock=TwinClock(), without=("orchestration",)).open("alpha")
    with pytest.raises(errors.NotSupported, match="no Heat"):
        builder_for(cloud, StackOptions.parse({"engine": "heat"}), "r", TwinClock(), lambda: None)

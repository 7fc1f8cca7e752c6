# SPDX-License-Identifier: Apache-2.0
"""Are stacks of the user made again once whatever happens, in their place among the rest, and taken back?"""

import json

import pytest

from karbor.clients.heat import HeatStacks
from karbor.heat.options import StackOptions
from karbor.heat.origins import Origin, origins
from karbor.model import errors
from karbor.model.graph import Node, ResourceGraph
from karbor.model.resource import Resource, ResourceKey
from karbor.protection.originals import Originals, kept_origins, wanted
from karbor.protection.stackstep import StackStep, builder_for
from karbor.sdk.template import HeatParameter, HeatResource, reference
from karbor.sdk.testing.memorycloud import MemoryCloud
from tests.support.clock import TwinClock

SERVER, VOLUME = "OS::Nova::Server", "OS::Cinder::Volume"
RESTORE = "5f6e2c3a-8b1d-4c9e-9a70-1b2c3d4e5f60"
TEMPLATE = {
    "heat_template_version": "2018-08-31",
    "parameters": {"net": {"type": "string"}, "key": {"type": "string", "hidden": True}},
    "resources": {
        "port": {"type": "OS::Neutron::Port", "properties": {"network": {"get_param": "net"}}},
        "web": {
            "type": SERVER,
            "properties": {"name": "web", "image": "base", "networks": [{"port": {"get_resource": "port"}}]},
        },
        "data": {"type": VOLUME, "properties": {"name": "data", "size": 1}},
    },
}


class Killed(BaseException):
    """The process is no more."""


class World:
    """A stack of the user, lost; what plug-ins gave for what it made, for a network beside it and a volume by hand."""

    def __init__(self, engine="auto"):
        self.memory = MemoryCloud(clock=TwinClock(), latency=2)
        self.cloud = self.memory.open("alpha", pause=self.memory.clock.pass_time)
        self.stacks = HeatStacks(self.cloud)
        self.engine, self.shown, self.checks, self.kill = engine, {}, 0, None
        made = self._launched()
        self.origins = [Origin.from_dict(json.loads(json.dumps(one.to_dict()))) for one in
                        origins(self.cloud, {made["web"]}, networks=False)]  # fmt: skip
        for kind in ("stack", "server", "port", "network", "subnet"):
            self.memory.things[kind].clear()
        copy = self.memory.volumes.add("alpha", "restored", b"precious", metadata={"karbor": "restored"})["id"]
        hand = self.memory.volumes.add("alpha", "by hand")["id"]
        self.ids = {**made, "copy": copy, "hand": hand}
        self.before = self.things()
        self.results = {f"T#{part.original_id}:restore": {"new_id": "", "template": [part.to_dict()]}
                        for part in self._parts(made, copy, hand)}  # fmt: skip

    def _launched(self):
        image = self.memory.images.add("alpha", "base", b"base")
        TEMPLATE["resources"]["web"]["properties"]["image"] = image["id"]
        self.image = self.memory.images.add("alpha", "restored root", b"used")["id"]
        self.net = self.memory.networks.add("alpha", "networks", name="beside")["id"]
        launch = {"parameters": {"net": self.net, "key": "hidden"}}
        id_ = self.stacks.create("shop", TEMPLATE, tags=(), timeout_minutes=5, launch=launch)
        self.memory.clock.pass_time(3)
        assert self.stacks.get(id_).status == "CREATE_COMPLETE"
        return {one.name: one.physical_id for one in self.stacks.resources(id_)}

    def _parts(self, made, copy, hand):
        web = made["web"]
        attachment = {"instance_uuid": reference(web), "volume_id": reference("hand")}
        return [
            HeatResource(self.net, "OS::Neutron::Net", {"name": "beside"}),
            HeatResource(f"{web}:p", "OS::Neutron::Port", {"network": reference(self.net)}, shown=False),
            HeatResource(web, SERVER, {"image": reference("root"), "networks": [{"port": reference(f"{web}:p")}]}),
            HeatParameter("root", self.image),
            HeatParameter(made["data"], copy),
            HeatParameter("hand", hand),
            HeatResource(f"{web}:hand", "OS::Cinder::VolumeAttachment", attachment, shown=False),
        ]

    def things(self):
        return {kind: set(things) for kind, things in self.memory.things.items() if things and kind != "stack"}

    def check(self):
        self.checks += 1
        if self.checks == self.kill:
            raise Killed

    def step(self):
        """A new one each time, as after a crash."""
        options = StackOptions.parse({"engine": self.engine, "stack_parameters": '{"shop": {"key": "given"}}'})
        clock = self.memory.clock
        rest = (options, RESTORE, clock, self.check)
        return StackStep(
            builder_for(self.cloud, *rest, pause=clock.pass_time),
            options,
            RESTORE,
            show=lambda type_, id_, status, _reason: self.shown.update({(type_, id_): status}),
            put=lambda *_: None,
            originals=Originals(self.cloud, self.origins, *rest, pause=clock.pass_time),
            hide=lambda *one: self.shown.pop(one, None),
        )

    def build(self):
        return self.step().build(self.results, description="a restore")

    def remove(self):
        self.step().remove(self.results, description="a restore")

    def is_whole(self):
        names = [one["stack_name"] for one in self.memory.things["stack"].values()]
        beside = [] if self.engine == "direct" else [f"karbor-restore-{RESTORE}", f"karbor-restore-{RESTORE}-after"]
        assert sorted(names) == sorted(["shop", *beside])
        (server,) = self.memory.things["server"].values()
        (port,) = self.memory.things["port"].values()
        (net,) = self.memory.things["network"].values()
        assert (port["device_id"], port["network_id"]) == (server["id"], net["id"])
        assert [one["id"] for one in server["os-extended-volumes:volumes_attached"]] == [self.ids["hand"]]
        assert self.ids["copy"] not in self.memory.things["volume"]
        data = {one["name"]: id_ for id_, one in self.memory.things["volume"].items()}["data"]
        return self.memory.contents[data] == b"precious"


@pytest.fixture(params=["auto", "direct"])
def world(request):
    return World(request.param)


def test_a_stack_comes_back_between_what_it_needs_and_what_needs_it(world):
    ids = world.build()["new_ids"]
    assert world.is_whole()
    assert world.shown[SERVER, ids[world.ids["web"]]] == "available"
    assert world.build()["new_ids"] == ids


def test_a_build_that_is_killed_anywhere_is_gone_on_with(world):
    world.build()
    for kill in range(1, world.checks + 1, 3):
        other = World(world.engine)
        other.kill = kill
        with pytest.raises(Killed):
            other.build()
        other.kill = None
        other.build()
        assert other.is_whole(), kill


def test_a_build_that_is_killed_anywhere_is_taken_back_completely(world):
    world.build()
    for kill in range(2, world.checks + 1, 3):
        other = World(world.engine)
        other.kill = kill
        with pytest.raises(Killed):
            other.build()
        other.kill = None
        other.remove()
        gone = {"volume": {other.ids["copy"]}} if other.ids["copy"] not in other.memory.things["volume"] else {}
        left = {kind: ids - gone.get(kind, set()) for kind, ids in other.before.items()}
        assert other.things() == left, kind_of(other, left)
        other.remove()


def kind_of(world, left):
    return {kind: ids ^ left.get(kind, set()) for kind, ids in world.things().items()}


def test_an_answer_of_heat_that_was_lost_makes_no_second_stack(world):
    world.memory.fail("orchestration", "POST", "/stacks$", 503, after=True, times=1)
    for _try in range(4):
        try:
            world.build()
            break
        except errors.KarborError:
            continue
    assert world.is_whole()


def test_another_stack_of_the_name_is_left_alone():
    world = World()
    other = {"resources": {"n": {"type": "OS::Neutron::Net", "properties": {}}}}
    world.stacks.create("shop", other, tags=("mine",), timeout_minutes=5)
    world.memory.clock.pass_time(3)
    world.build()
    assert world.stacks.find(f"shop-{RESTORE}").status == "CREATE_COMPLETE"
    world.remove()
    assert world.stacks.find(f"shop-{RESTORE}") is None
    assert world.stacks.find("shop").status == "CREATE_COMPLETE"


def test_a_volume_that_no_restore_made_is_never_removed(world):
    world.memory.things["volume"][world.ids["copy"]]["metadata"] = {}
    world.build()
    assert world.ids["copy"] in world.memory.things["volume"]


def graph_of(*resources):
    return ResourceGraph([Node(ResourceKey(one.type, one.id), one) for one in resources])


def test_a_heat_that_does_not_answer_keeps_nobody_from_protecting():
    world = World()
    world.memory.fail("orchestration", "GET", "/stacks", 403, times=100)
    graph = graph_of(Resource(SERVER, world.ids["web"], "web"))
    assert kept_origins(lambda: world.cloud, graph) == {"stacks": []}
    assert kept_origins(None, graph) == {"stacks": []}


def test_only_whoever_wants_it_gets_stacks_again():
    class Record:
        stacks = [World().origins[0].to_dict()]

    assert wanted(Record, StackOptions.parse({})) == []
    assert [one.name for one in wanted(Record, StackOptions.parse({"rebuild_stacks": "yes"}))] == ["shop"]


def test_without_heat_no_stack_can_be_made_again():
    world = World()
    memory = MemoryCloud(clock=TwinClock(), without=("orchestration",))
    options = StackOptions.parse({"rebuild_stacks": "yes"})
    own = Originals(memory.open("alpha"), world.origins, options, RESTORE, memory.clock, lambda: None)
    ((origin, refusal),) = own.refusals(graph_of(Resource(SERVER, world.ids["web"], "web")))
    assert origin.name == "shop" and "no Heat" in refusal.message


def test_what_heat_says_is_told_without_hidden_values(world):
    world.memory.orchestration.faults["web"] = "Parameter 'key' is invalid: 'given' is too short (given)"
    with pytest.raises(errors.StepFailed) as failed:
        world.build()
    told = failed.value.operator_text()
    assert "is invalid: '***' is too short" in told and "given" not in told
    assert failed.value.__cause__ is None

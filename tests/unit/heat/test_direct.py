# SPDX-License-Identifier: Apache-2.0
"""Is a template built without Heat, once whatever happens, explained when it fails, and removed completely?"""

import pytest

from karbor.common import faultpoints
from karbor.heat.direct import KINDS, DirectBuilder
from karbor.heat.template import assemble
from karbor.model import errors
from karbor.sdk.template import HeatResource, reference
from karbor.sdk.testing.memorycloud import MemoryCloud
from tests.support import everything
from tests.support.clock import TwinClock

RESTORE = "5f6e2c3a-8b1d-4c9e-9a70-1b2c3d4e5f60"


class Killed(BaseException):
    """The process is no more."""


class World:
    """A tenant's cloud without Heat, and a template with everything."""

    def __init__(self, parts=None, *, latency=3):
        self.memory = MemoryCloud(clock=TwinClock(), latency=latency, without=("orchestration",))
        found = everything.parts(self.memory) if parts is None else parts
        self.template = assemble(found, description="all")
        self.before = self.things()
        self.reports = []
        self.stop = None
        self.cloud = self.memory.open("alpha", pause=self.memory.clock.pass_time)

    def things(self):
        return {kind: set(things) for kind, things in self.memory.things.items() if things}

    def check(self):
        if self.stop is not None and self.memory.clock.monotonic() >= self.stop:
            raise errors.Cancelled()

    @property
    def builder(self):
        """A new one each time, as after a crash."""
        clock = self.memory.clock
        return DirectBuilder(self.cloud, RESTORE, clock, self.check, pause=clock.pass_time)

    def build(self, minutes=60):
        return self.builder.build("it", self.template, report=self.reports.append, timeout_minutes=minutes)

    def remove(self):
        self.builder.remove("it", self.template)

    def one(self, kind, **fields):
        (found,) = [one for one in self.memory.things[kind].values() if all(one.get(k) == v for k, v in fields.items())]
        return found

    def made(self):
        """How many of each kind are there that were not before."""
        now = self.things()
        return {kind: len(ids - self.before.get(kind, set())) for kind, ids in now.items()}


@pytest.fixture
def world():
    return World()


@pytest.fixture
def killer():
    """Ends the process at a fault point: at that number, or at the first one behind a request that changed something.
    So no process gets farther than from one such request to the next."""

    class Killer:
        memory = None
        reached = 0
        at = None
        after_change = False

        def begin(self, memory, *, at=None, after_change=False):
            self.memory, self.reached, self.at, self.after_change = memory, 0, at, after_change
            self.before = self.changes()

        def changes(self):
            return sum(count for (_service, method, _path), count in self.memory.calls.items() if method != "GET")

        def __call__(self, name):
            self.reached += 1
            changed = self.after_change and self.changes() > self.before
            if self.reached == self.at or changed:
                raise Killed(name)

    found = Killer()
    yield found
    faultpoints.disarm()


def until_it_ends(killer, world, do):
    """How often it had to be begun."""
    for tries in range(1, 300):
        killer.begin(world.memory, after_change=True)
        try:
            do()
        except Killed:
            continue
        return tries
    raise AssertionError("it never comes to its end")


WHOLE = {
    "network": 1, "subnet": 2, "router": 1, "port": 3, "security_group": 2, "floatingip": 1, "volume": 1,
    "server": 2, "share": 1, "instance": 1, "security_group_rule": 7,
}  # fmt: skip


def test_everything_is_built_with_what_it_needs(world):
    ids = world.build()
    assert set(ids) == set(world.template.resources)
    assert {kind: count for kind, count in world.made().items() if count} == WHOLE
    server, net = world.one("server", name="web"), world.one("network", name="inner")
    assert net["description"] == "of the shop" and "shop" in net["tags"]
    assert world.one("subnet", name="near")["network_id"] == net["id"]
    port = world.one("port", name="one")
    assert port["device_id"] == server["id"] and port["fixed_ips"][0]["ip_address"] == "10.3.0.9"
    assert world.one("floatingip", floating_ip_address=everything.ADDRESS)["port_id"] == port["id"]
    assert server["metadata"] == {"role": "front"} and server["status"] == "ACTIVE"
    assert [one["id"] for one in server["os-extended-volumes:volumes_attached"]] == [
        world.one("volume", name="kept")["id"]
    ]
    second = world.one("server", name="db")
    assert world.one("volume", name="new")["attachments"][0]["server_id"] == second["id"]
    router = world.one("router")
    assert router["routes"] == [{"destination": "10.9.0.0/24", "nexthop": "10.3.0.20"}]
    assert sum(one["device_id"] == router["id"] for one in world.memory.things["port"].values()) == 2
    assert len(world.one("share")["_rules"]) == 2
    assert "orders" in world.one("instance")["name"]


def test_groups_come_back_with_just_their_rules(world):
    world.build()
    rules = {
        one["name"]: sorted(
            (rule["direction"], rule["protocol"] or "", rule["remote_ip_prefix"] or "", rule["remote_group_id"] or "")
            for rule in one["security_group_rules"]
        )
        for one in world.memory.things["security_group"].values()
    }
    web, data = world.one("security_group", name="web")["id"], world.one("security_group", name="data")["id"]
    assert rules["web"] == sorted(
        [
            ("egress", "", "127.0.0.1/32", ""),
            ("ingress", "0", "", data),
            ("ingress", "", "", web),
            ("ingress", "tcp", "", ""),
        ]
    )
    assert ("ingress", "", "", web) in rules["data"] and len(rules["data"]) == 3


def test_a_build_that_is_killed_behind_every_change_makes_nothing_twice(world, killer):
    faultpoints.arm(killer)
    assert until_it_ends(killer, world, world.build) > 40
    assert {kind: made for kind, made in world.made().items() if made} == WHOLE
    assert world.one("network", name="inner")["description"] == "of the shop"
    ids = world.build()
    assert set(ids) == set(world.template.resources) and world.build() == ids


def test_a_build_that_was_killed_can_be_removed_completely(killer):
    faultpoints.arm(killer)
    for at in range(3, 95, 13):
        world = World()
        killer.begin(world.memory, at=at)
        with pytest.raises(Killed):
            world.build()
        world.remove()
        assert world.things() == world.before, at


def test_a_removal_that_is_killed_behind_every_change_is_gone_on_with(world, killer):
    world.build()
    faultpoints.arm(killer)
    assert until_it_ends(killer, world, world.remove) > 15
    assert world.things() == world.before
    assert world.one("floatingip")["port_id"] is None


def test_progress_is_reported_with_ids(world):
    ids = world.build()
    assert {one.name: one.physical_id for one in world.reports[-1]} == dict(ids)
    assert {one.status for one in world.reports[-1]} == {"CREATE_COMPLETE"}
    seen = {one.status for report in world.reports for one in report}
    assert seen == {"INIT_COMPLETE", "CREATE_IN_PROGRESS", "CREATE_COMPLETE"}


def test_servers_boot_side_by_side(world):
    world.build()
    both = [
        report for report in world.reports
        if sum(one.name.startswith("server_") and one.status == "CREATE_IN_PROGRESS" for one in report) == 2
    ]  # fmt: skip
    assert both


def test_what_the_cloud_refuses_is_named_with_the_reason(world):
    world.memory.quotas["server"] = 1
    with pytest.raises(errors.StepFailed) as told:
        world.build()
    assert "OS::Nova::Server" in told.value.message and "Quota exceeded for instances" in told.value.message
    assert [one.name for one in world.reports[-1] if one.status == "CREATE_FAILED"]
    world.remove()
    assert world.things() == world.before


def test_a_server_that_ends_in_an_error_says_why(world):
    def spoil(report):
        for server in world.memory.things["server"].values():
            server.update(status="ERROR", fault={"message": "No valid host was found."})

    with pytest.raises(errors.StepFailed, match="No valid host was found"):
        world.builder.build("it", world.template, report=spoil, timeout_minutes=60)


def test_what_is_never_ready_is_given_up(world):
    world.memory.latency = 3600
    with pytest.raises(errors.StepFailed, match="not ready in the time"):
        world.build(minutes=10)
    assert world.memory.clock.monotonic() < 900


def test_a_fault_that_passes_is_not_the_end(world):
    world.memory.fail("compute", "POST", "/servers", 503, times=50)
    with pytest.raises(errors.Unavailable):
        world.build()
    world.memory.forgive()
    world.build()
    assert {kind: count for kind, count in world.made().items() if count} == WHOLE


def test_an_answer_that_was_lost_makes_no_second_one(world):
    world.memory.fail("compute", "POST", "/servers", 500, after=True)
    with pytest.raises(errors.KarborError):
        world.build()
    world.build()
    assert {kind: count for kind, count in world.made().items() if count} == WHOLE


def test_whoever_asks_for_the_end_gets_it(world):
    world.stop = 1
    with pytest.raises(errors.Cancelled):
        world.build()


def test_a_type_that_only_heat_knows_is_refused_before_anything_is_made():
    net = HeatResource("n", "OS::Neutron::Net", {"name": "x"})
    group = HeatResource("g", "OS::Heat::ResourceGroup", {"of": reference("n")})
    world = World([net, group])
    with pytest.raises(errors.NotSupported, match="OS::Heat::ResourceGroup"):
        world.build()
    assert world.things() == world.before


def test_an_attribute_can_be_referred_to():
    net = HeatResource("n", "OS::Neutron::Net", {"name": "x"})
    other = HeatResource("m", "OS::Neutron::Net", {"name": reference("n", attribute="name")})
    world = World([net, other])
    world.build()
    assert [one["name"] for one in world.memory.things["network"].values()] == ["x", "x"]


def test_the_template_has_every_type_that_is_known(world):
    assert {one["type"] for one in world.template.resources.values()} == set(KINDS)


def test_things_of_the_user_beside_it_stay(world):
    world.build()
    other = world.memory.networks.add("alpha", "networks", name="inner", description="of the shop")
    world.remove()
    assert set(world.memory.things["network"]) - world.before["network"] == {other["id"]}

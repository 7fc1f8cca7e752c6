# SPDX-License-Identifier: Apache-2.0
"""Is a stack built once, watched to its end, explained when it fails, and removed completely?"""

import pytest

from karbor.clients.heat import HeatStacks
from karbor.heat.stack import StackBuilder, plain
from karbor.heat.template import assemble
from karbor.model import errors
from karbor.sdk.template import HeatResource, reference
from karbor.sdk.testing.memorycloud import MemoryCloud
from tests.support.clock import TwinClock

NET = HeatResource("net", "OS::Neutron::Net", {"name": "inner"})
PORT = HeatResource("port", "OS::Neutron::Port", {"network": reference("net")})
SERVER = HeatResource("srv", "OS::Nova::Server", {"networks": [{"port": reference("port")}]})
TEMPLATE = assemble([SERVER, PORT, NET], description="three")


class World:
    """A builder over a twin of Heat, with what it reported."""

    def __init__(self, faults=None, stuck=()):
        self.clock = TwinClock()
        self.cloud = MemoryCloud(clock=self.clock)
        heat = self.cloud.orchestration
        heat.one_by_one, heat.faults, heat.stuck = True, dict(faults or {}), set(stuck)
        self.stacks = HeatStacks(self.cloud.open("alpha", pause=self.clock.pass_time))
        self.stop = None
        self.reports = []

    def asked(self, method, path):
        return self.cloud.calls["orchestration", method, path]

    def check(self):
        if self.stop is not None and self.clock.monotonic() >= self.stop:
            raise errors.Cancelled()

    @property
    def builder(self):
        return StackBuilder(self.stacks, self.clock, self.check, pause=self.clock.pass_time)

    def build(self, name="restore-1", timeout_minutes=60):
        return self.builder.build(name, TEMPLATE, report=self.reports.append, timeout_minutes=timeout_minutes)


def test_the_new_ids_come_by_the_names_of_the_template():
    world = World()
    found = world.build()
    assert set(found) == {"net_net", "port_port", "server_srv"}
    assert all(found.values())


def test_progress_is_reported_whenever_something_changed():
    world = World()
    world.build()
    seen = [tuple(one.status for one in report) for report in world.reports]
    assert len(set(seen)) >= 3
    assert set(seen[-1]) == {"CREATE_COMPLETE"}


def test_a_second_try_goes_on_with_the_same_stack():
    world = World()
    world.stop = 1
    with pytest.raises(errors.Cancelled):
        world.build()
    world.stop = None
    world.build()
    assert world.asked("POST", "/stacks") == 1


def test_a_failed_stack_names_what_failed_and_why_and_stays():
    world = World(faults={"port_port": "ResourceInError: resources.port_port: No more addresses (HTTP 409) (R: 1)"})
    with pytest.raises(errors.StepFailed) as told:
        world.build()
    assert "OS::Neutron::Port port: No more addresses" in told.value.message
    assert "OS::Nova::Server" not in told.value.message  # it was only aborted
    assert "HTTP" not in told.value.message
    assert world.stacks.find("restore-1").status == "CREATE_FAILED"


def test_a_stack_that_never_ends_is_given_up():
    world = World(stuck=["server_srv"])
    with pytest.raises(errors.StepFailed, match="within 10 minutes"):
        world.build(timeout_minutes=10)
    assert world.clock.monotonic() == pytest.approx(900, abs=1)


def test_removal_waits_until_everything_is_gone_and_may_be_repeated():
    world = World()
    world.build()
    world.builder.remove("restore-1", TEMPLATE)
    assert world.stacks.find("restore-1") is None
    world.builder.remove("restore-1", TEMPLATE)
    assert world.asked("DELETE", "/stacks/{name}") == 1


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ('ResourceInError: resources.a: In ERROR due to "No valid host"', 'In ERROR due to "No valid host"'),
        ("Conflict: resources.p: IP address in use. (HTTP 409) (Request-ID: req-1)", "IP address in use"),
        ("", ""),
    ],
)
def test_reasons_lose_what_only_heat_understands(reason, told):
    assert plain(reason) == told

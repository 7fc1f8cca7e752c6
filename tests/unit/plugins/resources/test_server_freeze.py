# SPDX-License-Identifier: Apache-2.0
"""Is a server frozen over all snapshots of its disks, and is what they show told honestly?"""

import pytest

from karbor.model import errors
from karbor.model.resource import Resource, ResourceKey
from karbor.plugins.resources import server_freeze
from karbor.plugins.resources.server_protection import ServerProtection as Plugin
from karbor.sdk.environment import Environment
from karbor.sdk.testing.memory_hypervisor import MemoryDomain, MemoryHypervisor
from karbor.sdk.testing.work import TwinWork

VOLUME, IMAGE, SERVER = "OS::Cinder::Volume", "OS::Glance::Image", "OS::Nova::Server"
FIRST, SECOND = "2026-01-02T03:04:05.250000", "2026-01-02T03:04:05.750000+00:00"


class World:
    """A server with two volumes on a host with a hypervisor, or without one."""

    def __init__(self, *, here=True, agent=True):
        self.driver = MemoryHypervisor()
        self.guest = self.driver.add(MemoryDomain("web", {}, agent=agent), {})
        self.environment = Environment("host", "/state", hypervisors={"libvirt": self.driver} if here else {})
        self.volumes = [Resource(VOLUME, name, name) for name in ("first", "second")]

    def work(self, quiesce="try", moments=(FIRST, SECOND)):
        children = [(ResourceKey(one.type, one.id), one) for one in self.volumes]
        finished = [{"prepare_finish": {"taken_at": moment}} if moment else {} for moment in moments]
        return TwinWork(
            "protect",
            Resource(SERVER, self.guest.id, "web"),
            options=Plugin.Protect.parse({"quiesce": quiesce}),
            children=children,
            child_phases={key: phases for (key, _child), phases in zip(children, finished, strict=True)},
        )

    def taken(self, meanwhile=lambda: None, **given):
        """What the server shows, where ``meanwhile`` happens while the snapshots are taken."""
        work = self.work(**given)
        work.results["prepare_begin"] = {"freeze": server_freeze.hold(self.environment, work)}
        meanwhile()
        return server_freeze.let_go(self.environment, work)


@pytest.fixture
def world():
    return World()


def test_snapshots_of_a_frozen_guest_are_consistent(world):
    def frozen():
        assert world.driver.frozen == {world.guest.id: world.work().checkpoint_id}

    found = world.taken(frozen)
    assert found == {"consistency": "filesystem", "skew": 0.5, "held": 0.5, "not_frozen": ""}
    assert world.driver.frozen == {}


def test_a_guest_that_was_thawed_before_the_last_snapshot_is_not_called_frozen(world):
    found = world.taken(world.driver.frozen.clear)
    assert (found["consistency"], found["skew"]) == ("crash", 0.5)
    assert found["not_frozen"] == "the guest was thawed before all was taken"


@pytest.mark.parametrize(
    ("here", "agent", "quiesce", "why"),
    [
        (False, True, "try", server_freeze.NOT_HERE),
        (True, False, "try", "no guest agent answers"),
        (True, True, "no", "not asked for"),
    ],
)
def test_why_it_was_not_frozen_is_told(here, agent, quiesce, why):
    world = World(here=here, agent=agent)
    found = world.taken(quiesce=quiesce)
    assert (found["consistency"], found["not_frozen"], found["skew"]) == ("crash", why, 0.5)
    assert world.driver.freezes == []


def test_a_server_of_another_host_is_not_frozen(world):
    del world.driver.guests[world.guest.id]
    assert world.taken()["not_frozen"] == server_freeze.NOT_HERE


def test_a_disk_that_does_not_say_when_it_was_taken_spoils_the_instant(world):
    found = world.taken(moments=(FIRST, None))
    assert (found["consistency"], found["not_frozen"]) == ("crash", "not taken while it was frozen: second")


def test_a_snapshot_of_an_earlier_attempt_spoils_the_instant(world):
    found = world.taken(moments=(FIRST, "2026-01-02T03:01:05"))
    assert (found["consistency"], found["skew"]) == ("crash", 180.25)
    assert "180.2 s apart" in found["not_frozen"]


def test_a_server_without_disks_in_the_checkpoint_is_left_alone(world):
    world.volumes = []
    assert world.taken(moments=())["not_frozen"] == "none of its disks is protected"
    assert world.driver.freezes == []


def test_a_plan_that_requires_it_fails_without(world):
    with pytest.raises(errors.CaptureLost, match="until all was taken") as lost:
        world.taken(world.driver.frozen.clear, quiesce="required")
    assert not lost.value.permanent, "another attempt may be luckier"
    with pytest.raises(errors.StepFailed, match="not taken while it was frozen"):
        world.taken(moments=(FIRST, None), quiesce="required")
    with pytest.raises(errors.StepFailed, match="no guest agent"):
        World(agent=False).taken(quiesce="required")
    with pytest.raises(errors.StepFailed, match="no worker"):
        World(here=False).taken(quiesce="required")
    assert world.taken(quiesce="required")["consistency"] == "filesystem"


def test_whatever_fails_the_guest_goes_on(world):
    work = world.work()
    plugin = Plugin(Plugin.Settings(), world.environment)
    server_freeze.hold(world.environment, work)
    for _ in range(2):
        plugin.abandon(work)
        assert world.driver.frozen == {}
    World(here=False).driver.thaw("nobody", "t")

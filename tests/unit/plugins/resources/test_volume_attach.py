# SPDX-License-Identifier: Apache-2.0
"""Into which servers does a restored volume get, and which wishes are refused before anything is made?"""

import pytest

from karbor.model import errors
from karbor.model.resource import Resource
from karbor.plugins.resources.volume_attach import VolumeRestoreOptions, attachment, require_attachable
from karbor.sdk.testing.memorycloud import MemoryCloud
from karbor.sdk.testing.work import TwinWork

VOLUME = Resource("OS::Cinder::Volume", "v", "data")


class World:
    def __init__(self):
        self.memory = MemoryCloud()
        self.cloud = self.memory.open("alpha")
        self.server = self.memory.compute.add("alpha", "web")

    def work(self, attach_to, parent=None):
        options = VolumeRestoreOptions.parse({"attach_to": attach_to})
        return TwinWork("restore", VOLUME, options=options, cloud=self.cloud, parent=parent)


@pytest.fixture
def world():
    return World()


def test_without_a_server_nothing_is_attached_and_nothing_asked(world):
    work = world.work("")
    before = len(world.memory.calls)
    require_attachable(work)
    assert attachment(work) == () and len(world.memory.calls) == before


def test_a_running_server_gets_the_volume(world):
    work = world.work(world.server["id"])
    require_attachable(work)
    (part,) = attachment(work)
    assert part.type == "OS::Cinder::VolumeAttachment"
    assert part.properties["instance_uuid"] == world.server["id"]


def test_a_server_that_is_not_there_is_refused(world):
    with pytest.raises(errors.InvalidInput, match="no server"):
        require_attachable(world.work("11111111-1111-4111-8111-111111111111"))


def test_a_server_that_can_take_no_volume_is_refused(world):
    world.server["status"] = "ERROR"
    with pytest.raises(errors.Conflict, match="web is ERROR"):
        require_attachable(world.work(world.server["id"]))


def test_a_volume_that_comes_back_with_its_server_goes_nowhere_else(world):
    parent = Resource("OS::Nova::Server", "s", "its own")
    with pytest.raises(errors.InvalidInput, match="its own") as refusal:
        require_attachable(world.work(world.server["id"], parent))
    assert "only" in refusal.value.next_action

# SPDX-License-Identifier: Apache-2.0
"""Does a tenant's cloud say what it has, wait as told, and end its waits?"""

import pytest

from karbor.clients.openstack import CloudSettings
from karbor.model import errors
from karbor.sdk.testing.memorycloud import MemoryCloud
from tests.support.clock import TwinClock


@pytest.fixture
def clock():
    return TwinClock()


@pytest.fixture
def memory(clock):
    return MemoryCloud(clock=clock, latency=30, without=("database",))


@pytest.fixture
def cloud(memory, clock):
    return memory.open("alpha", pause=clock.pass_time)


def test_it_knows_its_project(memory, cloud):
    assert (cloud.project_id, cloud.project_name) == (memory.projects["alpha"], "alpha")


def test_it_knows_which_services_there_are():
    cloud = MemoryCloud(without=("object-store",)).open()
    assert cloud.has("compute") and not cloud.has("object_store")


def test_another_region_has_none(memory):
    assert not memory.open(settings=CloudSettings(region="Elsewhere")).has("compute")


def test_nobody_is_asked_before_something_is_wanted(memory):
    memory.open()
    assert memory.calls.total() == 0


def _volume(memory, cloud):
    made = cloud.block_storage.create_volume(name="v", size=1)
    return lambda: cloud.block_storage.get_volume(made.id)


def test_a_wait_ends_when_the_state_is_there(memory, cloud, clock):
    found = cloud.wait_status(_volume(memory, cloud), "available", what="a new volume", deadline=60)
    assert found.status == "available"
    assert 30 <= clock.monotonic() <= 39


def test_looks_become_rare(memory, cloud):
    look, looks = _volume(memory, cloud), []
    cloud.wait_status(lambda: looks.append(1) or look(), "available", what="a new volume", deadline=60)
    assert len(looks) < 15


def test_a_wait_has_an_end(memory, cloud, clock):
    with pytest.raises(errors.Unavailable, match="a new volume") as failed:
        cloud.wait_status(_volume(memory, cloud), "available", what="a new volume", deadline=20)
    assert "creating" in failed.value.detail
    assert clock.monotonic() <= 29


def test_a_state_that_will_not_change_ends_a_wait(memory, cloud):
    look = _volume(memory, cloud)
    next(iter(memory.things["volume"].values()))["status"] = "error_restoring"
    with pytest.raises(errors.StepFailed, match="a new volume") as failed:
        cloud.wait_status(look, "available", what="a new volume", deadline=60)
    assert failed.value.permanent and "error_restoring" in failed.value.detail


def test_who_must_end_ends_a_wait_within_a_second(memory, cloud, clock):
    look = _volume(memory, cloud)

    def check():
        if clock.monotonic() >= 5:
            raise errors.LeaseLost

    with pytest.raises(errors.LeaseLost):
        cloud.watched(check).wait_status(look, "available", what="a new volume", deadline=60)
    assert clock.monotonic() <= 6


def test_a_wait_for_the_end_of_a_thing(memory, cloud, clock):
    volume = memory.volumes.add("alpha", "v")
    cloud.block_storage.delete_volume(volume["id"])
    cloud.wait_gone(lambda: cloud.block_storage.get_volume(volume["id"]), what="the volume", deadline=60)
    assert clock.monotonic() >= 30


def test_two_who_watch_share_the_connections_and_the_count(memory, cloud):
    list(cloud.compute.servers())
    other = cloud.watched(lambda: None)
    list(other.compute.servers())
    assert other.calls is cloud.calls
    assert memory.calls["identity", "POST", "/auth/tokens"] == 1


def test_a_download_comes_in_pieces(memory, cloud):
    image = memory.images.add("alpha", "i", b"0123456789")
    checked = []
    watched = cloud.watched(lambda: checked.append(1))
    answer = watched.image.download_image(image["id"], stream=True)
    assert list(watched.pieces(answer, 4)) == [b"0123", b"4567", b"89"]
    assert len(checked) >= 3

# SPDX-License-Identifier: Apache-2.0
"""Are the quotas of a tenant read with one question for each service, and is silence no error?"""

import pytest

from karbor.clients.room import rooms
from karbor.model import errors
from karbor.model.cost import Room
from karbor.sdk.testing.memorycloud import MemoryCloud


@pytest.fixture
def memory():
    found = MemoryCloud()
    found.quotas.update({"volume_snapshot": 10, "gigabytes": 50, "image_count_total": 7, "share snapshots": 3})
    found.volumes.add("alpha", "v", size=4)
    found.shares.add("alpha", "s", size=2)
    found.images.add("alpha", "i", b"x" * (3 << 20))
    return found


def _open(memory):
    return memory.open("alpha", pause=lambda _seconds: None)


def test_each_service_tells_its_own_in_one_answer(memory):
    cloud = _open(memory)
    volumes = rooms(cloud, "block_storage")
    assert volumes["snapshots"] == Room(10, 0)
    assert (volumes["gigabytes"], volumes["backups"], volumes["gigabytes_rbd"]) == (
        Room(50, 4),
        Room(None, 0),
        Room(None, 4),
    )
    images = rooms(cloud, "image")
    assert (images["image_count_total"], images["image_size_total"]) == (Room(7, 1), Room(None, 3))
    shares = rooms(cloud, "shared_file_system")
    assert (shares["snapshots"], shares["gigabytes"]) == (Room(3, 0), Room(None, 2))
    asked = [key for key in memory.calls if "quota" in key[2] or "usage" in key[2]]
    assert len(asked) == 3 and all(memory.calls[key] == 1 for key in asked)


@pytest.mark.parametrize("status", [403, 404])
def test_a_service_that_does_not_tell_is_no_obstacle(memory, status):
    memory.fail("block-storage", "GET", "/os-quota-sets", status)
    assert rooms(_open(memory), "block_storage") == {}


def test_what_has_no_quotas_or_is_not_there_has_none():
    memory = MemoryCloud(without=("shared-file-system",))
    assert rooms(_open(memory), "shared_file_system") == rooms(_open(memory), "database") == {}


def test_a_service_that_does_not_answer_is_an_error_that_may_pass(memory):
    memory.fail("image", "GET", "/info/usage", 500, times=20)
    with pytest.raises(errors.Unavailable):
        rooms(_open(memory), "image")

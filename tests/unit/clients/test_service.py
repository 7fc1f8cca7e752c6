# SPDX-License-Identifier: Apache-2.0
"""Is a service used in the version that was pinned, and are its lists read to their end?"""

import pytest

from karbor.clients.service import MICROVERSIONS
from karbor.model import errors
from karbor.sdk.testing.memorycloud import MemoryCloud


@pytest.fixture
def memory():
    return MemoryCloud()


@pytest.fixture
def cloud(memory):
    return memory.open("alpha", pause=lambda _seconds: None)


def test_every_request_names_the_version_that_is_used(memory, cloud):
    seen = []
    serve = memory.compute.answer
    memory.compute.answer = lambda request: (seen.append(request), serve(request))[1]
    list(cloud.compute.servers())
    cloud.compute.get("/flavors/detail")
    named = {one.headers.get("OpenStack-API-Version") for one in seen if one.path.count("/") > 2}
    assert named == {f"compute {MICROVERSIONS['compute']}"}


@pytest.mark.parametrize("offered", [("2.1", "2.78"), ("2.80", "2.93")])
def test_a_service_whose_versions_do_not_fit_is_told_by_name(memory, cloud, offered):
    memory.compute.microversions = offered
    with pytest.raises(errors.NotSupported, match="compute") as refused:
        list(cloud.compute.servers())
    assert MICROVERSIONS["compute"] in refused.value.detail and offered[1] in refused.value.detail


def test_a_service_that_is_not_there_is_told_by_name():
    cloud = MemoryCloud(without=("orchestration",)).open()
    with pytest.raises(errors.NotSupported, match="orchestration"):
        list(cloud.orchestration.stacks())


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4])
def test_a_list_is_read_page_by_page_to_its_end(memory, cloud, number):
    made = sorted(memory.volumes.add("alpha", f"v{place}")["id"] for place in range(number))
    found = [one["id"] for one in cloud.block_storage.each("/volumes/detail", "volumes", size=2, sort="id:asc")]
    assert found == made


def test_a_list_that_is_not_read_to_its_end_is_not_asked_for(memory, cloud):
    for place in range(5):
        memory.volumes.add("alpha", f"v{place}")
    next(cloud.block_storage.each("/volumes/detail", "volumes", size=2, sort="id:asc"))
    assert memory.calls["block-storage", "GET", "/volumes/detail"] == 1


def test_a_list_goes_on_behind_one_that_was_deleted(memory, cloud):
    ids = sorted(memory.volumes.add("alpha", f"v{place}")["id"] for place in range(4))
    del memory.things["volume"][ids[1]]
    listed = cloud.block_storage.each("/volumes/detail", "volumes", after=ids[1], size=2, sort="id:asc")
    assert [one["id"] for one in listed] == ids[2:]


def test_errors_of_lists_that_are_read_later_are_ours(memory, cloud):
    listed = cloud.compute.servers()
    memory.fail("compute", "GET", "/servers/detail", 403)
    with pytest.raises(errors.Forbidden):
        next(listed)


def test_a_request_of_ones_own_raises_as_well(cloud):
    with pytest.raises(errors.ResourceNotFound):
        cloud.compute.get("/servers/nothing")

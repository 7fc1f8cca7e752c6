# SPDX-License-Identifier: Apache-2.0
"""Does a refusal of the cloud tell users what the service says to them, and operators everything?"""

import pytest

from karbor.model import errors
from karbor.sdk.testing.memorycloud import MemoryCloud

KINDS = {
    400: errors.InvalidInput,
    403: errors.Forbidden,
    404: errors.ResourceNotFound,
    409: errors.Conflict,
    422: errors.InvalidInput,
    501: errors.NotSupported,
}


@pytest.fixture
def memory():
    return MemoryCloud()


@pytest.fixture
def cloud(memory):
    return memory.open("alpha", pause=lambda _seconds: None)


@pytest.mark.parametrize("status", KINDS)
@pytest.mark.parametrize(("service", "type_"), [("compute", "compute"), ("block_storage", "block-storage")])
def test_a_status_has_one_meaning_in_every_service(memory, cloud, status, service, type_):
    memory.fail(type_, "GET", "/things", status)
    with pytest.raises(KINDS[status], match=type_) as failed:
        getattr(cloud, service).get("/things")
    assert type(failed.value) is KINDS[status]
    assert "It was made to fail" in failed.value.message


def test_a_page_of_glance_is_not_shown(memory, cloud):
    with pytest.raises(errors.ResourceNotFound) as failed:
        cloud.image.get("/images/nothing")
    assert "<" not in failed.value.message


def test_operators_are_told_the_id_of_the_request(cloud):
    with pytest.raises(errors.ResourceNotFound) as failed:
        cloud.block_storage.get_volume("nothing")
    assert "Volume nothing could not be found" in failed.value.message
    assert "http://" not in failed.value.message and "http://" in failed.value.detail
    assert "request=req-" in failed.value.detail


def test_a_login_that_is_refused_is_unauthorized(memory, cloud):
    memory.projects.clear()
    with pytest.raises(errors.Unauthorized, match="login"):
        list(cloud.compute.servers())


def test_a_long_text_is_cut(memory, cloud):
    memory.volumes.add("alpha", "v")
    with pytest.raises(errors.NotFound) as failed:
        cloud.block_storage.get_volume("x" * 5000)
    assert len(failed.value.message) < 400

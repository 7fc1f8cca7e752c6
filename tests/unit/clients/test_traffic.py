# SPDX-License-Identifier: Apache-2.0
"""Are requests counted, sent again where that does no harm, and logged without what is in them?"""

import logging
from datetime import timedelta

import pytest
import requests

from karbor.clients.openstack import CloudSettings
from karbor.common import context
from karbor.common.retrying import Policy
from karbor.model import errors
from karbor.sdk.testing.memorycloud import MemoryCloud
from tests.support.clock import TwinClock

RESET = requests.ConnectionError("Connection reset by peer")


@pytest.fixture
def clock():
    return TwinClock()


@pytest.fixture
def memory(clock):
    return MemoryCloud(clock=clock)


@pytest.fixture
def cloud(memory, clock):
    settings = CloudSettings(retries=Policy(attempts=4, backoff=1.0, longest=8.0, deadline=600.0))
    return memory.open(settings=settings, pause=clock.pass_time)


@pytest.mark.parametrize("failure", [500, 502, 503, 504, RESET])
@pytest.mark.parametrize("after", [False, True])
def test_what_may_be_done_twice_is_sent_again(memory, cloud, failure, after):
    volume = memory.volumes.add("alpha", "v")
    memory.fail("block-storage", "GET", "/volumes/", failure, times=2, after=after)
    assert cloud.block_storage.get_volume(volume["id"]).name == "v"


def test_when_all_tries_are_used_up_the_service_is_unavailable(memory, cloud):
    volume = memory.volumes.add("alpha", "v")
    memory.fail("block-storage", "GET", "/volumes/", 500, times=4)
    with pytest.raises(errors.Unavailable, match="block-storage") as failed:
        cloud.block_storage.get_volume(volume["id"])
    assert "500" in failed.value.detail and volume["id"] not in failed.value.message


@pytest.mark.parametrize("failure", [500, 503, RESET])
def test_what_may_have_been_done_is_not_sent_again(memory, cloud, failure):
    memory.fail("block-storage", "POST", "/volumes", failure, after=True)
    with pytest.raises(errors.Unavailable):
        cloud.block_storage.create_volume(name="once", size=1)
    assert len(memory.things["volume"]) == 1


@pytest.mark.parametrize(("status", "headers"), [(413, {"Retry-After": "40"}), (429, {"Retry-After": "40"}), (429, {})])
def test_what_was_not_begun_is_sent_again_when_the_service_wants_it(memory, cloud, clock, status, headers):
    memory.fail("block-storage", "POST", "/volumes", status, headers=headers)
    cloud.block_storage.create_volume(name="once", size=1)
    assert len(memory.things["volume"]) == 1
    assert clock.monotonic() >= float(headers.get("Retry-After", 0))


def test_a_date_may_say_when_to_come_back(memory, cloud, clock):
    moment = (clock.now() + timedelta(seconds=50)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    memory.fail("compute", "GET", "/servers", 503, headers={"Retry-After": moment})
    assert list(cloud.compute.servers()) == []
    assert clock.monotonic() >= 50


def test_a_used_up_quota_is_told_at_once(memory, cloud, clock):
    memory.quotas["gigabytes"] = 10
    with pytest.raises(errors.TooLarge, match="quota is 10G"):
        cloud.block_storage.create_volume(name="big", size=11)
    assert clock.monotonic() == 0
    assert memory.calls["block-storage", "POST", "/volumes"] == 1


def test_a_token_that_ran_out_is_replaced(memory, cloud):
    memory.volumes.add("alpha", "v")
    assert len(list(cloud.block_storage.volumes())) == 1
    memory.expire_tokens()
    assert len(list(cloud.block_storage.volumes())) == 1


def test_waits_between_tries_end_when_the_work_must_end(memory, cloud, clock):
    memory.fail("compute", "GET", "/servers", 503, times=3, headers={"Retry-After": "100"})

    def check():
        if clock.monotonic() >= 10:
            raise errors.Cancelled

    with pytest.raises(errors.Cancelled):
        list(cloud.watched(check).compute.servers())
    assert clock.monotonic() < 12


def test_every_try_is_counted(memory, cloud):
    memory.fail("image", "GET", "/images", 500, times=2)
    list(cloud.image.images())
    assert cloud.calls.by_service()["image"] == 3
    assert cloud.calls.total == sum(memory.calls.values())


def test_requests_carry_the_id_of_ours_and_are_logged_without_token_and_body(memory, cloud, caplog):
    context.begin(request_id="req-11111111-1111-4111-8111-111111111111")
    seen = []
    serve = memory.compute.answer
    memory.compute.answer = lambda request: (seen.append(request.headers), serve(request))[1]
    with caplog.at_level(logging.DEBUG):
        cloud.compute.create_server(name="web", flavor_id="1", image_id="", networks="none", user_data="hunter22")
    assert seen[-1]["X-OpenStack-Request-ID"] == "req-11111111-1111-4111-8111-111111111111"
    assert "service=compute method=POST path=/compute/v2.1/servers status=202" in caplog.text
    assert "hunter22" not in caplog.text
    assert not [token for token in memory.tokens if token in caplog.text]


@pytest.mark.parametrize("times", [2, 4])
def test_a_new_token_that_is_refused_is_followed_by_another(memory, cloud, times):
    """Two answers are one try: the session itself logs in anew after the first."""
    volume = memory.volumes.add("alpha", "v")
    memory.fail("block-storage", "GET", "/volumes/", 401, times=times)
    assert cloud.block_storage.get_volume(volume["id"]).name == "v"


def test_a_login_that_is_always_refused_is_told_soon(memory, cloud):
    memory.fail("block-storage", "GET", "/volumes/", 401, times=1000)
    with pytest.raises(errors.Unauthorized):
        cloud.block_storage.get_volume("00000000-0000-4000-8000-000000000000")
    assert memory.calls["block-storage", "GET", "failed"] <= 6

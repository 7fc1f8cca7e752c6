# SPDX-License-Identifier: Apache-2.0
"""Is a cloud opened for whoever asks, and for the tenant whose job it is, with one login each?"""

import pytest
from oslo_context.context import get_current

from karbor.clients.openstack import CloudSettings
from karbor.common import context
from karbor.model import errors
from karbor.protection.clouds import KEPT, Clouds
from karbor.sdk.testing.memorycloud import MemoryCloud


class Logins:
    """What karbor.clients.identity does at a real Keystone, at the one in memory. Notes what it was asked for."""

    def __init__(self, memory):
        self.memory = memory
        self.asked = []

    def session_for_token(self, token, project_id):
        self.asked.append((token, project_id))
        if token != "good":
            raise errors.Unauthorized("The token is wrong or has expired.")
        return self.memory.session("alpha")

    def session_for_trust(self, trust_id):
        self.asked.append(trust_id)
        return self.memory.session(trust_id)


@pytest.fixture
def logins():
    return Logins(MemoryCloud())


@pytest.fixture
def clouds(logins):
    return Clouds(logins, CloudSettings())


def test_a_request_sees_the_cloud_with_its_own_token(clouds, logins):
    context.begin(request_id="req-1", auth_token="good")
    opened = clouds.of_request("alpha-id")
    assert logins.asked == []
    assert opened().project_name == "alpha"
    assert opened() is opened()
    assert logins.asked == [("good", "alpha-id")]


def test_what_was_opened_for_a_request_is_of_use_after_the_thread_forgot_its_token(clouds):
    context.begin(request_id="req-1", auth_token="good")
    opened = clouds.of_request("alpha-id")
    context.begin(request_id="req-2")
    assert opened().project_name == "alpha"


@pytest.mark.parametrize("token", [None, "", "bad"])
def test_without_a_good_token_nothing_is_opened(clouds, token):
    context.begin(request_id="req-1", auth_token=token)
    with pytest.raises(errors.Unauthorized):
        clouds.of_request("alpha-id")()


def test_the_cloud_of_a_trust_is_kept(clouds, logins):
    assert clouds.of_trust("one") is clouds.of_trust("one")
    assert clouds.of_trust("two").project_name == "two"
    assert logins.asked == ["one", "two"]


def test_not_more_of_them_are_kept_than_are_bounded(clouds, logins):
    first = clouds.of_trust("first")
    for number in range(KEPT):
        clouds.of_trust(f"other-{number}")
    assert clouds.of_trust("first") is not first
    assert clouds.of_trust(f"other-{KEPT - 1}") and logins.asked.count(f"other-{KEPT - 1}") == 1


def test_what_services_say_of_themselves_is_asked_for_once(clouds, logins):
    for trust_id in ("one", "two", "three"):
        list(clouds.of_trust(trust_id).compute.servers())
    assert logins.memory.calls["compute", "GET", "/"] == 1


def test_a_sealed_login_is_opened_for_its_purpose_when_it_is_needed_and_once(logins):
    asked = []

    def log_in(purpose, sealed):
        asked.append((purpose, sealed))
        return logins.memory.session("far"), {"region": "RegionOne"}

    clouds = Clouds(logins, CloudSettings(region="of ours"), log_in)
    opened = clouds.of_login("restore-1", "sealed")
    assert asked == []
    assert opened() is opened()
    assert opened().project_name == "far"
    assert opened().compute.get("/flavors/detail").json() == {"flavors": []}, "its own region counts"
    assert (asked, logins.asked) == ([("restore-1", "sealed")], [])


def test_a_worker_without_a_key_says_that_it_cannot_log_in_elsewhere(clouds):
    with pytest.raises(errors.NotSupported, match="cannot log in") as refusal:
        clouds.of_login("restore-1", "sealed")()
    assert "login_key_file" in refusal.value.next_action


def test_a_token_is_another_one_for_a_while():
    context.begin(request_id="req-1", auth_token="mine")
    with context.with_token("other"):
        assert get_current().auth_token == "other"
    assert get_current().auth_token == "mine"


def test_what_was_sealed_beside_a_login_is_opened_where_somebody_has_the_key(clouds, logins):
    with pytest.raises(errors.NotSupported, match="cannot open"):
        clouds.opened("parameters of 1", "sealed")
    with_key = Clouds(logins, CloudSettings(), secrets=lambda purpose, sealed: {"value": (purpose, sealed)})
    assert with_key.opened("parameters of 1", "sealed") == {"value": ("parameters of 1", "sealed")}

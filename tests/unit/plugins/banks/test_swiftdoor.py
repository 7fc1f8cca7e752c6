# SPDX-License-Identifier: Apache-2.0
"""Does the way to Swift choose the right authentication, and say what is wrong with its settings?"""

import json

import pytest

from karbor.model import errors
from karbor.plugins.banks.swift import SwiftBank
from karbor.plugins.banks.swiftdoor import Answer, Door
from tests.support.httptwin import Reply, httptwin


def door(url, **rest):
    given = {"swift_auth_url": url, "swift_user": "u", "swift_key": "k", "swift_retry_attempts": 1} | rest
    return Door(SwiftBank.Settings(**given).to_dict(), "box of things")


class Cloud:
    """A Keystone that gives out one token, and a Swift behind it in two regions."""

    def __init__(self, **changed):
        self.changed = changed
        self.seen = []

    def __call__(self, request):
        here = f"http://{request.headers['Host']}"
        if request.path == "/v3":
            link = [{"rel": "self", "href": f"{here}/v3"}]
            return Reply(200, {}, json.dumps({"version": {"id": "v3.14", "status": "stable", "links": link}}).encode())
        if request.path == "/v3/auth/tokens":
            self.seen.append(json.loads(request.body)["auth"])
            return Reply(201, {"X-Subject-Token": "gold", "Content-Type": "application/json"}, self._token(here))
        return Reply(200, {"X-Path": request.path, "X-Token": request.headers["X-Auth-Token"]}, b"[]")

    def _token(self, here):
        endpoints = [
            {"interface": interface, "region": region, "region_id": region, "url": f"{here}/{region}/{interface}"}
            for region in ("north", "south")
            for interface in ("public", "internal")
        ]
        service = {"type": "object-store", "name": "swift", "endpoints": endpoints}
        token = {"methods": ["password"], "expires_at": "2999-01-01T00:00:00.000000Z", "catalog": [service]}
        return json.dumps({"token": token | {"issued_at": "2024-01-01T00:00:00.000000Z"} | self.changed}).encode()


def test_keystone_gives_token_and_place_by_region_and_interface():
    cloud = Cloud()
    with httptwin(cloud) as twin:
        rest = {
            "swift_region": "south",
            "swift_catalog_info": "object-store:swift:internalURL",
            "swift_tenant_name": "p",
        }
        answer = door(f"{twin.url}/v3", **rest).send("GET", "a b", query={"prefix": "x/y"})
    assert answer.headers["X-Path"] == "/south/internal/box%20of%20things/a%20b?prefix=x%2Fy"
    assert answer.headers["X-Token"] == "gold" and answer.json() == []
    assert cloud.seen[0]["scope"]["project"]["name"] == "p"


def test_a_catalog_without_swift_is_said_with_the_next_action():
    with httptwin(Cloud(catalog=[])) as twin:
        with pytest.raises(errors.BankUnavailable) as caught:
            door(f"{twin.url}/v3").send("GET")
        assert "swift_catalog_info" in caught.value.next_action
        assert (
            door(f"{twin.url}/v3", swift_endpoint=f"{twin.url}/mine/")
            .send("GET")
            .headers["X-Path"]
            .startswith("/mine/box")
        )


def test_settings_that_cannot_be_used_are_refused():
    with pytest.raises(errors.ConfigurationError):
        with httptwin(Cloud()) as twin:
            door(f"{twin.url}/v3", swift_catalog_info="swift").send("GET")
    with pytest.raises(errors.BankUnavailable):
        Answer(200, {}, b"no json").json()

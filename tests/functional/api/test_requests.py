# SPDX-License-Identifier: Apache-2.0
"""Is every odd request answered in the shape of the contract, with nothing left behind?"""

import json
import re

import pytest

from tests.support.api import PROJECT, PROVIDER, SERVER

WRITES = [
    ("POST", "/plans"),
    ("PUT", f"/plans/{SERVER}"),
    ("POST", "/restores"),
    ("POST", f"/providers/{PROVIDER}/checkpoints"),
]


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        (None, 400, "Missing request body"),
        (b"", 400, "Missing request body"),
        (b"{", 400, "Malformed request body"),
        (b"\xff\xfe", 400, "Malformed request body"),
        (b"[" * 200_000, 400, "Malformed request body"),
        (b"[]", 400, "object"),
        (b"{}", 400, "is required"),
        (b'"text"', 400, "object"),
        (b"null", 400, "object"),
        (b"x" * 10_000_000, 413, "larger than 1048576 bytes"),
    ],
)
def test_a_wrong_body_is_refused(api, method, path, data, status, message):
    response = api.raw(method, f"/v1/{PROJECT}{path}", data=data)
    assert response.status_int == status
    ((name, inner),) = response.json.items()
    assert name == {400: "badRequest", 413: "overLimit"}[status]
    assert message in inner["message"]
    assert api.get("/plans") == {"plans": []}


def test_the_kind_of_body_does_not_matter(api):
    body = {
        "name": "p",
        "provider_id": PROVIDER,
        "resources": [{"id": SERVER, "type": "OS::Nova::Server", "name": "v"}],
    }
    data = json.dumps({"plan": body}).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        response = api.raw("POST", f"/v1/{PROJECT}/plans", data=data, headers={"Content-Type": kind})
        assert response.status_int == 200


@pytest.mark.parametrize(
    "path", ["/nope", f"/v1/{PROJECT}/nope", f"/v1/{PROJECT}", "/v1/x/y/z", "/v2/x/plans", "/favicon.ico"]
)
def test_an_unknown_url_is_not_found_in_json(api, path):
    response = api.raw("GET", path)
    assert (response.status_int, response.content_type) == (404, "application/json")
    assert response.json["itemNotFound"]["code"] == 404


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "OPTIONS", "TRACE", "STRANGE"])
def test_an_unknown_method_is_told_in_json(api, method):
    response = api.raw(method, f"/v1/{PROJECT}/plans")
    assert (response.status_int, response.json["badMethod"]["code"]) == (405, 405)
    assert response.headers["Allow"] == "GET, POST"


def test_a_slash_at_the_end_changes_nothing(api):
    assert api.get("/plans/") == {"plans": []}


def test_the_project_of_the_token_must_be_that_of_the_url(api):
    headers = {"X-Auth-Token": "user:other"}
    assert api.refused(400, "GET", "/plans", headers=headers) == "Malformed request url"
    assert api.get("/plans", headers={"X-Auth-Token": f"user:{PROJECT}"}) == {"plans": []}


def test_every_answer_names_its_request(api):
    for path in (f"/v1/{PROJECT}/plans", f"/v1/{PROJECT}/nope", "/"):
        assert re.fullmatch(r"req-[0-9a-f-]{36}", api.raw("GET", path).headers["x-openstack-request-id"])


def test_versions_and_document_need_no_login(api):
    (version,) = api.raw("GET", "/").json["versions"]
    assert (version["id"], version["links"][0]["href"]) == ("v1.0", "http://localhost/v1/")
    assert api.raw("GET", "/v1/").json["version"]["status"] == "CURRENT"
    assert api.raw("GET", "/v1").json == api.raw("GET", "/v1/").json
    assert api.raw("GET", "/v1/openapi.json").json["openapi"].startswith("3.1")


def test_the_service_says_that_it_is_healthy(api):
    assert api.raw("GET", "/healthcheck").status_int == 200


def test_only_the_head_of_an_answer_can_be_asked_for(api):
    response = api.raw("HEAD", f"/v1/{PROJECT}/plans")
    assert (response.status_int, response.body) == (200, b"")


@pytest.mark.parametrize("url", ["/v1/%ff/plans", f"/v1/{PROJECT}/plans?name=%ff"])
def test_bytes_that_are_no_text_are_refused(api, url):
    response = api.raw("GET", url)
    assert (response.status_int, response.json["badRequest"]["message"]) == (400, "Malformed request url")


@pytest.mark.parametrize("text", ["%00", "%0a", "%ed%a0%80", "😀"])
def test_odd_letters_in_filters_are_no_fault(api, text):
    response = api.raw("GET", f"/v1/{PROJECT}/plans?name={text}&marker=")
    assert response.status_int in (200, 400)


def test_a_null_character_in_a_body_is_refused(api):
    body = {"name": "a\x00b", "provider_id": PROVIDER, "resources": []}
    assert "plan.name" in api.refused(400, "POST", "/plans", {"plan": body})

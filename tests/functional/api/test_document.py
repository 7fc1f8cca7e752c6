# SPDX-License-Identifier: Apache-2.0
"""Is the document that a service gives of itself the one that is declared, for everybody, and without secrets?"""

import json

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.fuzz.world import make_world
from tests.support.api import PROJECT
from tools.genapi import ROOT

PATH = "/v1/openapi.json"


def without_logins(document):
    """The document without what depends on the settings of a service."""
    components = {name: value for name, value in document["components"].items() if name != "securitySchemes"}
    return {**document, "components": components, "security": None}


@pytest.fixture
def guarded(tmp_path):
    made = make_world(tmp_path, PROJECT)
    yield made
    made.database.dispose()


def test_it_is_the_committed_one(api):
    committed = json.loads((ROOT / "openapi.json").read_text())
    assert without_logins(api.raw("GET", PATH).json) == without_logins(committed)


def test_everybody_may_read_it_and_it_is_valid(guarded):
    response = guarded.raw("GET", PATH)
    assert (response.status_int, response.content_type) == (200, "application/json")
    OpenAPIV31SpecValidator(response.json).validate()


def test_it_tells_of_the_logins_that_the_service_takes(api, guarded):
    assert guarded.raw("GET", PATH).json["security"] == [{"basic": []}]
    assert list(guarded.raw("GET", PATH).json["components"]["securitySchemes"]) == ["basic"]
    assert api.raw("GET", PATH).json["security"] == []


def test_nothing_of_the_service_or_its_projects_is_in_it(guarded):
    text = guarded.raw("GET", PATH).text
    assert "mark-of-the-first" not in text
    for name in ("database", "http_basic_auth_user_file", "host"):
        value = str(guarded.conf[name].connection if name == "database" else guarded.conf[name])
        assert len(value) < 4 or value not in text

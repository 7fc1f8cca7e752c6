# SPDX-License-Identifier: Apache-2.0
"""Is what the API reference shows what the service really takes and answers?

Every sample of a request is sent as it is printed, to a service in which the ids of the samples name things; the answer
must have the fields of the printed one.
"""

import json
from dataclasses import dataclass, replace

import pytest

from karbor.api.v1.tree import ENDPOINTS
from karbor.schema.samples import sample
from karbor.schema.types import RESOURCE_ID, UUID
from tests.fuzz.population import NOUNS, Owner, known, policy
from tests.fuzz.requests import OTHERS, OWNED, SHARED
from tests.support.api import PROJECT, SERVER, TYPES, Api, provider_info
from tools.genapi import ROOT

SAMPLE_ID = UUID["examples"][0]
ANOTHER_ID = "3f0d4a5e-6c1b-4d0e-9b55-2b1f3a7c9e10"
SAMPLES = [
    pytest.param(endpoint, id=endpoint.id)
    for endpoint in ENDPOINTS
    if endpoint.operation.response and endpoint.id != "get_v1_openapi_json"  # its answer is the whole document
]


@dataclass(frozen=True)
class Sampled(Owner):
    """The project whose first thing of each noun has the id of the samples."""

    def id(self, noun, number=0):
        return SAMPLE_ID if noun in OWNED.values() and not number else known(self.project, noun, number)


def options(*names):
    """Of every type, the options that samples name."""
    shape = {"type": "object", "properties": dict.fromkeys(names, {"type": "string"})}
    return dict.fromkeys((*TYPES, "Libvirt::Disk"), shape)


SCHEMAS = {
    "options_schema": options("quiesce", "k"),
    "restore_schema": options("name", "restore_name"),
    "verify_schema": options("level"),
    "copy_schema": options(),
}


@pytest.fixture
def api(tmp_path):
    made = Api(tmp_path)
    with made.database.write() as rows:
        for id_ in (SAMPLE_ID, ANOTHER_ID):
            rows.providers.put(replace(provider_info(id=id_), schemas=SCHEMAS))
        rows.services.heartbeat(binary="karbor-operationengine", host="control1")
        policy(rows)
        for put in NOUNS:
            put(rows, Sampled(PROJECT, "sample", made.clock.now(), provider=SAMPLE_ID))
    made.workers.add(PROJECT, "Libvirt::Domain", RESOURCE_ID["examples"][0])
    yield made
    made.database.dispose()


def url(endpoint):
    """The address with the ids of the samples."""
    numbers = OTHERS.get(endpoint.id, {})
    owner = Sampled(PROJECT, "sample", None)
    ids = {name: owner.id(noun, numbers.get(name, 0)) for name, noun in OWNED.items()}
    shared = {**SHARED, "provider_id": SAMPLE_ID, "resource_id": SERVER}
    return endpoint.path.format(**{**ids, **shared, "project_id": PROJECT, "quota_project_id": PROJECT})


def printed(endpoint, kind):
    """What the API reference shows."""
    return json.loads((ROOT / "samples" / f"{endpoint.id}-{kind}.json").read_text())


def fields(value, schema):
    """The paths of all fields that the schema names and the value has."""
    found = set()
    if isinstance(value, list) and "items" in schema:
        for entry in value:
            found |= {f"[]{path}" for path in fields(entry, schema["items"])}
    if isinstance(value, dict):
        for name, inner in schema.get("properties", {}).items():
            if name in value:
                found |= {f".{name}"} | {f".{name}{path}" for path in fields(value[name], inner)}
    return found


@pytest.mark.parametrize("endpoint", SAMPLES)
def test_the_service_takes_and_answers_what_the_reference_shows(api, endpoint):
    declared = endpoint.operation
    data = json.dumps(printed(endpoint, "request")).encode() if declared.body else None
    response = api.raw(endpoint.method, url(endpoint), data=data)
    assert response.status_int == declared.status, response.text
    shown = printed(endpoint, "response")
    assert shown == sample(declared.response)
    told = fields(shown, declared.response) - fields(response.json, declared.response)
    assert not {path for path in told if not below_nothing(path, response.json)}, response.text


def below_nothing(path, value):
    """Whether there is nothing at a place above the path, or it is the link of a full page."""
    if path.split("[]")[0].endswith("_links"):
        return True
    for part in path.replace("[]", ".[]").strip(".").split("."):
        if part == "[]":
            if not value:
                return True
            value = value[0]
        elif not isinstance(value, dict) or value.get(part) is None:
            return isinstance(value, dict) and part in value
        else:
            value = value[part]
    return False

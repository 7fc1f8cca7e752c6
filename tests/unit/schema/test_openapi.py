# SPDX-License-Identifier: Apache-2.0
"""Is the API document valid, complete, and the one that is committed?"""

import json

from openapi_spec_validator import OpenAPIV31SpecValidator

from karbor.api.v1.tree import ENDPOINTS
from karbor.schema import faults, openapi
from karbor.schema.validate import Shape
from tools import genapi

DOCUMENT = openapi.document(ENDPOINTS)


def test_the_document_is_valid():
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_the_committed_files_are_those_that_would_be_generated():
    assert genapi.differences() == []


def test_every_operation_is_in_it_with_an_id_of_its_own():
    ids = [entry["operationId"] for path in DOCUMENT["paths"].values() for entry in path.values()]
    assert sorted(ids) == sorted(endpoint.id for endpoint in ENDPOINTS)
    assert len(set(ids)) == len(ids)


def test_every_operation_says_what_it_does():
    for path in DOCUMENT["paths"].values():
        for entry in path.values():
            assert len(entry["summary"]) > 8


def test_every_status_has_a_shape_and_an_example():
    for path in DOCUMENT["paths"].values():
        for entry in path.values():
            for status, answer in entry["responses"].items():
                if int(status) < 400:
                    continue
                described = DOCUMENT["components"]["responses"][answer["$ref"].rsplit("/", 1)[-1]]
                content = described["content"]["application/json"]
                assert content["schema"] == {"$ref": f"#/components/schemas/Error{status}"}
                assert not Shape(faults.shape(int(status))).problems(content["example"])


def test_an_operation_needs_a_login_unless_it_says_otherwise():
    assert {} not in DOCUMENT["security"]
    open_to_all = [
        entry["operationId"] for path in DOCUMENT["paths"].values() for entry in path.values() if "security" in entry
    ]
    assert sorted(open_to_all) == ["get_root", "get_v1", "get_v1_openapi_json", "post_hooks_trigger_id_token"]


def test_operations_are_sorted_by_the_collection_they_are_about():
    tags = openapi.tags_of(ENDPOINTS)
    assert tags["plan_get"] == "plans"
    assert tags["provider_checkpoint_get"] == "checkpoints"
    assert tags["protectable_instance_get"] == "protectables"
    assert tags["get_v1"] == "versions"
    assert tags["post_hooks_trigger_id_token"] == "hooks"


def test_every_parameter_and_field_is_explained():
    for endpoint in ENDPOINTS:
        for name, schema in endpoint.operation.query_parameters.items():
            assert schema.get("description"), (endpoint.id, name)


def test_a_difference_is_found(tmp_path):
    genapi.write(tmp_path)
    assert genapi.differences(tmp_path) == []
    (tmp_path / "openapi.json").write_text(json.dumps({}))
    (tmp_path / "samples" / "old.json").write_text("{}")
    (tmp_path / "samples" / "plan_create-request.json").unlink()
    assert genapi.differences(tmp_path) == ["openapi.json", "samples/old.json", "samples/plan_create-request.json"]

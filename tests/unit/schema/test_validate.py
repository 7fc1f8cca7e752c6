# SPDX-License-Identifier: Apache-2.0
"""Are wrong values refused with the place and the reason, and right ones let through?"""

import pytest
from jsonschema import Draft202012Validator

from karbor.api.v1.tree import ENDPOINTS
from karbor.model import errors
from karbor.schema.nouns.plan import PLAN
from karbor.schema.nouns.restore import RESTORE
from karbor.schema.types import NAME, RESOURCE_ID, UUID
from karbor.schema.validate import Shape

VM = {"id": "11111111-2222-4333-8444-555555555555", "type": "A::B", "name": "vm"}
PLAN_BODY = {
    "name": "p",
    "provider_id": "cf56bd3e-97a7-4078-b6d5-f36246333fd9",
    "resources": [VM],
}


NO_TAGS = {"type": "A::B", "tags": []}


def refusal(schema, value):
    with pytest.raises(errors.InvalidInput) as fault:
        Shape(schema).check(value)
    return fault.value.message


def test_every_declared_schema_is_a_schema():
    for endpoint in ENDPOINTS:
        declared = endpoint.operation
        inner = [declared.body, declared.response, *declared.query_parameters.values()]
        for schema in [*inner, *endpoint.path_parameters.values()]:
            if schema:
                Draft202012Validator.check_schema(schema)


def test_the_least_plan_is_taken():
    Shape(PLAN.create).check({"plan": PLAN_BODY})


@pytest.mark.parametrize(
    ("body", "place", "reason"),
    [
        ([], "", "type object"),
        ({}, "", "'plan' is required"),
        ({"plan": PLAN_BODY, "more": 1}, "", "'more' is not known"),
        ({"plan": {**PLAN_BODY, "extra": 1}}, "plan", "'extra' is not known"),
        ({"plan": {**PLAN_BODY, "id": "x"}}, "plan", "'id' cannot be set here"),
        ({"plan": {**PLAN_BODY, "name": ""}}, "plan.name", "at least 1 character"),
        ({"plan": {**PLAN_BODY, "name": "   "}}, "plan.name", "not allowed"),
        ({"plan": {**PLAN_BODY, "name": "a\n"}}, "plan.name", "not allowed"),
        ({"plan": {**PLAN_BODY, "name": None}}, "plan.name", "type string"),
        ({"plan": {**PLAN_BODY, "name": "n" * 256}}, "plan.name", "at most 255"),
        ({"plan": {**PLAN_BODY, "provider_id": "x"}}, "plan.provider_id", "must be a uuid"),
        ({"plan": {**PLAN_BODY, "selection": [NO_TAGS]}}, "plan.selection[0].tags", "at least 1 item"),
        ({"plan": {**PLAN_BODY, "resources": [{**VM, "id": "../x"}]}}, "plan.resources[0].id", "not allowed"),
        ({"plan": {**PLAN_BODY, "parameters": {"A::B": {"k": []}}}}, "plan.parameters.A::B.k", "type string or number"),
    ],
)  # fmt: skip
def test_a_wrong_plan_is_refused_with_place_and_reason(body, place, reason):
    message = refusal(PLAN.create, body)
    assert message.startswith(f"Invalid input for field/attribute {place}. " if place else "Invalid input. ")
    assert reason in message


def test_a_message_never_repeats_a_value():
    body = {"restore": {"restore_auth": {"password": ["hunter2"]}}}
    assert "hunter2" not in refusal(RESTORE.create, body)
    assert "hunter2" not in refusal(NAME, "\x00hunter2")


@pytest.mark.parametrize("text", ["cf56bd3e-97a7-4078-b6d5-f36246333fd9", "CF56BD3E97A74078B6D5F36246333FD9"])
def test_a_uuid_may_be_written_in_two_ways(text):
    Shape(UUID).check(text)


@pytest.mark.parametrize(
    "text", ["", "x", "cf56bd3e-97a74078b6d5f36246333fd9", "{cf56bd3e-97a7-4078-b6d5-f36246333fd9}"]
)
def test_other_texts_are_no_uuids(text):
    refusal(UUID, text)


@pytest.mark.parametrize("text", ["..", "a" * 32 + "\n", "../" + "a" * 29, "a" * 31, "g" * 32])
def test_a_resource_id_is_a_uuid_or_a_project_id(text):
    Shape(RESOURCE_ID).check("a" * 32)
    refusal(RESOURCE_ID, text)


def test_keys_in_messages_are_short_and_printable():
    message = refusal(PLAN.create, {"plan": {**PLAN_BODY, "\n" * 100: 1}})
    assert "\n" not in message
    assert len(message) < 400

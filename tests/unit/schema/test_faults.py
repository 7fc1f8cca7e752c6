# SPDX-License-Identifier: Apache-2.0
"""Does every error have a shape, and do old clients find its message?"""

import pytest

from karbor.schema import faults
from karbor.schema.validate import Shape


@pytest.mark.parametrize("status", faults.MEANINGS)
def test_the_example_has_the_shape_and_its_first_value_has_a_message(status):
    schema = faults.shape(status)
    (example,) = schema["examples"]
    assert not Shape(schema).problems(example)
    assert next(iter(example.values()))["message"] == faults.MEANINGS[status][1]


@pytest.mark.parametrize(
    "body", [{}, {"badRequest": {"code": 400}}, {"badRequest": {"code": 404, "message": ""}}, {"error": "text"}]
)
def test_another_body_is_not_in_shape(body):
    assert Shape(faults.shape(400)).problems(body)


def test_a_status_without_a_name_of_its_own_has_the_general_one():
    assert faults.envelope_of(404) == "itemNotFound"
    assert faults.envelope_of(500) == faults.envelope_of(418) == "computeFault"


@pytest.mark.parametrize("status", faults.MEANINGS)
def test_every_answer_tells_of_the_request_id(status):
    assert "x-openstack-request-id" in faults.response(status)["headers"]

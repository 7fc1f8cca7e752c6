# SPDX-License-Identifier: Apache-2.0
"""Do the samples have the shapes that they are samples of?"""

import pytest

from karbor.api.v1.tree import ENDPOINTS
from karbor.schema.samples import sample
from karbor.schema.validate import Shape

SHAPES = [
    pytest.param(schema, id=f"{endpoint.id}-{kind}")
    for endpoint in ENDPOINTS
    for kind, schema in (("request", endpoint.operation.body), ("response", endpoint.operation.response))
    if schema
]


@pytest.mark.parametrize("schema", SHAPES)
def test_a_sample_has_its_shape(schema):
    assert Shape(schema).problems(sample(schema)) == []

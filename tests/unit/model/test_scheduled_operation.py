# SPDX-License-Identifier: Apache-2.0
"""Which plan and provider does a scheduled operation name?"""

import pytest

from karbor.model.scheduled_operation import ScheduledOperation


@pytest.mark.parametrize(
    ("definition", "named"),
    [
        ({"plan_id": "p", "provider_id": "v", "max_backups": "3"}, ("p", "v")),
        ({}, (None, None)),
        ({"plan_id": 7, "provider_id": None}, (None, None)),
    ],
)
def test_its_definition_names_them(definition, named):
    operation = ScheduledOperation("i", "p", "u", "n", "protect", "t", operation_definition=definition)
    assert (operation.plan_id, operation.provider_id) == named
    assert operation.enabled

# SPDX-License-Identifier: Apache-2.0
"""Are ids that no database can hold answered like ids that are not there?"""

import pytest

from karbor.model import errors


class TestRepository:
    @pytest.mark.parametrize(
        "id", ["", "nowhere", "../../etc", "\x00", "a\x00b", "\ud800", "x" * 5000, "'; DROP TABLE plans"]
    )
    @pytest.mark.parametrize(
        "noun",
        [
            *("plans", "checkpoints", "restores", "verifications", "providers", "jobs", "operation_logs"),
            *("triggers", "scheduled_operations"),
        ],
    )
    def test_an_id_that_is_not_there_is_not_found(self, database, noun, id):
        with database.read() as rows:
            with pytest.raises(errors.NotFound) as caught:
                getattr(rows, noun).get(id)
        assert caught.value.message.encode().decode() == caught.value.message

# SPDX-License-Identifier: Apache-2.0
"""Is what a project has counted with the rows themselves?"""

import pytest

from karbor.model import errors, states
from karbor.model.checkpoint import Sizes
from karbor.model.quota import KINDS
from tests.support import rows as make


def in_use(rows, project=make.PROJECT):
    usage = rows.quotas.usage(project)
    assert list(usage) == list(KINDS)
    assert {number["reserved"] for number in usage.values()} == {0}
    return tuple(usage[kind]["in_use"] for kind in KINDS)


class TestUsage:
    def test_plans_count_while_they_are_there(self, database):
        with database.write() as rows:
            assert in_use(rows) == (0, 0, 0, 0)
            rows.plans.create(make.plan("1"))
            rows.plans.create(make.plan("2"))
            rows.plans.create(make.plan("3", project_id="another"))
            with pytest.raises(errors.Conflict):
                rows.plans.create(make.plan("1"))
            assert in_use(rows) == (2, 0, 0, 0)
            rows.plans.delete("1")
            with pytest.raises(errors.NotFound):
                rows.plans.delete("1")
            assert in_use(rows) == (1, 0, 0, 0)
            assert in_use(rows, "another") == (1, 0, 0, 0)

    def test_what_is_rolled_back_does_not_count(self, database):
        with pytest.raises(ZeroDivisionError):
            with database.write() as rows:
                rows.plans.create(make.plan())
                _ = 1 / 0
        with database.read() as rows:
            assert in_use(rows) == (0, 0, 0, 0)

    def test_a_checkpoint_counts_from_its_beginning_until_it_is_deleted(self, database):
        with database.write() as rows:
            rows.checkpoints.create(make.checkpoint())
            assert in_use(rows) == (0, 1, 0, 0)
            rows.checkpoints.update("checkpoint-1", sizes=Sizes(2**50, 5, 30))
            assert in_use(rows) == (0, 1, 2**50, 30)
            rows.checkpoints.transition("checkpoint-1", "error", sizes=Sizes(200, 5, 20))
            assert in_use(rows) == (0, 1, 200, 20)
            rows.checkpoints.update("checkpoint-1", mode="full")
            for status in ("deleting", "error-deleting", "deleting"):
                rows.checkpoints.transition("checkpoint-1", status)
                assert in_use(rows) == (0, 1, 200, 20)
            for _time in range(2):
                rows.checkpoints.transition("checkpoint-1", "deleted")
                assert in_use(rows) == (0, 0, 0, 0)
            rows.checkpoints.update("checkpoint-1", sizes=Sizes(1, 1, 1))
            assert in_use(rows) == (0, 0, 0, 0)

    @pytest.mark.parametrize("status", sorted(states.CHECKPOINT.states))
    def test_a_checkpoint_of_any_status_counts_but_a_tombstone(self, database, status):
        with database.write() as rows:
            rows.checkpoints.create(make.checkpoint(status=status, sizes=Sizes(3, 2, 1)))
            assert in_use(rows) == ((0, 0, 0, 0) if status == "deleted" else (0, 1, 3, 1))
            assert rows.quotas.reconcile() == []

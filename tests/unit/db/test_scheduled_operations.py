# SPDX-License-Identifier: Apache-2.0
"""Are scheduled operations kept, and do their plan and trigger stay as long as they do?"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

from karbor.model import errors
from karbor.model.page import PageRequest
from tests.support import rows as make


@pytest.fixture
def prepared(database):
    """A database with a plan and a trigger."""
    with database.write() as rows:
        rows.plans.create(make.plan())
        rows.triggers.create(make.trigger())
    return database


class TestScheduledOperations:
    def test_one_comes_back_and_is_replaced(self, prepared, clock):
        with prepared.write() as rows:
            created = rows.scheduled_operations.create(make.scheduled_operation(description="all of it"))
            assert rows.scheduled_operations.get("operation-1", project_id=make.PROJECT) == created
            clock.pass_time(5)
            changed = rows.scheduled_operations.update(replace(created, enabled=False, name="n"))
            assert rows.scheduled_operations.get("operation-1") == changed
            assert (changed.enabled, changed.updated_at) == (False, clock.now())
            with pytest.raises(errors.NotFound):
                rows.scheduled_operations.get("operation-1", project_id="another")
            with pytest.raises(errors.NotFound):
                rows.scheduled_operations.update(make.scheduled_operation("nowhere"))
            rows.scheduled_operations.delete("operation-1")
            with pytest.raises(errors.NotFound):
                rows.scheduled_operations.delete("operation-1")

    @pytest.mark.parametrize("given", [{"trigger_id": "nowhere"}, {"operation_definition": {"plan_id": "nowhere"}}])
    def test_its_trigger_and_its_plan_must_be_there(self, prepared, given):
        with prepared.write() as rows:
            with pytest.raises(errors.NotFound):
                rows.scheduled_operations.create(make.scheduled_operation(**given))

    def test_a_plan_that_is_used_stays(self, prepared):
        with prepared.write() as rows:
            rows.scheduled_operations.create(make.scheduled_operation())
            with pytest.raises(errors.Conflict, match="used by a scheduled operation"):
                rows.plans.delete("plan-1")
            assert rows.quotas.usage(make.PROJECT)["plans"]["in_use"] == 1
            rows.scheduled_operations.delete("operation-1")
            rows.plans.delete("plan-1")

    def test_a_plan_deleted_at_the_same_time_is_never_referred_to(self, database):
        with database.write() as rows:
            rows.triggers.create(make.trigger())
        for number in range(5):
            plan = f"p{number}"
            with database.write() as rows:
                rows.plans.create(make.plan(plan))
            start = Barrier(2)

            def schedule(rows, plan=plan):
                operation = make.scheduled_operation(plan, operation_definition={"plan_id": plan})
                return rows.scheduled_operations.create(operation)

            def attempt(work, start=start):
                start.wait(60)
                try:
                    database.retrying(work)
                except (errors.NotFound, errors.Conflict):
                    return False
                return True

            with ThreadPoolExecutor(2) as pool:
                done = list(pool.map(attempt, [schedule, lambda rows, plan=plan: rows.plans.delete(plan)]))
            assert sorted(done) == [False, True]

    @pytest.mark.parametrize(
        ("filters", "found"),
        [
            ({"name": "shop"}, ["1"]),
            ({"operation_type": "retention_protect"}, ["2"]),
            ({"trigger_id": "trigger-1"}, ["1", "2"]),
            ({"plan_id": "plan-1"}, ["1"]),
            ({"provider_id": "v"}, ["2"]),
            ({"operation_definition": '"max_backups": "3"'}, ["2"]),
            ({"enabled": "True"}, ["1"]),
            ({"enabled": "no"}, ["2"]),
        ],
    )
    def test_filters(self, prepared, filters, found):
        definition = {"provider_id": "v", "max_backups": "3"}
        with prepared.write() as rows:
            rows.scheduled_operations.create(make.scheduled_operation("1"))
            rows.scheduled_operations.create(
                make.scheduled_operation(
                    "2", name="x", operation_type="retention_protect", enabled=False, operation_definition=definition
                )
            )
            page = rows.scheduled_operations.list(PageRequest(sort=(("id", "asc"),), filters=filters))
        assert [operation.id for operation in page.items] == found

    def test_neither_true_nor_false_is_refused(self, database):
        with database.read() as rows:
            with pytest.raises(errors.InvalidInput):
                rows.scheduled_operations.list(PageRequest(filters={"enabled": "perhaps"}))

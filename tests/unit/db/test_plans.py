# SPDX-License-Identifier: Apache-2.0
"""Are plans kept whole, and apart by project?"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from karbor.model import errors
from karbor.model.page import PageRequest
from tests.support import rows as make


class TestPlans:
    def test_a_plan_comes_back_as_it_was_created(self, database, clock):
        with database.write() as rows:
            created = rows.plans.create(make.plan())
        with database.read() as rows:
            assert rows.plans.get("plan-1", project_id=make.PROJECT) == created
        assert created == replace(make.plan(), created_at=clock.now())

    def test_a_plan_without_description_or_parameters_comes_back_so(self, database):
        with database.write() as rows:
            created = rows.plans.create(make.plan(description=None, parameters={}, resources=()))
            assert rows.plans.get("plan-1") == created

    def test_another_project_does_not_find_it(self, database):
        with database.write() as rows:
            rows.plans.create(make.plan())
            with pytest.raises(errors.NotFound, match="plan plan-1 could not be found"):
                rows.plans.get("plan-1", project_id="another")

    def test_an_update_keeps_the_time_of_creation(self, database, clock):
        with database.write() as rows:
            created = rows.plans.create(make.plan())
        clock.pass_time(10)
        with database.write() as rows:
            changed = rows.plans.update(replace(created, name="weekly", status="started", parameters={}))
            assert rows.plans.get("plan-1") == changed
        assert (changed.created_at, changed.updated_at) == (created.created_at, clock.now())

    def test_an_update_of_what_somebody_else_has_changed_since_is_refused(self, database):
        """Also where the clock stood still meanwhile."""
        with database.write() as rows:
            read = rows.plans.create(make.plan())
            first = rows.plans.update(replace(read, name="first"))
            with pytest.raises(errors.Conflict, match="changed by somebody else"):
                rows.plans.update(replace(read, name="second"))
            second = rows.plans.update(replace(first, name="second"))
            with pytest.raises(errors.Conflict):
                rows.plans.update(replace(first, name="third"))
            assert rows.plans.get("plan-1") == second

    def test_of_changes_at_once_none_is_lost(self, database):
        with database.write() as rows:
            rows.plans.create(make.plan(parameters={}))

        def add(rows, name):
            plan = rows.plans.get("plan-1", lock=True)
            rows.plans.update(replace(plan, parameters={**plan.parameters, name: {}}))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda name: database.retrying(lambda rows: add(rows, name)), "abcdefghijkl"))
        with database.read() as rows:
            assert sorted(rows.plans.get("plan-1").parameters) == list("abcdefghijkl")

    def test_a_plan_stays_in_its_project(self, database):
        with database.write() as rows:
            plan = rows.plans.create(make.plan())
            rows.plans.update(replace(plan, project_id="another"))
            assert rows.plans.get("plan-1").project_id == make.PROJECT

    def test_a_deleted_plan_is_gone(self, database):
        with database.write() as rows:
            rows.plans.create(make.plan())
            rows.plans.delete("plan-1")
            with pytest.raises(errors.NotFound):
                rows.plans.get("plan-1")
            assert rows.plans.list(PageRequest()).items == ()

    def test_what_is_not_there_cannot_be_updated_or_deleted(self, database):
        with database.write() as rows:
            with pytest.raises(errors.NotFound):
                rows.plans.update(make.plan())
            with pytest.raises(errors.NotFound):
                rows.plans.delete("plan-1")

    def test_an_id_is_given_once(self, database):
        with database.write() as rows:
            rows.plans.create(make.plan())
            with pytest.raises(errors.Conflict):
                rows.plans.create(make.plan(name="another"))
            assert rows.plans.get("plan-1").name == "daily"

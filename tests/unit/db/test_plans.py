# SPDX-License-Identifier: Apache-2.0
"""Are plans kept whole, and apart by project?"""

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

# SPDX-License-Identifier: Apache-2.0
"""Are restores kept whole, and does each resource's fate show?"""

from dataclasses import replace

import pytest

from karbor.model import errors
from karbor.model.page import PageRequest
from karbor.model.progress import Progress
from tests.support import rows as make
from tests.support.markers import dump


class TestRestores:
    def test_a_restore_comes_back_as_it_was_created(self, database, clock):
        full = make.restore(
            parameters={"T": {"name": "x"}}, restore_target="http://there", progress=Progress(1, 2, "a", "b", 3)
        )
        with database.write() as rows:
            created = rows.restores.create(full)
            assert rows.restores.get("restore-1", project_id=make.PROJECT) == created
        assert created == replace(full, created_at=clock.now())

    def test_another_project_does_not_find_it(self, database):
        with database.write() as rows:
            rows.restores.create(make.restore())
            with pytest.raises(errors.NotFound):
                rows.restores.get("restore-1", project_id="another")

    def test_it_ends_once(self, database, clock):
        with database.write() as rows:
            rows.restores.create(make.restore())
            moved = rows.restores.transition("restore-1", "success", finished_at=clock.now())
            assert rows.restores.transition("restore-1", "success") == moved
            with pytest.raises(errors.Conflict):
                rows.restores.transition("restore-1", "fail")
            with pytest.raises(TypeError):
                rows.restores.transition("restore-1", "success", status="fail")
            assert (moved.status, moved.finished_at) == ("success", clock.now())

    def test_resources_are_noted_one_by_one(self, database):
        with database.write() as rows:
            rows.restores.create(make.restore())
            rows.restores.set_resource("restore-1", "T#1", "error", "no room")
            rows.restores.set_resource("restore-1", "T#2", "restored")
            found = rows.restores.get("restore-1")
            assert found.resources_status == {"T#1": "error", "T#2": "restored"}
            assert found.resources_reason == {"T#1": "no room"}
            rows.restores.set_resource("restore-1", "T#1", "restored")
            assert rows.restores.get("restore-1").resources_reason == {}
            with pytest.raises(errors.NotFound):
                rows.restores.set_resource("nowhere", "T#1", "restored")

    def test_what_only_passed_is_shown_no_more(self, database):
        with database.write() as rows:
            rows.restores.create(make.restore())
            rows.restores.set_resource("restore-1", "T#1", "error", "no room")
            rows.restores.set_resource("restore-1", "T#2", "restored")
            for _twice in range(2):
                rows.restores.drop_resource("restore-1", "T#1")
            found = rows.restores.get("restore-1")
            assert (found.resources_status, found.resources_reason) == ({"T#2": "restored"}, {})
            with pytest.raises(errors.NotFound):
                rows.restores.drop_resource("nowhere", "T#1")

    @pytest.mark.parametrize("status", ["success", "fail"])
    def test_secret_parameters_are_there_until_it_ends(self, database, status):
        with database.write() as rows:
            rows.restores.create(make.restore(parameters={"OS::Heat::Stack": {"stack_parameters": "hunter2"}}))
            assert rows.restores.get("restore-1").parameters["OS::Heat::Stack"] == {"stack_parameters": "hunter2"}
            ended = rows.restores.transition("restore-1", status)
            assert ended == rows.restores.get("restore-1") == rows.restores.transition("restore-1", status)
        assert ended.parameters == {"OS::Heat::Stack": {"stack_parameters": "***"}}
        assert b"hunter2" not in dump(database.engine)

    def test_progress_is_shown(self, database):
        with database.write() as rows:
            rows.restores.create(make.restore())
            rows.restores.set_progress("restore-1", Progress(7, 8))
            rows.restores.set_progress("nowhere", Progress(7, 8))
            assert rows.restores.get("restore-1").progress == Progress(7, 8)

    def test_a_list_is_of_one_project_and_by_status(self, database):
        with database.write() as rows:
            rows.restores.create(make.restore("1"))
            rows.restores.create(make.restore("2", status="fail"))
            rows.restores.create(make.restore("3", project_id="another"))
            page = rows.restores.list(PageRequest(project_id=make.PROJECT, filters={"status": "fail"}))
            assert [item.id for item in page.items] == ["2"]
            assert len(rows.restores.list(PageRequest()).items) == 3

    @pytest.mark.parametrize("status", ["success", "fail"])
    def test_a_sealed_login_is_there_until_it_ends(self, database, status):
        with database.write() as rows:
            rows.restores.create(make.restore())
            rows.restores.keep_login("restore-1", "sealed")
            assert rows.restores.login("restore-1") == "sealed"
            rows.restores.transition("restore-1", status)
            assert rows.restores.login("restore-1") is None
        assert b"sealed" not in dump(database.engine)

# SPDX-License-Identifier: Apache-2.0
"""Are verifications kept as restores are, with their report?"""

from dataclasses import replace

import pytest

from karbor.model import errors
from karbor.model.page import PageRequest
from karbor.model.progress import Progress
from tests.support import rows as make


class TestVerifications:
    def test_a_verification_comes_back_with_its_report(self, database, clock):
        full = make.verification(parameters={"T": {"level": "quick"}}, progress=Progress(1, 2, "a", "b", 3))
        with database.write() as rows:
            created = rows.verifications.create(full)
            assert rows.verifications.get("verification-1", project_id=make.PROJECT) == created
            assert created == replace(full, created_at=clock.now())
            report = {"damaged": [{"resource": "T#1", "ranges": [[0, 4096]]}]}
            ended = rows.verifications.transition("verification-1", "fail", report=report, finished_at=clock.now())
            assert rows.verifications.get("verification-1") == ended
            assert (ended.report, ended.finished_at) == (report, clock.now())
            with pytest.raises(errors.NotFound, match="verification"):
                rows.verifications.get("verification-1", project_id="another")

    def test_it_ends_once(self, database):
        with database.write() as rows:
            rows.verifications.create(make.verification())
            rows.verifications.transition("verification-1", "success")
            with pytest.raises(errors.Conflict, match="verification"):
                rows.verifications.transition("verification-1", "fail")
            with pytest.raises(TypeError):
                rows.verifications.transition("verification-1", "success", restore_target="there")

    def test_resources_and_progress_are_noted(self, database):
        with database.write() as rows:
            rows.verifications.create(make.verification())
            rows.verifications.set_resource("verification-1", "T#1", "error", "damaged")
            rows.verifications.set_resource("verification-1", "T#2", "available")
            rows.verifications.set_progress("verification-1", Progress(7, 8))
            found = rows.verifications.get("verification-1")
        assert found.resources_status == {"T#1": "error", "T#2": "available"}
        assert (found.resources_reason, found.progress) == ({"T#1": "damaged"}, Progress(7, 8))

    def test_a_list_is_of_one_project_by_status_and_checkpoint(self, database):
        with database.write() as rows:
            rows.verifications.create(make.verification("1"))
            rows.verifications.create(make.verification("2", status="fail"))
            rows.verifications.create(make.verification("3", status="fail", checkpoint_id="another"))
            rows.verifications.create(make.verification("4", project_id="another"))

            def listed(**filters):
                page = rows.verifications.list(PageRequest(project_id=make.PROJECT, filters=filters))
                return {item.id for item in page.items}

            assert listed(status="fail") == {"2", "3"}
            assert listed(checkpoint_id="checkpoint-1") == {"1", "2"}
            assert len(rows.verifications.list(PageRequest()).items) == 4

# SPDX-License-Identifier: Apache-2.0
"""Does the log tell what was done and how it ended?"""

from dataclasses import replace
from datetime import timedelta

import pytest

from karbor.model import errors
from karbor.model.page import PageRequest
from tests.support import rows as make


class TestOperationLogs:
    def test_a_log_comes_back_and_is_finished(self, database, clock):
        with database.write() as rows:
            created = rows.operation_logs.create(make.log(checkpoint_id="c", extra_info={"a": 1}))
            assert rows.operation_logs.get("job-1", project_id=make.PROJECT) == created
            clock.pass_time(9)
            rows.operation_logs.finish("job-1", status="error", ended_at=clock.now(), error_info="x" * 100_000)
            found = rows.operation_logs.get("job-1")
        assert created.started_at == clock.now() - timedelta(seconds=9)
        assert found == replace(created, status="error", ended_at=clock.now(), error_info="x" * 100_000)

    def test_the_end_of_a_job_does_not_depend_on_its_log(self, database, clock):
        with database.write() as rows:
            rows.operation_logs.finish("nowhere", status="error", ended_at=clock.now())

    def test_what_more_is_known_is_kept_beside_what_was_known(self, database):
        with database.write() as rows:
            rows.operation_logs.create(make.log(extra_info={"a": 1}))
            rows.operation_logs.note("job-1", attempts=2)
            rows.operation_logs.note("job-1", attempts=3)
            rows.operation_logs.note("nowhere", attempts=1)
            assert rows.operation_logs.get("job-1").extra_info == {"a": 1, "attempts": 3}

    def test_another_project_does_not_find_it(self, database):
        with database.write() as rows:
            rows.operation_logs.create(make.log())
            with pytest.raises(errors.NotFound):
                rows.operation_logs.get("job-1", project_id="another")

    @pytest.mark.parametrize("key", ["status", "started_at", "created_at", "id"])
    @pytest.mark.parametrize("direction", ["asc", "desc"])
    def test_logs_without_a_status_yet_have_a_place_in_every_order(self, database, clock, key, direction):
        with database.write() as rows:
            for number, status in enumerate([None, "error", None, "available", "error"]):
                moment = clock.now() + timedelta(seconds=number % 2)
                rows.operation_logs.create(make.log(str(number), status=status, started_at=moment))
            walked, marker = [], None
            while page := rows.operation_logs.list(PageRequest(limit=1, sort=((key, direction),), marker=marker)).items:
                walked.append(marker := page[0].id)
        assert sorted(walked) == ["0", "1", "2", "3", "4"]

    @pytest.mark.parametrize(
        "name",
        [
            *("checkpoint_id", "plan_id", "restore_id", "verification_id", "scheduled_operation_id"),
            *("status", "provider_id", "operation_type"),
        ],
    )
    def test_filters_are_exact(self, database, name):
        with database.write() as rows:
            rows.operation_logs.create(make.log("1", **{name: "x"}))
            rows.operation_logs.create(make.log("2", **{name: "xx"}))
            rows.operation_logs.create(make.log("3"))
            page = rows.operation_logs.list(PageRequest(filters={name: "x"}))
        assert [item.id for item in page.items] == ["1"]

    def test_a_log_that_has_no_status_yet_says_so(self, database):
        with database.write() as rows:
            rows.operation_logs.create(make.log())
            assert rows.operation_logs.get("job-1").status is None

    def test_old_ones_are_purged_oldest_first(self, database, clock):
        with database.write() as rows:
            for number in range(4):
                rows.operation_logs.create(make.log(str(number)))
                clock.pass_time(1)
            moment = clock.now() - timedelta(seconds=1)
            assert rows.operation_logs.purge(moment, 2) == 2
            assert [log.id for log in rows.operation_logs.list(PageRequest()).items] == ["3", "2"]
            assert [rows.operation_logs.purge(moment, 2) for _ in range(2)] == [1, 0]

    def test_days_are_of_the_beginning(self, database, clock):
        with database.write() as rows:
            for day in (1, 2, 3):
                rows.operation_logs.create(make.log(str(day), started_at=clock.now().replace(month=5, day=day)))
            year = clock.now().year
            filters = {"start_date": f"{year}-05-02", "end_date": f"{year}-05-02"}
            page = rows.operation_logs.list(PageRequest(filters=filters))
        assert [item.id for item in page.items] == ["2"]

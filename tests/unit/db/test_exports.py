# SPDX-License-Identifier: Apache-2.0
"""Is an export taken by one host only, counted per project, and ended when its time is over?"""

from dataclasses import replace
from datetime import timedelta

import pytest

from karbor.model import errors
from tests.support import rows as make


class TestExports:
    def test_an_export_comes_back_with_its_streams(self, database, clock):
        entry = {"resource": "T#1", "stream": "disk", "size": 4096, "uri": "nbd+unix:///?socket=/x"}
        with database.write() as rows:
            created = rows.exports.create(make.export(resource="T#1", stream="disk", expires_at=clock.now()))
            assert rows.exports.get("export-1") == replace(created, streams=[])
            active = rows.exports.transition("export-1", "active", streams=[entry])
            assert (active.status, active.streams) == ("active", [entry])
            with pytest.raises(errors.NotFound, match="export"):
                rows.exports.get("export-1", project_id="another")

    def test_one_that_ended_stays_ended(self, database):
        with database.write() as rows:
            rows.exports.create(make.export())
            rows.exports.transition("export-1", "closed")
            with pytest.raises(errors.Conflict, match="export"):
                rows.exports.transition("export-1", "active")

    def test_each_is_taken_by_one_host_that_has_its_provider(self, database):
        with database.write() as rows:
            rows.exports.create(make.export("1"))
            rows.exports.create(make.export("2", host="there"))
            assert rows.exports.take(host="here", provider_ids=["another"]) is None
            assert rows.exports.take(host="here", provider_ids=[make.PROVIDER]).id == "1"
            assert rows.exports.take(host="there", provider_ids=[make.PROVIDER]) is None
            assert [export.id for export in rows.exports.on("here")] == ["1"]
            assert [export.id for export in rows.exports.on("there")] == ["2"]

    def test_only_those_that_have_not_ended_count(self, database):
        with database.write() as rows:
            for id, status in (("1", "starting"), ("2", "active"), ("3", "closing"), ("4", "closed"), ("5", "error")):
                rows.exports.create(make.export(id, status=status))
            rows.exports.create(make.export("6", project_id="another"))
            assert rows.exports.count_open(make.PROJECT) == 3
            assert [export.id for export in rows.exports.open_of(checkpoint_id="checkpoint-1")] == ["1", "2", "3", "6"]
            assert rows.exports.open_of(checkpoint_id="checkpoint-2") == []

    def test_one_whose_host_is_gone_ends_after_its_time(self, database, clock):
        with database.write() as rows:
            rows.exports.create(make.export("1", status="active", host="gone", expires_at=clock.now()))
            rows.exports.create(make.export("2", status="active", expires_at=clock.now() + timedelta(hours=1)))
            assert rows.exports.end_overdue(reason="over") == 0
            clock.pass_time(120)
            assert rows.exports.end_overdue(reason="over") == 1
            ended = rows.exports.get("1")
        assert (ended.status, ended.reason, ended.finished_at) == ("closed", "over", clock.now())

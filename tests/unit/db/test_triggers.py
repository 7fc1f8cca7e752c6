# SPDX-License-Identifier: Apache-2.0
"""Are triggers kept, found by what they hold, and not deleted while they are used?"""

from dataclasses import replace

import pytest

from karbor.model import errors
from karbor.model.page import PageRequest
from tests.support import rows as make


class TestTriggers:
    def test_a_trigger_comes_back_and_is_replaced(self, database, clock):
        with database.write() as rows:
            created = rows.triggers.create(make.trigger())
            assert created == replace(make.trigger(), created_at=clock.now())
            assert rows.triggers.get("trigger-1", project_id=make.PROJECT, lock=True) == created
            clock.pass_time(5)
            changed = rows.triggers.update(replace(created, name="weekly", properties={"pattern": "0 3 * * 1"}))
            assert rows.triggers.get("trigger-1") == changed
            assert (changed.created_at, changed.updated_at) == (created.created_at, clock.now())
            with pytest.raises(errors.NotFound):
                rows.triggers.get("trigger-1", project_id="another")
            with pytest.raises(errors.NotFound):
                rows.triggers.update(make.trigger("nowhere"))

    def test_one_that_is_used_stays(self, database):
        with database.write() as rows:
            rows.plans.create(make.plan())
            rows.triggers.create(make.trigger())
            rows.scheduled_operations.create(make.scheduled_operation())
            with pytest.raises(errors.Conflict, match="used by a scheduled operation"):
                rows.triggers.delete("trigger-1")
            rows.scheduled_operations.delete("operation-1")
            rows.triggers.delete("trigger-1")
            with pytest.raises(errors.NotFound):
                rows.triggers.delete("trigger-1")

    @pytest.mark.parametrize(
        ("filters", "found"),
        [
            ({"name": "ight"}, ["1", "2"]),
            ({"type": "time"}, ["1", "2"]),
            ({"type": "tim"}, []),
            ({"properties": "0 2 * * *"}, ["1"]),
            ({"properties": '"format": "crontab"'}, ["1"]),
            ({"properties": "grün"}, ["2"]),
            ({"properties": 'say "hi"'}, ["2"]),
            ({"properties": "%"}, []),
            ({"properties": "BEGIN:VEVENT\nRRULE"}, ["2"]),
        ],
    )
    def test_filters(self, database, filters, found):
        calendar = {"pattern": "BEGIN:VEVENT\nRRULE:FREQ=DAILY", "note": 'grün say "hi"'}
        with database.write() as rows:
            rows.triggers.create(make.trigger("1"))
            rows.triggers.create(make.trigger("2", properties=calendar))
            rows.triggers.create(make.trigger("3", name="x", type="other", properties={}))
            page = rows.triggers.list(PageRequest(sort=(("id", "asc"),), filters=filters))
        assert [trigger.id for trigger in page.items] == found

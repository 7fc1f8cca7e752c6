# SPDX-License-Identifier: Apache-2.0
"""Is a notification taken for good, or kept for later?"""

from karbor.db.database import Database
from karbor.model.page import PageRequest
from karbor.operationengine.happenings import Happenings
from karbor.operationengine.hearing import Hearing
from karbor.rpc.listener import Told
from karbor.sdk.trigger import Limits, load_types
from tests.support import rows as make
from tests.support.schedules import scheduled

HAPPENINGS = Happenings(load_types(Limits(3600, 900, 1800)), interval_ms=0)


def _told(id="m1", project=make.PROJECT):
    return Told(id, "volume.create.end", project, {"size": 1})


def test_however_often_it_comes_it_starts_one_run(database):
    with database.write() as rows:
        properties = {"event_type": "volume.*"}
        rows.triggers.create(make.trigger("t", type="notification", properties=properties))
        scheduled(rows, "a")
        what = {"plan_id": "plan-a", "provider_id": make.PROVIDER}
        rows.scheduled_operations.create(make.scheduled_operation("b", trigger_id="t", operation_definition=what))
    hearing = Hearing(database, HAPPENINGS)
    assert all([hearing.hear(_told()), hearing.hear(_told()), hearing.hear(_told("m2", "another"))])
    assert hearing.hear(_told("m3", None))
    with database.read() as rows:
        assert [run.scheduled_operation_id for run in rows.scheduled_runs.list(PageRequest()).items] == ["b"]


def test_where_the_database_does_not_answer_it_is_not_taken(tmp_path, clock):
    empty = Database(f"sqlite:///{tmp_path}/empty.sqlite", clock=clock)
    assert not Hearing(empty, HAPPENINGS).hear(_told())
    empty.dispose()

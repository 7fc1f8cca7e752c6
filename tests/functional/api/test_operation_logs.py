# SPDX-License-Identifier: Apache-2.0
"""Does the operation log tell what was done?"""

import uuid

import pytest

from karbor.model.operation import OPERATIONS, OperationLog
from tests.support.api import OTHER_PROJECT, PROJECT, PROVIDER, SERVER

FILTERS = ("checkpoint_id", "plan_id", "restore_id", "verification_id", "provider_id", "scheduled_operation_id")


def test_an_entry_has_every_field_of_the_old_service(api):
    api.checkpoint()
    (shown,) = api.get("/operation_logs")["operation_logs"]
    assert {
        "id", "operation_type", "checkpoint_id", "plan_id", "provider_id", "restore_id", "scheduled_operation_id",
        "status", "started_at", "ended_at", "error_info", "extra_info",
    } <= set(shown)  # fmt: skip
    assert shown["request_id"].startswith("req-")
    assert (shown["project_id"], shown["verification_id"]) == (PROJECT, None)
    assert shown["started_at"] == "2026-01-02T03:04:05.000000"
    assert api.get(f"/operation_logs/{shown['id']}") == {"operation_log": shown}


def test_how_it_ended_is_shown(api):
    api.checkpoint()
    (entry,) = api.get("/operation_logs")["operation_logs"]
    with api.database.write() as rows:
        rows.operation_logs.finish(entry["id"], status="error", ended_at=api.clock.now(), error_info="no room")
    shown = api.get("/operation_logs", status="error")["operation_logs"][0]
    assert (shown["error_info"], shown["ended_at"]) == ("no room", "2026-01-02T03:04:05.000000")


def test_lists_are_cut_by_what_they_are_about(api):
    first = api.checkpoint()
    second = api.checkpoint()
    entries = api.get("/operation_logs", checkpoint_id=first["id"])["operation_logs"]
    assert [entry["checkpoint_id"] for entry in entries] == [first["id"]]
    entries = api.get("/operation_logs", plan_id=second["protection_plan"]["id"])["operation_logs"]
    assert [entry["checkpoint_id"] for entry in entries] == [second["id"]]
    assert len(api.get("/operation_logs", provider_id=PROVIDER)["operation_logs"]) == 2


def entries(api, **query):
    return [entry["id"] for entry in api.get("/operation_logs", **query)["operation_logs"]]


@pytest.mark.parametrize("kind", OPERATIONS)
def test_every_kind_of_work_is_found_by_each_of_its_ids(api, kind):
    ids = {name: str(uuid.uuid4()) for name in FILTERS}
    log = OperationLog(str(uuid.uuid4()), PROJECT, kind, **ids, extra_info={"request_id": "req-1"})
    with api.database.write() as rows:
        rows.operation_logs.create(log)
        rows.operation_logs.create(OperationLog(SERVER, PROJECT, "protect", status="available"))
    for name, value in ids.items():
        assert entries(api, **{name: value}) == [log.id]
        assert api.get(f"/operation_logs/{log.id}")["operation_log"][name] == value
    assert log.id in entries(api, operation_type=kind)
    assert entries(api, checkpoint_id=ids["checkpoint_id"], operation_type="nonsense") == []


def test_lists_are_cut_by_day(api):
    api.checkpoint()
    (first,) = entries(api)
    api.clock.pass_time(86400)
    api.checkpoint()
    second = next(id_ for id_ in entries(api) if id_ != first)
    assert entries(api, start_date="2026-01-03") == [second]
    assert entries(api, end_date="2026-01-02") == [first]
    assert entries(api, start_date="2026-01-02", end_date="2026-01-03", sort="started_at:asc") == [first, second]


@pytest.mark.parametrize("query", [{"start_date": "today"}, {"end_date": "2026-02-30"}, {"plan_id": "x"}])
def test_a_wrong_filter_is_refused(api, query):
    api.refused(400, "GET", "/operation_logs", **query)


def test_other_projects_see_nothing_of_it(api):
    api.checkpoint()
    assert api.get("/operation_logs", project=OTHER_PROJECT) == {"operation_logs": []}


@pytest.mark.parametrize(("id_", "status"), [("x", 400), (SERVER, 404)])
def test_an_unknown_entry_is_told(api, id_, status):
    api.refused(status, "GET", f"/operation_logs/{id_}")

# SPDX-License-Identifier: Apache-2.0
"""Does the operation log tell what was done?"""

import pytest

from tests.support.api import OTHER_PROJECT, PROVIDER, SERVER


def test_an_entry_has_every_field_of_the_old_service(api):
    api.checkpoint()
    (shown,) = api.get("/operation_logs")["operation_logs"]
    assert list(shown) == [
        "id", "operation_type", "checkpoint_id", "plan_id", "provider_id", "restore_id", "scheduled_operation_id",
        "status", "started_at", "ended_at", "error_info", "extra_info",
    ]  # fmt: skip
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


def test_other_projects_see_nothing_of_it(api):
    api.checkpoint()
    assert api.get("/operation_logs", project=OTHER_PROJECT) == {"operation_logs": []}


@pytest.mark.parametrize(("id_", "status"), [("x", 400), (SERVER, 404)])
def test_an_unknown_entry_is_told(api, id_, status):
    api.refused(status, "GET", f"/operation_logs/{id_}")

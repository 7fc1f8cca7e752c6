# SPDX-License-Identifier: Apache-2.0
"""Can triggers be made, changed, looked ahead and removed, and is everything wrong with one told at once?"""

import pytest

from karbor.model import errors
from karbor.model.trigger import Trigger
from tests.support.api import PROJECT, SERVER, Api

NIGHTLY = {"format": "crontab", "pattern": "0 2 * * *"}
EVENT = "BEGIN:VEVENT\r\nRRULE:FREQ=DAILY;BYHOUR=2;BYMINUTE=0\r\nEND:VEVENT\r\n"


def body(**properties):
    return {"trigger_info": {"name": "t", "type": "time", "properties": properties}}


def change(api, trigger, **changes):
    status, answer = api.send("PUT", f"/triggers/{trigger['id']}", {"trigger_info": changes})
    assert status == 200, answer
    return answer["trigger_info"]


def fires(api, trigger, **query):
    return api.get(f"/triggers/{trigger['id']}/fires", **query)["fires"]


def test_a_trigger_is_shown_as_it_was_given(api):
    trigger = api.trigger(window="1800")
    assert trigger["properties"] == {**NIGHTLY, "window": 1800}
    assert (trigger["type"], trigger["project_id"]) == ("time", PROJECT)
    assert api.get(f"/triggers/{trigger['id']}") == {"trigger_info": trigger}
    assert api.get("/triggers") == {"triggers": [trigger]}


def test_the_dashboard_sends_a_bare_event_without_start_and_window(api):
    trigger = api.trigger(format="calendar", pattern=EVENT)
    assert trigger["properties"] == {"format": "calendar", "pattern": EVENT}
    assert fires(api, trigger, count=1)[0]["at"] == "2026-01-03T02:00:05.000000"  # the seconds of its start


def test_line_ends_may_be_typed_as_two_characters(api):
    trigger = api.trigger(format="calendar", pattern=EVENT.replace("\r\n", "\\n"))
    assert len(fires(api, trigger, count=2)) == 2


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({}, "format must be one of calendar, crontab"),
        ({**NIGHTLY, "format": "sundial"}, "format must be one of calendar, crontab"),
        ({**NIGHTLY, "pattern": "every night"}, "five fields"),
        ({**NIGHTLY, "pattern": "x" * 5000}, "properties.pattern"),
        ({**NIGHTLY, "pattern": 5}, "properties.pattern"),
        ({**NIGHTLY, "window": 60}, "window must be between 900 and 1800"),
        ({**NIGHTLY, "window": 1.5}, "properties.window"),
        ({**NIGHTLY, "start_time": "tomorrow"}, "start_time must be"),
        ({**NIGHTLY, "end_time": "2020-01-01 00:00:00"}, "later than start_time"),
        ({**NIGHTLY, "timezone": "Europe/Nowhere"}, "timezone"),
        ({**NIGHTLY, "strange": 1}, "'strange' is not known"),
        ({"format": "crontab", "pattern": "*/5 * * * *"}, "300 seconds apart"),
        ({"format": "calendar", "pattern": EVENT.replace("DAILY", "SECONDLY")}, "FREQ=SECONDLY"),
        ({"format": "calendar", "pattern": EVENT.replace(";", ";BYMONTH=2;BYMONTHDAY=30;", 1)}, "never run"),
    ],
)
def test_a_wrong_trigger_is_refused_and_nothing_is_left_behind(api, properties, reason):
    assert reason in api.refused(400, "POST", "/triggers", body(**properties))
    assert api.get("/triggers") == {"triggers": []}


@pytest.mark.parametrize("kind", ["event", "", "TIME"])
def test_only_the_kinds_that_are_installed_are_taken(api, kind):
    wrong = {"trigger_info": {"name": "t", "type": kind, "properties": NIGHTLY}}
    assert "type" in api.refused(400, "POST", "/triggers", wrong)


@pytest.mark.parametrize("missing", ["name", "type", "properties"])
def test_what_a_trigger_needs_is_named(api, missing):
    sent = body(**NIGHTLY)
    del sent["trigger_info"][missing]
    assert f"'{missing}' is required" in api.refused(400, "POST", "/triggers", sent)


def test_empty_properties_mean_unchanged(api):
    trigger = api.trigger()
    after = change(api, trigger, name="z", properties={})
    assert (after["name"], after["properties"]) == ("z", trigger["properties"])
    assert after["updated_at"]


def test_properties_are_merged_and_null_takes_one_away(api):
    trigger = api.trigger(window=1800, end_time="2027-01-01T00:00:00")
    after = change(api, trigger, properties={"pattern": "1 0 * * *", "end_time": None})
    assert after["properties"] == {"format": "crontab", "pattern": "1 0 * * *", "window": 1800}


@pytest.mark.parametrize(
    "changes", [{"properties": {"pattern": "x"}}, {"properties": {"format": None}}, {"type": "time"}, {"name": ""}]
)
def test_a_wrong_change_is_refused_and_changes_nothing(api, changes):
    trigger = api.trigger()
    api.refused(400, "PUT", f"/triggers/{trigger['id']}", {"trigger_info": changes})
    assert api.get(f"/triggers/{trigger['id']}") == {"trigger_info": trigger}


def test_a_change_that_changes_nothing_is_none(api):
    trigger = api.trigger()
    assert change(api, trigger, name="nightly", properties={"pattern": "0 2 * * *"})["updated_at"] is None


def test_the_next_fires_can_be_seen(api):
    trigger = api.trigger(timezone="Europe/Berlin", start_time="2026-03-27 12:00:00")
    assert api.get(f"/triggers/{trigger['id']}/fires", count=2) == {
        "fires": [
            {"at": at, "local": local, "planned": at}
            for at, local in (
                ("2026-03-28T01:00:00.000000", "2026-03-28T02:00:00+01:00"),
                ("2026-03-29T01:00:00.000000", "2026-03-29T03:00:00+02:00"),  # 02:00 does not come
            )
        ],
        "left_out": [],
        "window": 900,
    }
    assert len(fires(api, trigger)) == 10
    assert len(fires(api, trigger, count=100)) == 100


def test_fires_are_told_from_now_on_and_until_the_end(api):
    trigger = api.trigger(start_time="2025-01-01 00:00:00", end_time="2026-01-05 02:00:00")
    assert [fire["at"][:10] for fire in fires(api, trigger)] == ["2026-01-03", "2026-01-04", "2026-01-05"]
    api.clock.pass_time(10 * 24 * 3600)
    assert fires(api, trigger) == []


@pytest.mark.parametrize("count", ["0", "101", "-1", "x", "1.5", "", "9" * 30, "²"])
def test_a_preview_has_a_bound(api, count):
    trigger = api.trigger()
    assert "count" in api.refused(400, "GET", f"/triggers/{trigger['id']}/fires", count=count)


def test_a_used_trigger_stays(api):
    trigger = api.trigger()
    scheduled = api.scheduled_operation(trigger=trigger)
    path = f"/triggers/{trigger['id']}"
    assert "used by a scheduled operation" in api.refused(409, "DELETE", path)
    api.send("DELETE", f"/scheduled_operations/{scheduled['id']}")
    assert api.send("DELETE", path) == (204, None)
    api.refused(404, "GET", path)
    api.refused(404, "PUT", path, {"trigger_info": {"name": "z"}})
    api.refused(404, "GET", f"{path}/fires")


def test_filters_find_parts_of_texts_and_nothing_is_special_in_them(api):
    berlin = api.trigger(name="berlin%", timezone="Europe/Berlin")
    rome = api.trigger(name="rome", timezone="Europe/Rome", pattern="0 3 * * *")
    assert api.get("/triggers", name="%")["triggers"] == [berlin]
    assert api.get("/triggers", properties="Europe/Rome")["triggers"] == [rome]
    assert api.get("/triggers", properties="0 3 * * *")["triggers"] == [rome]
    assert api.get("/triggers", type="tim") == {"triggers": []}
    assert len(api.get("/triggers", type="time")["triggers"]) == 2


def test_pages_go_forwards_and_backwards(api):
    made = [api.trigger(name=f"t{number}") for number in range(5)]
    page = api.get("/triggers", limit=2, sort_key="name", sort_dir="asc", marker=made[1]["id"])
    assert [found["name"] for found in page["triggers"]] == ["t2", "t3"]
    assert page["triggers_links"][0]["rel"] == "next"
    back = api.get("/triggers", limit=2, sort_key="name", sort_dir="desc", marker=made[2]["id"])
    assert [found["name"] for found in back["triggers"]] == ["t1", "t0"]
    api.refused(400, "GET", "/triggers", marker=SERVER)
    api.refused(400, "GET", "/triggers", sort="status")


def test_a_trigger_whose_kind_was_uninstalled_is_still_shown(api):
    with api.database.write() as rows:
        rows.triggers.create(Trigger(id=SERVER, project_id=PROJECT, name="old", type="gone", properties={"a": 1}))
    assert api.get(f"/triggers/{SERVER}")["trigger_info"]["properties"] == {"a": 1}
    assert "must be one of after, at, notification, time, webhook" in api.refused(
        400, "GET", f"/triggers/{SERVER}/fires"
    )
    assert api.send("DELETE", f"/triggers/{SERVER}") == (204, None)


def test_bounds_that_contradict_each_other_keep_the_service_from_starting(tmp_path):
    with pytest.raises(errors.ConfigurationError):
        Api(tmp_path, min_window_time=2000)


def test_the_operator_sets_the_bounds(tmp_path):
    api = Api(tmp_path, min_interval=300, min_window_time=60, max_window_time=120)
    trigger = api.trigger(pattern="*/5 * * * *", window=60)
    assert trigger["properties"]["window"] == 60
    api.database.dispose()

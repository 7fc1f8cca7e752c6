# SPDX-License-Identifier: Apache-2.0
"""Does a schedule fire in real time in the embedded service, with everything that follows?"""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.service import Embedded

NOOP = "b766f37c-d011-4026-8228-28730d734a3f"
RESOURCE = {"id": str(uuid.uuid4()), "type": "OS::Nova::Server", "name": "vm"}
QUICK = (
    "[DEFAULT]\nreport_interval = 1\nmin_interval = 3600\nmin_window_time = 600\nmax_window_time = 1800\n"
    "[jobs]\nlease = 2\npoll = 0.2\ngrace = 2\n"
    "[operationengine]\npoll = 0.2\nwatch = 0.2\nretry_delay = 1\nlease = 20\n"
)
ENDED = ("success", "failed", "missed", "skipped")


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with Embedded(tmp_path_factory.mktemp("k") / "karbor", libvirt_uri="test:///default", settings=QUICK) as running:
        yield running


def _schedule(rest, type_, at=None, **definition):
    """A scheduled operation that is done every day at that time."""
    at = at or datetime.now(UTC) - timedelta(hours=2)
    rule = f"RRULE:FREQ=DAILY;BYHOUR={at.hour};BYMINUTE={at.minute};BYSECOND={at.second}"
    properties = {"format": "calendar", "pattern": f"BEGIN:VEVENT\n{rule}\nEND:VEVENT"}
    trigger = rest.post("/triggers", {"trigger_info": {"name": "t", "type": "time", "properties": properties}})
    body = {
        "name": type_,
        "operation_type": type_,
        "trigger_id": trigger["trigger_info"]["id"],
        "operation_definition": definition,
    }
    return rest.post("/scheduled_operations", {"scheduled_operation": body})["scheduled_operation"]


def _now(rest, scheduled):
    run = rest.post(f"/scheduled_operations/{scheduled['id']}/action", {"run": {}})["run"]
    return rest.wait(f"/scheduled_operations/{scheduled['id']}/runs/{run['id']}", "run", ENDED)


def test_a_schedule_fires_by_itself_and_the_next_time_is_shown(service):
    rest = service.rest
    plan = rest.plan(NOOP, [RESOURCE])
    at = (datetime.now(UTC) + timedelta(seconds=4)).replace(microsecond=0)
    scheduled = _schedule(rest, "protect", at, plan_id=plan["id"], provider_id=NOOP)
    assert datetime.fromisoformat(scheduled["next_run"]).replace(tzinfo=UTC) >= at
    path = f"/scheduled_operations/{scheduled['id']}"
    rest.wait_for(lambda: rest.get(f"{path}/runs")["runs"])
    (run,) = rest.get(f"{path}/runs")["runs"]
    assert rest.wait(f"{path}/runs/{run['id']}", "run", ENDED)["status"] == "success"
    (checkpoint,) = rest.get(f"/checkpoints?plan_id={plan['id']}")["checkpoints"]
    assert checkpoint["status"] == "available" and scheduled["id"] in checkpoint["extra_info"]
    (log,) = rest.get(f"/operation_logs?scheduled_operation_id={scheduled['id']}")["operation_logs"]
    assert log["checkpoint_id"] == checkpoint["id"]
    following = rest.get(path)["scheduled_operation"]["next_run"]
    assert datetime.fromisoformat(following).replace(tzinfo=UTC) > at


def test_old_checkpoints_go_and_manual_ones_stay_and_the_newest_is_verified(service):
    rest = service.rest
    plan = rest.plan(NOOP, [RESOURCE])
    manual = rest.protect(plan)
    what = {"plan_id": plan["id"], "provider_id": NOOP}
    scheduled = _schedule(rest, "retention_protect", **what, max_backups=2)
    runs = [_now(rest, scheduled) for _time in range(3)]
    assert [run["deleted_checkpoints"] for run in runs] == [0, 0, 1]

    def there():
        return {found["id"] for found in rest.get(f"/checkpoints?plan_id={plan['id']}")["checkpoints"]}

    rest.wait_for(lambda: there() == {manual["id"], runs[1]["checkpoint_id"], runs[2]["checkpoint_id"]})
    run = _now(rest, _schedule(rest, "verify", **what, level="quick"))
    assert run["status"] == "success", run
    found = rest.get(f"/verifications/{run['verification_id']}")["verification"]
    assert found["checkpoint_id"] == runs[2]["checkpoint_id"]
    run = _now(rest, _schedule(rest, "restore_check", **what, level="quick"))
    assert run["status"] == "success", run
    assert rest.get(f"/verifications/{run['verification_id']}")["verification"]["status"] == "success"

# SPDX-License-Identifier: Apache-2.0
"""Is a lock asked for by whom it may be, refused where it would weaken another one, and heeded at once?"""

from datetime import timedelta

import pytest

from karbor.api.v1.locks import RULES
from karbor.common.clock import iso
from karbor.model.lock import COMPLIANCE, GOVERNANCE, shown
from tests.support.api import PROVIDER, SERVER, Api

PATH = f"/providers/{PROVIDER}/checkpoints"
DAY = timedelta(days=1)


@pytest.fixture
def path(api):
    return f"{PATH}/{api.checkpoint()['id']}"


def known(api, path, **fields):
    """What the worker wrote down, after the bank knew it."""
    with api.database.write() as rows:
        rows.checkpoints.update(path.rpartition("/")[2], **fields)


def lock(api, mode, days):
    return {"lock": {"mode": mode, "until": shown(api.clock.now() + days * DAY)}}


def jobs(api, path):
    with api.database.read() as rows:
        return [job for job in rows.jobs.live_for(checkpoint_id=path.rpartition("/")[2]) if job.operation == "lock"]


def test_a_lock_is_work_for_the_bank_and_until_it_knows_nothing_is_deleted(api, path):
    status, answer = api.send("POST", f"{path}/action", lock(api, COMPLIANCE, 3))
    assert status == 202 and answer["checkpoint"]["lock_mode"] is None
    [job] = jobs(api, path)
    assert job.payload["action"] == "lock" and job.payload["until"] == shown(api.clock.now() + 3 * DAY)
    assert "lock" in api.refused(409, "DELETE", path)
    assert "under way" in api.refused(409, "POST", f"{path}/action", {"hold": {"reason": "x"}})


def test_a_lock_is_shown_and_stands_in_the_way_of_deleting_and_resetting(api, path):
    until = api.clock.now() + 3 * DAY
    known(api, path, lock_mode=COMPLIANCE, locked_until=until)
    found = api.get(path)["checkpoint"]
    assert (found["lock_mode"], found["locked_until"], found["held"], found["held_reason"]) == (
        COMPLIANCE, iso(until), False, None,
    )  # fmt: skip
    assert "compliance lock until" in api.refused(409, "DELETE", path)
    assert "compliance lock" in api.refused(400, "PUT", path, {"os-resetState": {"state": "error"}})
    api.clock.pass_time(3 * 86400)
    assert api.send("DELETE", path)[0] == 200


def test_a_hold_stands_in_the_way_with_its_reason(api, path):
    known(api, path, held=True, held_reason="case 7")
    assert "held: case 7" in api.refused(409, "DELETE", path)


@pytest.mark.parametrize(
    "wish", [{"unlock": {}}, ("lock", GOVERNANCE, 30), ("lock", COMPLIANCE, 2)], ids=["lift", "weaken", "shorten"]
)
def test_nobody_shortens_a_compliance_lock(api, path, wish):
    known(api, path, lock_mode=COMPLIANCE, locked_until=api.clock.now() + 3 * DAY)
    body = lock(api, *wish[1:]) if isinstance(wish, tuple) else wish
    assert "compliance lock until" in api.refused(409, "POST", f"{path}/action", body)
    assert not jobs(api, path)


@pytest.fixture
def strict(tmp_path):
    """An API in which nobody may lift or release."""
    policy, conf = tmp_path / "policy.yaml", tmp_path / "karbor.conf"
    policy.write_text('"provider:checkpoint_unlock": "!"\n"provider:checkpoint_release": "!"\n')
    conf.write_text(f"[oslo_policy]\npolicy_file = {policy}\n")
    made = Api(tmp_path, [str(conf)])
    yield made
    made.database.dispose()


def test_extending_is_for_everybody_and_lifting_and_shortening_for_those_who_may(strict):
    path = f"{PATH}/{strict.checkpoint()['id']}"
    known(strict, path, lock_mode=GOVERNANCE, locked_until=strict.clock.now() + 3 * DAY)
    for body in ({"unlock": {}}, lock(strict, GOVERNANCE, 1), {"release": {}}):
        strict.refused(403, "POST", f"{path}/action", body)
    assert strict.send("POST", f"{path}/action", lock(strict, GOVERNANCE, 9))[0] == 202


def test_lifting_and_releasing_are_for_administrators_unless_the_policy_says_otherwise():
    roles = {name.removeprefix("provider:checkpoint_"): role for name, role, _ in RULES}
    assert roles == {"lock": "member", "hold": "member", "unlock": "admin", "release": "admin"}


@pytest.mark.parametrize(
    "until",
    ["yesterday", "2020-01-01T00:00:00", "9999-12-31T23:59:59", "2026-13-01T00:00:00", "2026-02-01T00:00:00+99:00"],
)
def test_a_moment_that_is_none_is_refused(api, path, until):
    api.refused(400, "POST", f"{path}/action", {"lock": {"mode": COMPLIANCE, "until": until}})


@pytest.mark.parametrize("status", ["error", "deleting", "protecting"])
def test_only_what_is_available_is_locked(api, status):
    path = f"{PATH}/{api.checkpoint(status=status)['id']}"
    assert status in api.refused(409, "POST", f"{path}/action", {"hold": {"reason": ""}})


def test_a_plan_says_how_its_checkpoints_are_locked(api):
    plan = api.plan(parameters={"Karbor::Lock": {"mode": GOVERNANCE, "days": 7}})
    assert plan["parameters"] == {"Karbor::Lock": {"mode": GOVERNANCE, "days": 7}}
    for wrong in ({"mode": "loose"}, {"days": 0}, {"until": "x"}):
        body = {"plan": {**plan_body(), "parameters": {"Karbor::Lock": wrong}}}
        assert "Karbor::Lock" in api.refused(400, "POST", "/plans", body)


def plan_body():
    return {
        "name": "p",
        "provider_id": PROVIDER,
        "resources": [{"id": SERVER, "type": "OS::Nova::Server", "name": "vm"}],
    }

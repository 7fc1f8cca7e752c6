# SPDX-License-Identifier: Apache-2.0
"""Does everybody see how much a project may have and has, and can an administrator change it?"""

import pytest

from tests.support.api import OTHER_PROJECT, PROJECT, Api

UNLIMITED = {"checkpoints": -1, "logical_bytes": -1, "stored_bytes": -1}
PATH = f"/quotas/{PROJECT}"


def put(api, path, **body):
    status, answer = api.send("PUT", path, body)
    assert status == 200, answer
    (inner,) = answer.values()
    return inner


def test_a_project_without_limits_of_its_own_has_the_defaults(api):
    expected = {"quota": {"id": PROJECT, "plans": 50, **UNLIMITED}}
    assert api.get(PATH) == api.get(f"{PATH}/defaults") == expected


def test_the_operator_sets_the_defaults(tmp_path):
    api = Api(tmp_path, quota_plans=2, quota_stored_bytes=1 << 40)
    assert api.get(PATH)["quota"] == {"id": PROJECT, "plans": 2, **UNLIMITED, "stored_bytes": 1 << 40}
    api.database.dispose()


def test_details_tell_what_there_is(api):
    api.checkpoint(api.plan())
    details = api.get(f"{PATH}/detail")["quota"]
    assert details["id"] == PROJECT
    assert details["plans"] == {"limit": 50, "in_use": 1, "reserved": 0}
    assert details["checkpoints"] == {"limit": -1, "in_use": 1, "reserved": 0}


def test_limits_are_changed_one_by_one_and_taken_away(api):
    assert put(api, PATH, quota={"plans": 7, "unheard_of": "x"}) == {"id": PROJECT, "plans": 7, **UNLIMITED}
    after = put(api, PATH, quota={"checkpoints": 10})
    assert after == {"id": PROJECT, "plans": 7, **UNLIMITED, "checkpoints": 10}
    assert api.get(f"{PATH}/defaults")["quota"]["plans"] == 50
    assert api.send("DELETE", PATH) == (204, None)
    assert api.send("DELETE", PATH) == (204, None)
    assert api.get(PATH)["quota"]["plans"] == 50


def test_the_class_default_stands_between_settings_and_projects(api):
    path = "/quota_classes/default"
    assert api.get(path)["quota_class"] == {"id": "default", "plans": 50, **UNLIMITED}
    assert put(api, path, quota_class={"plans": 9})["plans"] == 9
    assert api.get(PATH)["quota"]["plans"] == api.get(f"{PATH}/defaults")["quota"]["plans"] == 9
    put(api, PATH, quota={"plans": 1})
    assert api.get(PATH)["quota"]["plans"] == 1
    assert api.get("/quota_classes/other")["quota_class"]["plans"] == 50


def test_a_limit_holds_for_the_next_plan(api):
    api.plan()
    put(api, PATH, quota={"plans": 1})
    body = {"plan": {"name": "p", "provider_id": api.get("/providers")["providers"][0]["id"], "resources": []}}
    body["plan"]["resources"] = api.get("/plans")["plans"][0]["resources"]
    message = api.refused(413, "POST", "/plans", body)
    assert message == "Maximum number of plans allowed (1) exceeded"
    put(api, PATH, quota={"plans": -1})
    api.plan()


@pytest.mark.parametrize("path", [PATH, "/quota_classes/default"])
@pytest.mark.parametrize("limit", [-2, None, "7", 1.5, True, 2**63])
def test_a_wrong_limit_is_refused_and_changes_nothing(api, path, limit):
    envelope = "quota" if path == PATH else "quota_class"
    assert "plans" in api.refused(400, "PUT", path, {envelope: {"checkpoints": 5, "plans": limit}})
    assert api.get(path)[envelope]["checkpoints"] == -1


@pytest.mark.parametrize("id_", ["nobody", "0", "x" * 65])
def test_what_is_no_project_is_refused(api, id_):
    for path in (f"/quotas/{id_}", f"/quotas/{id_}/detail", f"/quotas/{id_}/defaults"):
        assert "URL" in api.refused(400, "GET", path)
    api.refused(400, "PUT", f"/quotas/{id_}", {"quota": {"plans": 1}})
    api.refused(400, "DELETE", f"/quotas/{id_}")


def test_a_stand_alone_service_may_call_its_projects_anything(api):
    assert api.get("/quotas/workshop", project="workshop")["quota"]["id"] == "workshop"


def test_an_administrator_changes_the_limits_of_another_project(api):
    put(api, f"/quotas/{OTHER_PROJECT}", quota={"plans": 3})
    assert api.get(f"/quotas/{OTHER_PROJECT}")["quota"]["plans"] == 3
    assert api.get(PATH)["quota"]["plans"] == 50

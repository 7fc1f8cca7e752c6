# SPDX-License-Identifier: Apache-2.0
"""Does the database keep nothing of the secrets that users send or are given?"""

import pytest

from tests.functional.api.test_restores import body
from tests.support.markers import dump, found

SECRET = "hunter-Kd8Zx3Vb6Nq1"


@pytest.mark.parametrize("login", [
    {"type": "password", "username": SECRET, "password": SECRET},
    {"application_credential_id": SECRET, "application_credential_secret": SECRET},
    {"type": SECRET, "project_name": SECRET},
])  # fmt: skip
def test_a_login_for_a_restore_is_not_kept_also_where_the_request_is_repeated(api, login, caplog):
    """Where the provider takes none; tests/unit/api/test_targets.py tries one that does."""
    caplog.set_level("DEBUG")
    checkpoint = api.checkpoint()
    for more in ({}, {"dry_run": True}, {"restore_target": "http://there/v3"}):
        refused = body(checkpoint, restore_auth=login, **more)
        for _ in range(2):
            message = api.refused(400, "POST", "/restores", refused, headers={"Idempotency-Key": "again"})
            assert SECRET not in message
    assert SECRET not in caplog.text
    taken = body(checkpoint, restore_auth={"type": SECRET, "username": None, "password": None})
    status, _answer = api.send("POST", "/restores", taken, headers={"Idempotency-Key": "once more"})[:2]
    assert status in (200, 202, 400)
    assert found(dump(api.database.engine), [SECRET]) == []


def test_the_secret_of_a_webhook_is_kept_as_a_digest_only(api):
    trigger = {"trigger_info": {"name": "hook", "type": "webhook", "properties": {}}}
    made = api.post("/triggers", trigger)["trigger_info"]
    assert len(made["token"]) > 20
    assert found(dump(api.database.engine), [made["token"]]) == []

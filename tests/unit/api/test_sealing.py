# SPDX-License-Identifier: Apache-2.0
"""Is what a request holds of secrets sealed before anything is kept of it, or refused?"""

import logging

import pytest

from karbor.clients.sealedlogins import DRY_RUN, LoginSeal
from karbor.clients.sealedparameters import opened
from karbor.heat.options import STACK_TYPE, StackOptions
from tests.functional.api.test_restores import body
from tests.support.api import PROVIDER, Api, provider_info
from tests.support.markers import dump, found

SECRET = "hunter-Kd8Zx3Vb6Nq1"
GIVEN = {STACK_TYPE: {"rebuild_stacks": "yes", "stack_parameters": f'{{"shop": {{"password": "{SECRET}"}}}}'}}


@pytest.fixture
def seal(tmp_path):
    LoginSeal.create(tmp_path / "login.key")
    return LoginSeal.load(tmp_path / "login.key")


@pytest.fixture
def api(tmp_path, seal):
    (tmp_path / "karbor.conf").write_text(f"[clients]\nlogin_key_file = {tmp_path}/login.key\n")
    made = _with_stacks(Api(tmp_path, files=[tmp_path / "karbor.conf"]))
    yield made
    made.database.dispose()


def _with_stacks(made):
    schemas = provider_info().schemas
    restore = {**schemas["restore_schema"], STACK_TYPE: StackOptions.schema()}
    made.set_provider(schemas={**schemas, "restore_schema": restore})
    return made


def _row(api, restore):
    with api.database.read() as rows:
        return rows.restores.get(restore["id"])


def test_a_restore_keeps_hidden_parameters_sealed_shows_none_and_forgets_them(api, seal, caplog):
    caplog.set_level(logging.DEBUG)
    sent = body(api.checkpoint(), parameters=GIVEN)
    restore = api.post("/restores", sent, headers={"Idempotency-Key": "once"})["restore"]
    assert restore["parameters"] == {STACK_TYPE: {"rebuild_stacks": "yes", "stack_parameters": "***"}}
    assert api.get(f"/restores/{restore['id']}")["restore"] == restore
    assert opened(_row(api, restore).parameters, restore["id"], seal.open) == GIVEN
    assert found(dump(api.database.engine), [SECRET]) == []
    assert SECRET not in caplog.text
    with api.database.write() as rows:
        rows.restores.transition(restore["id"], "fail")
    assert _row(api, restore).parameters == restore["parameters"]


def test_a_repeated_request_is_known_without_a_trace_of_its_secrets(api):
    checkpoint = api.checkpoint()
    first, second = body(checkpoint, parameters=GIVEN), body(checkpoint, parameters={STACK_TYPE: {**GIVEN[STACK_TYPE]}})
    second["restore"]["parameters"][STACK_TYPE]["stack_parameters"] = '{"shop": {"password": "another"}}'
    made = [api.post("/restores", sent, headers={"Idempotency-Key": "key"})["restore"] for sent in (first, second)]
    assert made[0] == made[1]  # nothing was kept by which the two could be told apart


def test_a_dry_run_is_told_them_sealed(api, seal):
    api.post("/restores", body(api.checkpoint(), parameters=GIVEN, dry_run=True))
    told = api.workers.asked_with
    assert found(repr(told).encode(), [SECRET]) == []
    assert opened(told, DRY_RUN, seal.open) == GIVEN


@pytest.mark.parametrize("more", [{}, {"dry_run": True}])
def test_without_a_key_they_are_refused_with_what_to_do(tmp_path, more):
    api = _with_stacks(Api(tmp_path))
    sent = body(api.checkpoint(), parameters=GIVEN, **more)
    message = api.refused(400, "POST", "/restores", sent)
    assert "stack_parameters" in message and SECRET not in message
    assert "login_key_file" in message
    assert api.get("/restores") == {"restores": []} and api.jobs() == []
    sent["restore"]["parameters"] = {STACK_TYPE: {"rebuild_stacks": "yes", "stack_parameters": ""}}
    assert api.send("POST", "/restores", sent)[0] == 200
    api.database.dispose()


@pytest.mark.parametrize("value", [7, True, ["x"], {"shop": {"password": SECRET}}])
def test_what_is_no_text_is_refused_without_saying_it_again(api, value, caplog):
    caplog.set_level(logging.DEBUG)
    sent = body(api.checkpoint(), parameters={STACK_TYPE: {"stack_parameters": value}})
    message = api.refused(400, "POST", "/restores", sent)
    assert SECRET not in message and SECRET not in caplog.text
    assert PROVIDER not in message

# SPDX-License-Identifier: Apache-2.0
"""Can the state of a checkpoint be set where nothing knows better, and only to what can be true?"""

import pytest

from karbor.model.checkpoint import Reason, SavedResource
from tests.support.api import PROVIDER

PATH = f"/providers/{PROVIDER}/checkpoints"
SAVED = SavedResource("OS::Nova::Server#x", "plugin", {}, {})


def ask(state):
    return {"os-resetState": {"state": state}}


def complete(api, status):
    """A checkpoint that was complete once."""
    found = api.checkpoint(status=status)
    with api.database.write() as rows:
        rows.checkpoints.save_resources(found["id"], [SAVED])
    return f"{PATH}/{found['id']}"


def status_of(api, path):
    return api.get(path)["checkpoint"]["status"]


@pytest.mark.parametrize("status", ["available", "error", "protecting", "deleting", "error-deleting"])
def test_error_can_be_said_of_everything_that_nothing_works_on(api, status):
    path = f"{PATH}/{api.checkpoint(status=status)['id']}"
    assert api.send("PUT", path, ask("error")) == (200, {})
    found = api.get(path)["checkpoint"]
    assert found["status"] == "error"
    assert api.send("DELETE", path)[0] == 200
    if status != "error":
        assert status in found["reason"]["cause"]
        assert found["finished_at"]


def test_a_tombstone_stays_one(api):
    path = f"{PATH}/{api.checkpoint(status='deleted')['id']}"
    for state in ("error", "available"):
        api.refused(409, "PUT", path, ask(state))


@pytest.mark.parametrize("state", ["error", "available"])
def test_while_something_works_on_it_its_state_is_left_alone(api, state):
    plan = api.plan()
    checkpoint = api.post(PATH, {"checkpoint": {"plan_id": plan["id"]}})["checkpoint"]
    assert "protect" in api.refused(409, "PUT", f"{PATH}/{checkpoint['id']}", ask(state))
    assert status_of(api, f"{PATH}/{checkpoint['id']}") == "protecting"


def test_what_was_complete_can_be_available_again(api):
    path = complete(api, "available")
    with api.database.write() as rows:  # what a verification does that finds damage
        rows.checkpoints.transition(path.split("/")[-1], "error", reason=Reason("one", "verify", "damaged"))
    assert api.send("PUT", path, ask("available")) == (200, {})
    found = api.get(path)["checkpoint"]
    assert (found["status"], found["reason"]) == ("available", None)


def test_what_never_was_complete_cannot_be_available(api):
    path = f"{PATH}/{api.checkpoint(status='error')['id']}"
    assert "never complete" in api.refused(409, "PUT", path, ask("available"))


@pytest.mark.parametrize("status", ["deleting", "error-deleting"])
def test_what_was_being_deleted_is_never_available_again(api, status):
    path = complete(api, status)
    api.refused(409, "PUT", path, ask("available"))
    assert api.send("PUT", path, ask("error"))[0] == 200
    api.refused(409, "PUT", path, ask("available"))


@pytest.mark.parametrize("state", ["available", "error"])
def test_a_state_that_it_has_changes_nothing(api, state):
    path = f"{PATH}/{api.checkpoint(status=state)['id']}"
    before = api.get(path)
    assert api.send("PUT", path, ask(state)) == (200, {})
    assert api.get(path) == before


@pytest.mark.parametrize("body", [ask("deleted"), ask("protecting"), ask(None), {"os-resetState": {}}, {}, {"x": {}}])
def test_unknown_states_are_refused(api, body):
    api.refused(400, "PUT", f"{PATH}/{api.checkpoint()['id']}", body)

# SPDX-License-Identifier: Apache-2.0
"""Is a request done whose API process is killed with -9 after the commit, before or after the word to the workers?

Nobody tells the workers then, and the client gets no answer: a worker finds the row, and a client that asks again
under the same key gets the first answer.
"""

import uuid

import pytest

from karbor.model.operation import OPERATIONS
from tests.support.crashlab import SHARE, Site
from tests.support.crashsite import HERE, PLAN, THERE

POINTS = ("api:booked:after", "api:sent:after")


def _request(operation, first):
    """(method, path, body) that asks for an operation on the checkpoint ``first``."""
    here, one = {"provider_id": HERE, "checkpoint_id": first, "parameters": {}}, f"/providers/{HERE}/checkpoints"
    return {
        "protect": ("POST", one, {"checkpoint": {"plan_id": PLAN}}),
        "restore": ("POST", "/restores", {"restore": here}),
        "verify": ("POST", "/verifications", {"verification": here}),
        "copy": (
            "POST",
            f"{one}/action",
            {"copy": {"plan_id": PLAN, "checkpoint_id": first, "target_provider_id": THERE}},
        ),
        "delete": ("DELETE", f"{one}/{first}", None),
        "lock": ("POST", f"{one}/{first}/action", {"hold": {"reason": "case 4711"}}),
    }[operation]


def _made(body):
    """The id of the checkpoint that an answer tells of."""
    if "checkpoint" in body:
        return body["checkpoint"]["id"]
    [pair] = body["copy"]["checkpoint_id"]
    return pair["checkpoint_copy_id"]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_request_is_done_although_its_api_process_died(lab, template, operation, point):
    if SHARE != "all" and operation != "protect" and (operation == "restore") != (point == POINTS[1]):
        pytest.skip("in the full run")
    site = Site(lab, template, operation)
    method, path, body = _request(operation, site.first)
    asked = {"root": str(site.root), "method": method, "path": path, "body": body, "key": str(uuid.uuid4())}
    assert lab.do("request", **asked, at=(point, 1)).get("died")
    assert lab.do("go_on", root=str(site.root))["states"] == ["done"]
    again = lab.do("request", **asked)
    assert again["status"] in ((404, 409) if operation == "delete" else (200, 202)), again
    assert lab.do("go_on", root=str(site.root))["states"] == [], "the work was asked for twice"
    found = site.look()
    made = {id_: status for id_, status in found["checkpoints"].items() if id_ != site.first}
    assert list(made.values()) == (["available"] if operation in ("protect", "copy") else [])
    assert found["checkpoints"][site.first] == ("deleted" if operation == "delete" else "available")
    assert operation not in ("protect", "copy") or _made(again["body"]) in made
    assert set(found["jobs"]) == {"done"} and "None" not in found["logs"]
    assert found["outside"] == [] and site.clean()["orphans"] == []

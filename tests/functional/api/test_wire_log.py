# SPDX-License-Identifier: Apache-2.0
"""Is every request that the published clients were seen to send answered as they need it?

``tests/functional/data/wire_log.txt`` holds what python-karborclient 2.1.0, its OpenStackClient plug-in and
karbor-dashboard 1.5.1 send, command by command. UUID, PROV and PROJ stand for ids.
"""

import json
import re
from pathlib import Path

import pytest

from tests.support.api import PROJECT, PROVIDER, SERVER, VOLUME

LOG = Path(__file__).parents[1] / "data" / "wire_log.txt"
REQUEST = re.compile(r"    (GET|POST|PUT|DELETE) (\S+)$")
BODY = re.compile(r"       (\{.*\})$")

#: (method, path without query): what the answer holds; None for an empty one.
ENVELOPES = (
    ("GET", r"/plans", "plans"),
    ("POST", r"/plans", "plan"),
    ("GET", r"/plans/[^/]+", "plan"),
    ("PUT", r"/plans/[^/]+", "plan"),
    ("DELETE", r"/plans/[^/]+", None),
    ("GET", r"/providers", "providers"),
    ("GET", r"/providers/[^/]+", "provider"),
    ("GET", r"/providers/[^/]+/checkpoints", "checkpoints"),
    ("POST", r"/providers/[^/]+/checkpoints", "checkpoint"),
    ("GET", r"/providers/[^/]+/checkpoints/[^/]+", "checkpoint"),
    ("PUT", r"/providers/[^/]+/checkpoints/[^/]+", {}),
    ("DELETE", r"/providers/[^/]+/checkpoints/[^/]+", {}),
    ("GET", r"/restores", "restores"),
    ("POST", r"/restores", "restore"),
    ("GET", r"/restores/[^/]+", "restore"),
    ("GET", r"/verifications", "verifications"),
    ("POST", r"/verifications", "verification"),
    ("GET", r"/verifications/[^/]+", "verification"),
    ("GET", r"/protectables", "protectable_type"),
    ("GET", r"/protectables/[^/]+", "protectable_type"),
    ("GET", r"/protectables/[^/]+/instances", "instances"),
    ("GET", r"/protectables/[^/]+/instances/[^/]+", "instance"),
    ("GET", r"/operation_logs", "operation_logs"),
    ("GET", r"/operation_logs/[^/]+", "operation_log"),
    ("GET", r"/triggers", "triggers"),
    ("POST", r"/triggers", "trigger_info"),
    ("GET", r"/triggers/[^/]+", "trigger_info"),
    ("PUT", r"/triggers/[^/]+", "trigger_info"),
    ("DELETE", r"/triggers/[^/]+", None),
    ("GET", r"/scheduled_operations", "operations"),
    ("POST", r"/scheduled_operations", "scheduled_operation"),
    ("GET", r"/scheduled_operations/[^/]+", "scheduled_operation"),
    ("DELETE", r"/scheduled_operations/[^/]+", None),
    ("GET", r"/os-services", "services"),
    ("PUT", r"/os-services/1", "service"),
    ("GET", r"/quotas/[^/]+(/detail|/defaults)?", "quota"),
    ("PUT", r"/quotas/[^/]+", "quota"),
    ("GET", r"/quota_classes/default", "quota_class"),
    ("PUT", r"/quota_classes/default", "quota_class"),
)
#: What is refused on purpose, by command: (method, status, envelope).
REFUSED = (
    ("--restore_target", "POST", 400, "badRequest"),  # never ignored
    ("plan show p1", "GET", 400, "badRequest"),  # the client then lists and compares names
)


def commands():
    """[(command, [(method, path with query, body or None)])]"""
    found = [("dashboard", [])]
    for line in LOG.read_text().splitlines():
        if line.startswith("CMD "):
            found.append((line.removeprefix("CMD "), []))
        elif line.startswith("karbor-dashboard"):
            found.append(("karbor-dashboard", []))
        elif match := REQUEST.match(line):
            found[-1][1].append((match[1], match[2], None))
        elif match := BODY.match(line):
            method, path, _ = found[-1][1].pop()
            found[-1][1].append((method, path, match[1]))
    return [entry for entry in found if entry[1]]


def split():
    """The dashboard's calls stand alone; those of a command belong together."""
    for command, requests in commands():
        if command == "karbor-dashboard":
            for request in requests:
                yield f"{command} {request[0]} {request[1]}", [request]
        else:
            yield command, requests


@pytest.fixture
def ids(api):
    """One thing of each kind, with nothing working on it."""
    plan = api.plan(name="p1")
    checkpoint = api.checkpoint(plan)
    sent = {"restore": {"provider_id": PROVIDER, "checkpoint_id": checkpoint["id"], "parameters": {}}}
    restore = api.post("/restores", sent)["restore"]
    verification = api.post("/verifications", {"verification": sent["restore"]})["verification"]
    log = api.get("/operation_logs")["operation_logs"][0]
    scheduled = api.scheduled_operation(plan=api.plan(name="p2"))
    with api.database.write() as rows:
        rows.services.heartbeat(binary="karbor-operationengine", host="here")
    with api.database.write() as rows:
        for job in rows.jobs.live_for():
            rows.jobs.request_cancel(job.id)
    return {
        "plans": plan["id"],
        "checkpoints": checkpoint["id"],
        "restores": restore["id"],
        "verifications": verification["id"],
        "operation_logs": log["id"],
        "triggers": api.trigger()["id"],
        "scheduled_operations": scheduled["id"],
    }


def filled(path, ids):
    """A path with ids in the place of UUID, PROV and PROJ."""
    path = path.replace("PROV", PROVIDER).replace("PROJ", PROJECT)
    place, mark, query = path.partition("?")
    kind = next((kind for kind in reversed(ids) if f"/{kind}" in place), None)
    place = place.replace("Volume/instances/UUID", f"Volume/instances/{VOLUME}")
    place = place.replace("instances/UUID", f"instances/{SERVER}").replace("UUID", ids.get(kind, SERVER))
    query = query.replace("plan_id=UUID", f"plan_id={ids['plans']}").replace("UUID", ids.get(kind, SERVER))
    return place + mark + query


def filled_body(text, ids):
    if text is None:
        return None
    text = re.sub(r'"UUID", "type": "OS::Cinder::Volume"', f'"{VOLUME}", "type": "OS::Cinder::Volume"', text)
    text = text.replace('"plan_id": "UUID"', f'"plan_id": "{ids["plans"]}"')
    text = text.replace('"checkpoint_id": "UUID"', f'"checkpoint_id": "{ids["checkpoints"]}"')
    text = text.replace('"trigger_id": "UUID"', f'"trigger_id": "{ids["triggers"]}"')
    text = text.replace("plan_id=UUID", f"plan_id={ids['plans']}")  # a definition as text
    return json.loads(text.replace("UUID", SERVER).replace("PROV", PROVIDER).replace("PROJ", PROJECT))


def expected(command, method, path):
    """(status, envelope) of an answer; the envelope is the only key besides links, ``{}`` or None."""
    place = path.partition("?")[0]
    for words, of, status, envelope in REFUSED:
        if words in command and method == of:
            return status, envelope
    for of, pattern, envelope in ENVELOPES:
        if method == of and re.fullmatch(pattern, place):
            return (204, None) if envelope is None else (200, envelope)
    raise AssertionError(f"nobody said what {method} {place} answers")


@pytest.mark.parametrize(("command", "requests"), [pytest.param(*entry, id=entry[0][:90]) for entry in split()])
def test_a_seen_request_is_answered_as_the_client_needs_it(api, ids, command, requests):
    for method, path, body in requests:
        wanted, envelope = expected(command, method, path)
        url = f"/v1/{PROJECT}{filled(path, ids)}"
        data = None if body is None else json.dumps(filled_body(body, ids)).encode()
        headers = {"User-Agent": "python-karborclient", "Accept": "*/*", "X-Auth-Token": f"user:{PROJECT}"}
        response = api.raw(method, url, data=data, headers=headers)
        assert response.status_int == wanted, (method, url, response.text)
        if envelope is None:
            assert response.body == b""
            continue
        assert response.content_type == "application/json"
        keys = [key for key in response.json if not key.endswith("_links")]
        assert keys == ([envelope] if envelope else [])
        if wanted >= 400:
            assert response.json[envelope]["message"]


def test_the_log_was_read_whole():
    requests = [request for _command, requests in commands() for request in requests]
    lines = [line for line in LOG.read_text().splitlines() if REQUEST.match(line)]
    assert len(requests) == len(lines) > 100

# SPDX-License-Identifier: Apache-2.0
"""Does a client that lost an answer get it by asking again, and is nothing done twice?"""

import json
import threading

import pytest

from tests.support.api import OTHER_PROJECT, PROJECT, PROVIDER, SERVER

PATH = f"/providers/{PROVIDER}/checkpoints"
VM = {"id": SERVER, "type": "OS::Nova::Server", "name": "vm"}
PLAN = {"plan": {"name": "p1", "provider_id": PROVIDER, "resources": [VM], "parameters": {}}}
KEY = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}


def a_plan(api):
    return "/plans", PLAN


def a_checkpoint(api):
    return PATH, {"checkpoint": {"plan_id": api.plan()["id"], "extra_info": {"note": "n"}}}


def a_restore(api):
    return "/restores", {"restore": {"provider_id": PROVIDER, "checkpoint_id": api.checkpoint()["id"]}}


everything = pytest.mark.parametrize("ask", [a_plan, a_checkpoint, a_restore])


def count(api, path):
    (found,) = (value for value in api.get(path).values())
    return len(found)


@everything
def test_the_same_request_with_the_same_key_gets_the_first_answer(api, ask):
    path, body = ask(api)
    api.workers.told.clear()
    before = count(api, path), len(api.jobs())
    first = api.post(path, body, headers=KEY)
    told, jobs = list(api.workers.told), len(api.jobs())
    api.clock.pass_time(3600)
    assert api.post(path, body, headers=KEY) == first
    assert (count(api, path), len(api.jobs())) == (before[0] + 1, jobs)
    assert api.workers.told == told


@everything
def test_without_a_key_or_with_another_one_it_is_another_request(api, ask):
    path, body = ask(api)
    ids = {next(iter(api.post(path, body, headers=headers).values()))["id"] for headers in ({}, {}, KEY)}
    other = {"Idempotency-Key": "another"}
    ids.add(next(iter(api.post(path, body, headers=other).values()))["id"])
    assert len(ids) == 4


def test_a_plan_has_its_tag_also_in_the_repeated_answer(api):
    url, data = f"/v1/{PROJECT}/plans", json.dumps(PLAN).encode()
    first, second = (api.raw("POST", url, data=data, headers=KEY) for _ in range(2))
    assert first.json == second.json
    assert first.headers["ETag"] == second.headers["ETag"]


def test_what_only_the_workers_could_tell_is_not_asked_again(api):
    first = api.post("/plans", PLAN, headers=KEY)
    api.workers.silent = True
    assert api.post("/plans", PLAN, headers=KEY) == first


def test_a_key_belongs_to_one_request(api):
    path, body = a_checkpoint(api)
    api.post(path, body, headers=KEY)
    other = {"checkpoint": {**body["checkpoint"], "extra_info": {"note": "another"}}}
    assert "another request" in api.refused(409, "POST", path, other, headers=KEY)
    assert "another request" in api.refused(409, "POST", "/plans", PLAN, headers=KEY)
    assert count(api, path) == 1


def test_a_key_belongs_to_one_project(api):
    api.workers.add(OTHER_PROJECT, "OS::Nova::Server", SERVER)
    mine = api.post("/plans", PLAN, headers=KEY)["plan"]
    theirs = api.post("/plans", PLAN, headers=KEY, project=OTHER_PROJECT)["plan"]
    assert (mine["project_id"], theirs["project_id"]) == (PROJECT, OTHER_PROJECT)


def test_after_a_day_a_key_is_new(api):
    first = api.post("/plans", PLAN, headers=KEY)["plan"]
    api.clock.pass_time(86400 - 1)
    assert api.post("/plans", PLAN, headers=KEY)["plan"]["id"] == first["id"]
    api.clock.pass_time(2)
    assert api.post("/plans", PLAN, headers=KEY)["plan"]["id"] != first["id"]


def test_a_request_that_was_refused_leaves_no_key(api):
    api.conf.set_override("quota_plans", 0)
    api.refused(413, "POST", "/plans", PLAN, headers=KEY)
    api.conf.set_override("quota_plans", 1)
    api.post("/plans", PLAN, headers=KEY)


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é"])
def test_a_key_is_short_and_plain(api, key):
    assert "Idempotency-Key" in api.refused(400, "POST", "/plans", PLAN, headers={"Idempotency-Key": key})


def test_of_many_at_once_one_does_the_work_and_all_get_its_answer(api):
    path, body = a_checkpoint(api)
    answers = []
    gate = threading.Barrier(6)

    def ask():
        gate.wait(60)
        answers.append(api.post(path, body, headers=KEY))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(answers) == 6
    assert all(answer == answers[0] for answer in answers)
    assert (count(api, path), len(api.jobs())) == (1, 1)

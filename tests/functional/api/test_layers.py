# SPDX-License-Identifier: Apache-2.0
"""Do the layers around the API do their part: other origins, reverse proxies, request ids, bounds, health?"""

import threading

import pytest

from tests.support.api import OTHER_PROJECT, PROJECT, PROVIDER, SERVER, Api

PATH = f"/providers/{PROVIDER}/checkpoints"
ID = "req-0b5a7a52-8f3f-4d8f-9d5e-0d2f6d2b9c11"


@pytest.fixture
def make(tmp_path):
    """An API with these settings (text of karbor.conf)."""
    made = []

    def build(text="", **values):
        path = tmp_path / str(len(made))
        path.mkdir()
        settings = path / "karbor.conf"
        settings.write_text(text)
        made.append(Api(path, files=[settings], **values))
        return made[-1]

    yield build
    for api in made:
        api.database.dispose()


def test_other_origins_are_told_nothing_unless_they_are_allowed(make):
    api = make()
    response = api.raw("GET", f"/v1/{PROJECT}/plans", headers={"Origin": "https://horizon.example.com"})
    assert "Access-Control-Allow-Origin" not in response.headers


def test_an_allowed_origin_may_ask_and_read(make):
    api = make("[cors]\nallowed_origin = https://horizon.example.com\n")
    mine = {"Origin": "https://horizon.example.com"}
    response = api.raw("GET", f"/v1/{PROJECT}/plans", headers=mine)
    assert response.headers["Access-Control-Allow-Origin"] == mine["Origin"]
    assert "X-OpenStack-Request-ID" in response.headers["Access-Control-Expose-Headers"]
    wish = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-auth-token"}
    response = api.raw("OPTIONS", f"/v1/{PROJECT}/plans", headers={**mine, **wish})
    assert (response.status_int, response.headers["Access-Control-Allow-Methods"]) == (200, "POST")
    refused = api.raw("GET", f"/v1/{PROJECT}/nothing", headers=mine)  # errors can be read there as well
    assert (refused.status_int, refused.headers["Access-Control-Allow-Origin"]) == (404, mine["Origin"])
    response = api.raw("OPTIONS", f"/v1/{PROJECT}/plans", headers={**wish, "Origin": "https://evil.example.com"})
    assert "Access-Control-Allow-Origin" not in response.headers


FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "backup.example.com", "X-Forwarded-Prefix": "/karbor"}


def test_headers_of_a_proxy_count_only_where_there_is_one(make):
    def self_link(api):
        return api.raw("GET", "/", headers=FORWARDED).json["versions"][0]["links"][0]["href"]

    assert self_link(make()) == "http://localhost/v1/"
    behind = make("[oslo_middleware]\nenable_proxy_headers_parsing = True\n")
    assert self_link(behind) == "https://backup.example.com/karbor/v1/"


def test_a_refusal_names_its_request_in_header_and_body(make):
    response = make().raw("GET", f"/v1/{PROJECT}/nothing")
    assert response.json["itemNotFound"]["request_id"] == response.headers["x-openstack-request-id"]


def test_the_id_of_the_whole_chain_reaches_job_and_operation_log(make):
    api = make()
    plan = api.plan()
    api.post(PATH, {"checkpoint": {"plan_id": plan["id"]}}, headers={"X-OpenStack-Request-ID": ID})
    (log,) = api.get("/operation_logs")["operation_logs"]
    (job,) = api.jobs()
    assert log["extra_info"]["global_request_id"] == job.payload["global_request_id"] == ID
    assert log["extra_info"]["request_id"] == job.request_id
    assert job.request_id not in (None, ID)


@pytest.mark.parametrize("wrong", ["req-1", "x" * 500, ID + "\nINFO forged", ID.upper()])
def test_an_id_that_is_none_is_not_taken_over(make, wrong):
    api = make()
    plan = api.plan()
    api.post(
        PATH, {"checkpoint": {"plan_id": plan["id"]}}, headers={"X-OpenStack-Request-ID": wrong.replace("\n", " ")}
    )
    (job,) = api.jobs()
    assert "global_request_id" not in job.payload


def test_a_project_that_begins_too_much_work_waits_and_the_others_do_not(make):
    api = make(project_work_per_minute=2)
    api.workers.add(OTHER_PROJECT, "OS::Nova::Server", SERVER)
    plan = api.plan()
    for _ in range(2):
        api.post(PATH, {"checkpoint": {"plan_id": plan["id"]}})
    url = f"/v1/{PROJECT}{PATH}"
    response = api.raw("POST", url, data=b"{}")
    assert (response.status_int, response.headers["Retry-After"]) == (413, "30")
    assert response.json["overLimit"]["retryAfter"] == "30"
    assert len(api.get(PATH)["checkpoints"]) == 2
    assert api.raw("POST", url.replace(PROJECT, OTHER_PROJECT), data=b"{}").status_int == 400
    api.clock.pass_time(30)
    api.post(PATH, {"checkpoint": {"plan_id": plan["id"]}})


def test_a_project_whose_calls_wait_leaves_room_for_the_others(make):
    api = make(project_concurrent_requests=1)
    begun, go_on = threading.Event(), threading.Event()
    answer = api.workers.list_types

    def slow():
        begun.set()
        assert go_on.wait(120)
        return answer()

    api.workers.list_types = slow
    waiting = threading.Thread(target=api.get, args=("/protectables",))
    waiting.start()
    try:
        assert begun.wait(120)
        assert "at the same time" in api.refused(413, "GET", "/plans")
        assert api.get("/plans", project=OTHER_PROJECT) == {"plans": []}
    finally:
        go_on.set()
        waiting.join(120)
    assert api.get("/plans") == {"plans": []}


def test_a_database_without_tables_is_not_healthy(make):
    api = make()
    assert api.raw("GET", "/healthcheck").status_int == 200
    with api.database.write() as rows:
        rows.connection.exec_driver_sql("DROP TABLE services")
    assert api.raw("GET", "/healthcheck").status_int == 503

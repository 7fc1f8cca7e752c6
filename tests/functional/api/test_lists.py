# SPDX-License-Identifier: Apache-2.0
"""Is a list cut into pages without loss, forwards and backwards?"""

from urllib.parse import urlsplit

import pytest

from tests.support.api import OTHER_PROJECT, PROJECT, PROVIDER, SERVER


def names(body):
    return [plan["name"] for plan in body["plans"]]


def follow(api, body, collection):
    """The next page by the link of this one."""
    link = body[f"{collection}_links"][0]
    assert link["rel"] == "next"
    parts = urlsplit(link["href"])
    return api.raw("GET", f"{parts.path}?{parts.query}").json


def test_links_lead_through_all_pages_in_order(api):
    for number in range(5):
        api.plan(name=f"p{number}")
    page = api.get("/plans", limit=2, sort="name:asc")
    seen = names(page)
    while page.get("plans_links"):
        page = follow(api, page, "plans")
        seen += names(page)
    assert seen == ["p0", "p1", "p2", "p3", "p4"]


def test_the_dashboard_goes_back_by_turning_the_order(api):
    made = [api.plan(name=f"p{number}") for number in range(5)]
    back = api.get("/plans", limit=3, sort_key="name", sort_dir="desc", marker=made[3]["id"])
    assert names(back) == ["p2", "p1", "p0"]


def test_without_an_order_the_newest_comes_first(api):
    for number in range(3):
        api.plan(name=f"p{number}")
        api.clock.pass_time(1)
    assert names(api.get("/plans")) == ["p2", "p1", "p0"]
    assert names(api.get("/plans", offset=1)) == ["p1", "p0"]


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "x"},
        {"offset": "-1"},
        {"marker": "x"},
        {"marker": SERVER},
        {"sort": "provider_id"},
        {"sort": "name:up"},
        {"sort": "name", "sort_key": "id"},
        {"all_tenants": "perhaps"},
    ],
)
@pytest.mark.parametrize(
    "path", ["/plans", "/restores", "/operation_logs", "/checkpoints", f"/providers/{PROVIDER}/checkpoints"]
)
def test_nonsense_is_refused_in_every_list(api, path, query):
    api.refused(400, "GET", path, **query)


@pytest.mark.parametrize("query", [{"limit": "0"}, {"marker": SERVER}, {"sort": "nonsense"}, {"sort_dir": "up"}])
def test_nonsense_is_refused_in_the_list_of_providers(api, query):
    api.refused(400, "GET", "/providers", **query)


@pytest.mark.parametrize("key", ["id", "status", "name", "created_at"])
def test_providers_take_every_sort_key_of_the_old_clients(api, key):
    assert len(api.get("/providers", sort=f"{key}:asc")["providers"]) == 1


def test_a_page_is_never_larger_than_the_operator_allows(api):
    api.conf.set_override("osapi_max_limit", 2)
    for number in range(3):
        api.plan(name=f"p{number}")
    assert len(api.get("/plans")["plans"]) == 2
    assert len(api.get("/plans", limit=100)["plans"]) == 2


def test_links_have_the_address_that_clients_use(api):
    api.plan()
    api.conf.set_override("osapi_karbor_base_URL", "https://backup.example.org")
    link = api.get("/plans", limit=1, name="p")["plans_links"][0]["href"]
    assert link.startswith("https://backup.example.org/v1/")
    assert "name=p" in link
    assert api.raw("GET", "/").json["versions"][0]["links"][0]["href"] == "https://backup.example.org/v1/"


def test_links_of_checkpoints_and_instances_name_their_provider_and_type(api):
    plan = api.plan()
    api.checkpoint(plan)
    link = api.get(f"/providers/{PROVIDER}/checkpoints", limit=1)["checkpoints_links"][0]["href"]
    assert f"/providers/{PROVIDER}/checkpoints?" in link
    link = api.get("/protectables/OS::Nova::Server/instances", limit=1)["instances_links"][0]["href"]
    assert "/protectables/OS::Nova::Server/instances?" in link


def test_an_administrator_lists_all_projects_or_one_of_them(api):
    api.workers.add(OTHER_PROJECT, "OS::Nova::Server", SERVER)
    api.plan(name="mine")
    body = {
        "name": "theirs",
        "provider_id": PROVIDER,
        "resources": [{"id": SERVER, "type": "OS::Nova::Server", "name": "v"}],
    }
    api.post("/plans", {"plan": body}, project=OTHER_PROJECT)
    assert names(api.get("/plans")) == ["mine"]
    assert sorted(names(api.get("/plans", all_tenants=1))) == ["mine", "theirs"]
    assert names(api.get("/plans", all_tenants="True", project_id=OTHER_PROJECT)) == ["theirs"]


def test_a_semicolon_in_a_value_is_a_character_as_any_other(api):
    api.plan(name="a;b")
    api.plan(name="ab")
    assert names(api.raw("GET", f"/v1/{PROJECT}/plans?name=a;b").json) == ["a;b"]
    assert names(api.raw("GET", f"/v1/{PROJECT}/plans?name=a%3Bb&limit=5").json) == ["a;b"]

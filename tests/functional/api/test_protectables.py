# SPDX-License-Identifier: Apache-2.0
"""Is the live inventory shown as old clients expect it?"""

import pytest

from tests.support.api import OTHER_PROJECT, SERVER, VOLUME

INSTANCES = "/protectables/OS::Nova::Server/instances"


def test_types_are_a_list_of_texts(api):
    assert api.get("/protectables") == {
        "protectable_type": ["OS::Cinder::Volume", "OS::Keystone::Project", "OS::Nova::Server"]
    }


def test_a_type_is_shown_with_its_dependents(api):
    assert api.get("/protectables/OS::Nova::Server") == {
        "protectable_type": {"name": "OS::Nova::Server", "dependent_types": ["OS::Cinder::Volume"]}
    }


def test_an_instance_is_shown_with_its_dependents(api):
    shown = api.get(f"{INSTANCES}/{SERVER}")["instance"]
    assert shown["dependent_resources"] == [
        {"type": "OS::Cinder::Volume", "id": VOLUME, "name": "v", "extra_info": None}
    ]
    assert api.get(INSTANCES) == {"instances": [shown]}


def test_instances_are_cut_into_pages(api):
    ids = sorted(f"{number:08x}-2222-4333-8444-555555555555" for number in range(5))
    for id_ in ids:
        api.workers.add(OTHER_PROJECT, "OS::Nova::Server", id_)
    page = api.get(INSTANCES, limit=2, project=OTHER_PROJECT)["instances"]
    assert [entry["id"] for entry in page] == ids[:2]
    page = api.get(INSTANCES, limit=10, marker=ids[1], project=OTHER_PROJECT)["instances"]
    assert [entry["id"] for entry in page] == ids[2:]


def test_links_lead_through_all_instances_and_a_page_is_one_question(api):
    """However many instances a page has, and however many dependents they have: no question for each."""
    ids = sorted(f"{number:08x}-2222-4333-8444-555555555555" for number in range(20))
    for id_ in ids:
        below = [("OS::Cinder::Volume", f"{id_[:-1]}{number}", "v") for number in range(3)]
        api.workers.add(OTHER_PROJECT, "OS::Nova::Server", id_, below=below)
    page, seen, before = api.get(INSTANCES, limit=10, project=OTHER_PROJECT), [], api.workers.questions
    while page.get("instances_links"):
        seen += page["instances"]
        href = page["instances_links"][0]["href"].removeprefix("http://localhost")
        assert href.startswith(f"/v1/{OTHER_PROJECT}{INSTANCES}?limit=10&marker=")
        page = api.raw("GET", href).json
    assert [entry["id"] for entry in seen + page["instances"]] == ids
    assert all(len(entry["dependent_resources"]) == 3 for entry in seen)
    assert api.workers.questions - before == 2  # the second page, and the empty one behind it


@pytest.mark.parametrize("text", ["{'a': 'b', 'c': None}", '{"a": "b", "c": null}'])
def test_parameters_may_be_written_in_two_languages(api, text):
    api.get(INSTANCES, parameters=text, type="x")
    assert api.workers.asked_with == {"a": "b", "c": None}


@pytest.mark.parametrize(
    "text", ["x", "[]", "{'a': {}}", "{1: 2}", "__import__('os')", "{" * 2000, "{'a': '" + "x" * 5000]
)
def test_other_parameters_are_refused(api, text):
    assert "parameters" in api.refused(400, "GET", INSTANCES, parameters=text)


@pytest.mark.parametrize(
    "path",
    [
        "/protectables/OS::Unknown::Thing",
        "/protectables/OS::Unknown::Thing/instances",
        f"/protectables/OS::Unknown::Thing/instances/{SERVER}",
        f"{INSTANCES}/{VOLUME}",
        f"{INSTANCES}/name.with.dots",
        f"{INSTANCES}/..",
    ],
)
def test_what_is_unknown_is_not_found(api, path):
    api.refused(404, "GET", path)


@pytest.mark.parametrize("path", ["/protectables/nonsense", f"{INSTANCES}/%00", f"{INSTANCES}/a%0ab"])
def test_what_cannot_be_a_name_is_refused(api, path):
    api.refused(400, "GET", path)


def test_another_project_sees_nothing_of_it(api):
    assert api.get(INSTANCES, project=OTHER_PROJECT) == {"instances": []}
    api.refused(404, "GET", f"{INSTANCES}/{SERVER}", project=OTHER_PROJECT)


@pytest.mark.parametrize(
    "path", ["/protectables", "/protectables/OS::Nova::Server", INSTANCES, f"{INSTANCES}/{SERVER}"]
)
def test_silence_of_the_workers_is_told(api, path):
    api.workers.silent = True
    assert "did not answer" in api.refused(503, "GET", path)


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "x"}])
def test_a_wrong_limit_is_refused(api, query):
    api.refused(400, "GET", INSTANCES, **query)

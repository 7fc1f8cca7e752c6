# SPDX-License-Identifier: Apache-2.0
"""Are files of a checkpoint listed for those who may, with what workers tell?"""

import pytest

from tests.support.api import OTHER_PROJECT, PROVIDER


def path_of(api, **more):
    return f"/providers/{PROVIDER}/checkpoints/{api.checkpoint(**more)['id']}/files"


def test_a_directory_is_listed_as_the_worker_tells_it(api):
    told = api.get(path_of(api) + "?path=/&volume=p1&limit=5&marker=a")
    assert [(file["name"], file["kind"]) for file in told["files"]] == [("etc", "directory")]
    assert told["files"][0]["modified"].startswith("2023-11-14T")
    assert (told["volumes"][0]["format"], told["note"]) == ("ext", None)
    assert api.workers.asked_with == {
        "resource": None, "stream": None, "volume": "p1", "path": "/", "after": "a", "limit": 5,
    }  # fmt: skip


def test_volumes_are_told_without_a_path(api):
    assert api.get(path_of(api))["files"] == []


@pytest.mark.parametrize("query", ["path=etc", "path=", "limit=0", "limit=x", "path=/a%00b"])
def test_a_wrong_question_is_refused(api, query):
    path = path_of(api)
    api.workers.asked_with = "nothing"
    api.refused(400, "GET", f"{path}?{query}")
    assert api.workers.asked_with == "nothing"


def test_only_what_is_available_is_looked_at(api):
    api.refused(409, "GET", path_of(api, status="error"))
    path = path_of(api)
    api.workers.silent = True
    api.refused(503, "GET", path)
    api.set_provider(available=False, reason="The directory of the bank is missing.")
    assert "missing" in api.refused(503, "GET", path)


def test_an_administrator_sees_those_of_other_projects(api):
    assert api.get(path_of(api), project=OTHER_PROJECT)["volumes"]

# SPDX-License-Identifier: Apache-2.0
"""Are providers shown with everything that forms need?"""

import pytest

from tests.support.api import PROVIDER, SERVER, provider_info


def test_a_provider_has_all_five_schemas(api):
    shown = api.get(f"/providers/{PROVIDER}")["provider"]
    assert list(shown["extended_info_schema"]) == [
        "options_schema", "restore_schema", "saved_info_schema", "verify_schema", "copy_schema",
    ]  # fmt: skip
    assert (shown["available"], shown["reason"]) == (True, None)
    assert api.get("/providers") == {"providers": [shown]}


def test_the_reason_of_a_provider_that_cannot_work_is_shown(api):
    api.set_provider(available=False, reason="The bank is full.")
    shown = api.get(f"/providers/{PROVIDER}")["provider"]
    assert (shown["available"], shown["reason"]) == (False, "The bank is full.")


def test_names_are_matched_exactly(api):
    with api.database.write() as rows:
        rows.providers.put(provider_info(id=SERVER, name="twin2"))
    assert [entry["id"] for entry in api.get("/providers", name="twin")["providers"]] == [PROVIDER]


def test_without_an_order_they_come_by_id(api):
    with api.database.write() as rows:
        rows.providers.put(provider_info(id=SERVER, name="a"))
    assert [entry["id"] for entry in api.get("/providers")["providers"]] == sorted([PROVIDER, SERVER])


@pytest.mark.parametrize(("id_", "status"), [("x", 400), (SERVER, 404)])
def test_an_unknown_provider_is_told(api, id_, status):
    api.refused(status, "GET", f"/providers/{id_}")

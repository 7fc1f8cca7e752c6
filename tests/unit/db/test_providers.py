# SPDX-License-Identifier: Apache-2.0
"""Is what workers say of their providers kept, and is a bank known again?"""

from dataclasses import replace

import pytest

from karbor.model import errors
from karbor.model.page import PageRequest
from karbor.model.provider import ProviderInfo

INFO = ProviderInfo("b", "libvirt", "guests of this host", {"options_schema": {"T": {"type": "object"}}})


class TestProviders:
    def test_a_description_replaces_the_one_before(self, database, clock):
        with database.write() as rows:
            rows.providers.put(INFO)
            assert rows.providers.get("b") == replace(INFO, created_at=clock.now())
        start = clock.now()
        clock.pass_time(5)
        with database.write() as rows:
            rows.providers.set_bank_identity("b", "bank-1")
            rows.providers.put(replace(INFO, name="renamed", schemas={}))
            found = rows.providers.get("b")
            assert (found.name, found.schemas, found.created_at, found.updated_at) == (
                "renamed",
                {},
                start,
                clock.now(),
            )
            assert rows.providers.bank_identity("b") == "bank-1"

    def test_availability_says_why(self, database):
        with database.write() as rows:
            rows.providers.put(INFO)
            rows.providers.set_available("b", available=False, reason="The disk is gone.")
            found = rows.providers.get("b")
            assert (found.available, found.reason) == (False, "The disk is gone.")

    def test_a_bank_never_seen_has_no_identity(self, database):
        with database.write() as rows:
            rows.providers.put(INFO)
            assert rows.providers.bank_identity("b") is None
            assert rows.providers.bank_identity("nowhere") is None

    def test_what_is_missing_cannot_be_changed(self, database):
        with database.write() as rows:
            with pytest.raises(errors.NotFound):
                rows.providers.set_available("nowhere", available=True, reason="")
            with pytest.raises(errors.NotFound):
                rows.providers.set_bank_identity("nowhere", "x")

    def test_the_list_is_by_id_where_no_order_is_asked_for(self, database):
        with database.write() as rows:
            for id, name in (("b", "x"), ("a", "y"), ("c", "x")):
                rows.providers.put(replace(INFO, id=id, name=name))

            def listed(**request):
                return [item.id for item in rows.providers.list(PageRequest(**request)).items]

            assert listed() == ["a", "b", "c"]
            assert listed(sort=(("name", "desc"),)) == ["a", "c", "b"]
            assert listed(filters={"name": "x"}, marker="b") == ["c"]
            assert listed(filters={"description": "guests"}) == []

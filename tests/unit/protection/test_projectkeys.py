# SPDX-License-Identifier: Apache-2.0
"""What stands in the way of destroying a project's key, and what do its checkpoints say afterwards?"""

import pytest

from karbor.model import errors
from karbor.protection.cleaner import clean_bank
from karbor.protection.projectkeys import KeyDestruction
from karbor.vault.cleanup import Settings
from tests.functional.test_operations import PROJECT, PROVIDER, House


@pytest.fixture
def house(tmp_path):
    found = House(tmp_path)
    yield found
    found.close()


def destruction(house, *, others=()):
    provider = house._parts.providers.get(PROVIDER)
    return KeyDestruction(house.database, [provider], others=[provider, *others], now=house._parts.clock.now())


def test_checkpoints_say_that_nobody_can_read_them_and_can_be_deleted(house):
    point = house.checkpoint()
    provider = house._parts.providers.get(PROVIDER)
    assert destruction(house).run(PROJECT, dry_run=True)["entries"][0]["key"] == "would be destroyed"
    assert house.row(point.id).status == "available"
    done = destruction(house).run(PROJECT)
    assert (done["entries"][0]["key"], done["entries"][0]["checkpoints marked"]) == ("destroyed", 1)
    row = house.row(point.id)
    assert row.status == "error" and "destroyed" in row.reason.cause
    assert destruction(house).run(PROJECT)["entries"][0]["key"] == "was destroyed before"
    later = house.checkpoint()
    assert later.status == "error" and "destroyed" in later.reason.cause
    assert clean_bank(provider, Settings(grace=0), pause=lambda _: None)["counts"]["unreadable_objects_deleted"] > 3
    house.ask("delete", checkpoint_id=point.id)
    assert house.row(point.id).status == "deleted"


def test_nothing_is_destroyed_where_something_is_held(house):
    house.checkpoint()
    domain = house.vault.keyring.domain_name(PROJECT)
    house.bank.put_if_absent(f"d/{domain}/hold/1", b"held")
    with pytest.raises(errors.Conflict):
        destruction(house).run(PROJECT)
    assert house.vault.keyring.destroyed(domain) is None


def test_a_project_that_stored_nothing_has_nothing_to_destroy(house):
    assert destruction(house).run("b" * 32)["entries"][0]["key"] == "was never there"

# SPDX-License-Identifier: Apache-2.0
"""Does a check of a whole bank tell which checkpoints, which resources and which bytes any damage costs?"""

import pytest

from karbor.model import errors
from karbor.protection.bankcheck import BankCheck
from karbor.protection.operation import RECORD
from tests.functional.test_operations import PROJECT, PROVIDER
from tests.functional.test_verify import VerifyHouse

OTHER = "b" * 32


@pytest.fixture
def house(tmp_path):
    house = VerifyHouse(tmp_path)
    yield house
    house.close()


def check(house, level="data"):
    provider = house._parts.providers.get(PROVIDER)
    return BankCheck(house.database, provider, level=level, advance=lambda _: None).run()


@pytest.mark.parametrize("level", ["quick", "data"])
def test_a_sound_bank_has_no_entries_and_is_left_as_it_was(house, level):
    house.protect()
    house.protect()
    before = dict(house.objects)
    found = check(house, level)
    assert found["sound"] and found["entries"] == [] and found["level"] == level
    assert (found["counts"]["checkpoints"], found["counts"]["streams"], found["counts"]["bytes lost"]) == (2, 4, 0)
    assert house.objects == before


def test_an_empty_bank_is_sound(house):
    assert check(house)["sound"]


def test_the_blast_radius_of_one_object_is_told_for_all_checkpoints(house):
    """Two checkpoints share the file that is damaged; a third one holds only the other file."""
    one, two = house.resource("one").to_dict(), house.resource("two").to_dict()
    apart = house.checkpoint(house.plan([one]))
    packs = house.names("/pack/")
    hit = {house.checkpoint(house.plan([two])).id, house.protect().id}
    (name,) = set(house.names("/pack/")) - set(packs)
    house.damage(name)
    found = check(house)
    assert not found["sound"]
    assert {entry["checkpoint"] for entry in found["entries"]} == hit and apart.id not in hit
    assert {(entry["resource"], entry["stream"], entry["offset"], entry["length"]) for entry in found["entries"]} == {
        (house.key("two"), "content", 0, 256 * 300)
    }
    assert all(entry["objects"] == [name] and entry["project"] == PROJECT for entry in found["entries"])
    assert found["counts"]["checkpoints damaged"] == 2 and found["counts"]["bytes lost"] == 2 * 256 * 300
    assert house.row(apart.id).status == "available"  # a check tells, a verification acts


@pytest.mark.parametrize("part", ["/record/", "/stream/", "/index/", "/proven/"])
@pytest.mark.parametrize("gone", [True, False])
def test_every_kind_of_object_is_looked_at(house, part, gone):
    house.protect()
    name = house.names(part)[0]
    if gone:
        del house.objects[name]
    else:
        house.damage(name)
    found = check(house, "quick")
    if part == "/proven/" and gone:
        assert found["sound"] and found["counts"]["index objects never read back"] == 1
    else:
        assert not found["sound"] and (part == "/record/" or name in str(found["entries"]))


def test_a_lost_key_names_the_checkpoints_that_go_with_it(house):
    checkpoint = house.protect()
    (name,) = [name for name in house.names("/key/") if name.startswith("d/")]
    house.damage(name)
    found = check(house)
    assert any(entry.get("checkpoint") == checkpoint.id for entry in found["entries"]) and not found["sound"]


def test_all_projects_are_looked_at(house):
    house.protect()
    house.vault.domain(OTHER).put_record(RECORD, "1", {"version": 1})
    found = check(house)
    assert found["counts"]["projects"] == 2
    assert [(entry["project"], entry["checkpoint"]) for entry in found["entries"]] == [(OTHER, "1")]


def test_a_deleted_checkpoint_is_no_fault(house):
    checkpoint = house.protect()
    house.ask("delete", checkpoint_id=checkpoint.id)
    assert check(house)["sound"]


def test_a_bank_that_takes_no_objects_is_told(house):
    house.protect()
    house.bank.fail(1, method="put_if_absent", error=errors.BankFull, lasting=True)
    found = check(house)
    house.bank.heal()
    assert {entry["condition"] for entry in found["entries"]} >= {"an object can be put"}
    assert found["counts"]["checkpoints damaged"] == 0


def test_a_bank_that_cannot_be_read_gives_no_verdict(house):
    house.protect()
    house.bank.fail(1, method="get", lasting=True)
    with pytest.raises(errors.BankUnavailable):
        check(house)

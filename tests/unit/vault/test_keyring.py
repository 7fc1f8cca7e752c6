# SPDX-License-Identifier: Apache-2.0
"""Does each domain get one key, whoever asks first, and open with no other?"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from karbor.model import errors
from karbor.vault.keyring import Keyring
from karbor.vault.keys import MasterKey
from tests.support.vaults import KEY, StillClock, memory_bank

OTHER = MasterKey(b"\x07" * 32)


@pytest.fixture
def bank():
    return memory_bank()


def keyring(bank, key=KEY):
    return Keyring(bank, master_key=key, clock=StillClock())


def made(ring, label):
    name = ring.make_domain_name(label)
    return name, ring.make_domain_keys(name, label)


def test_reading_makes_nothing(bank):
    assert keyring(bank).domain_name("project") is None
    assert keyring(bank).domain_keys("0" * 32) is None
    assert bank.objects == {}


def test_the_same_project_finds_the_same_keys_again(bank):
    name, keys = made(keyring(bank), "project")
    assert made(keyring(bank), "project") == (name, keys)
    assert keyring(bank).domain_name("project") == name
    assert keyring(bank).domain_keys(name) == keys


def test_projects_share_neither_name_nor_key(bank):
    ring = keyring(bank)
    one, two = made(ring, "one"), made(ring, "two")
    assert one[0] != two[0]
    assert one[1] != two[1]


def test_names_tell_nothing_and_differ_between_banks(bank):
    other = memory_bank()
    first, second = made(keyring(bank), "project")[0], made(keyring(other), "project")[0]
    assert first != second
    assert not any("project" in name or b"project" in data for name, data in bank.objects.items())


def test_all_domains_of_a_bank_and_their_projects_are_found(bank):
    assert list(keyring(bank).domains()) == []
    names = {made(keyring(bank), label)[0]: label for label in ("one", "two", "three")}
    for name in names:
        for number in range(3):
            bank.put_if_absent(f"d/{name}/record/checkpoint/{number}", b"")
    ring = keyring(bank)
    assert list(ring.domains()) == sorted(names)
    assert {name: ring.label(name) for name in ring.domains()} == names


def test_a_domain_whose_key_is_lost_or_anothers_is_listed_but_says_no_name(bank):
    name, _ = made(keyring(bank), "project")
    with pytest.raises(errors.KeyUnavailable):
        keyring(bank, OTHER).label(name)
    bank.put_if_absent(f"d/{name}/stream/1", b"")
    bank.delete(f"d/{name}/key/00000001")
    assert list(keyring(bank).domains()) == [name]
    with pytest.raises(errors.KeyUnavailable):
        keyring(bank).label(name)


def test_writers_that_race_agree_on_the_keys(bank):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: made(keyring(bank), "project"), range(8)))
    assert all(pair == found[0] for pair in found)


def test_a_wrong_master_key_gives_no_key_and_makes_none(bank):
    name, _ = made(keyring(bank), "project")
    before = dict(bank.objects)
    ring = keyring(bank, OTHER)
    calls = (
        lambda: ring.domain_name("project"),
        lambda: ring.make_domain_name("project"),
        lambda: ring.domain_keys(name),
        lambda: ring.make_domain_keys(name, "project"),
    )
    for call in calls:
        with pytest.raises(errors.KeyUnavailable):
            call()
    assert bank.objects == before


def test_a_key_wrapped_again_is_found_by_the_new_master_key(bank):
    name, keys = made(keyring(bank), "project")
    for prefix in ("vault/key/", f"d/{name}/key/"):
        content = KEY.unwrap(prefix, bank.get(prefix + "00000001"))
        bank.put_if_absent(prefix + "00000002", OTHER.wrap(prefix, content))
    for key in (KEY, OTHER):
        assert keyring(bank, key).domain_keys(keyring(bank, key).domain_name("project")) == keys


def test_a_lost_key_is_not_replaced_beside_data(bank):
    name, _ = made(keyring(bank), "project")
    bank.put_if_absent(f"d/{name}/pack/00/00", b"data")
    bank.delete(f"d/{name}/key/00000001")
    with pytest.raises(errors.KeyUnavailable):
        keyring(bank).make_domain_keys(name, "project")
    bank.delete("vault/key/00000001")
    with pytest.raises(errors.KeyUnavailable):
        keyring(bank).make_domain_name("project")

# SPDX-License-Identifier: Apache-2.0
"""Does every key come to a new master key, whenever the work is killed, and are both usable meanwhile?"""

import pytest

from karbor.model import errors
from karbor.sdk.testing.faults import FaultyBank
from karbor.vault.keyring import Keyring
from karbor.vault.keys import MasterKey
from karbor.vault.rotation import Rotation
from karbor.vault.wrapping import MasterKeys
from tests.support.vaults import KEY, BytesSource, StillClock, content_of, memory_bank, nothing, open_vault

NEW = MasterKey(b"\x07" * 32)
FOREIGN = MasterKey(b"\x09" * 32)
BOTH = MasterKeys(NEW, [KEY])
PROJECTS = ("one", "two", "three")


class Site:
    """A bank with three projects, and what each stored."""

    def __init__(self, root):
        self.root = root
        self.inner = memory_bank()
        self.bank = FaultyBank(self.inner)
        self.streams = {}
        self.opened = 0
        vault = self.vault(KEY)
        for project in PROJECTS:
            info = vault.domain(project).write_stream(BytesSource(project.encode() * 5000), advance=nothing)
            self.streams[project] = info.id
        vault.close()

    def vault(self, key):
        self.opened += 1
        return open_vault(self.bank, self.root / str(self.opened), key=key)

    def rotation(self, key=BOTH, bank=None):
        bank = bank or self.bank
        return Rotation(bank, keyring=Keyring(bank, master_key=key, clock=StillClock()), master_key=key)

    def readable_with(self, key):
        vault = self.vault(key)
        try:
            return all(
                content_of(vault.domain(project), self.streams[project]) == project.encode() * 5000
                for project in PROJECTS
            )
        finally:
            vault.close()


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_every_key_is_wrapped_again_and_no_data_is_written(site):
    before = dict(site.inner.objects)
    found = site.rotation().rotate()
    assert (found["counts"]["wrapped now"], found["counts"]["left"], found["sound"]) == (4, 0, True)
    made = set(site.inner.objects) - set(before)
    assert len(made) == 4 and all("/key/" in name for name in made)
    assert all(site.inner.objects[name] == data for name, data in before.items())
    assert site.readable_with(KEY) and site.readable_with(NEW) and site.readable_with(BOTH)


def test_a_second_run_finds_nothing_to_do(site):
    site.rotation().rotate()
    before = dict(site.inner.objects)
    assert site.rotation().rotate()["counts"]["wrapped already"] == 4
    assert site.inner.objects == before


def test_a_dry_run_tells_what_is_left_and_writes_nothing(site):
    before = dict(site.inner.objects)
    assert site.rotation().rotate(dry_run=True)["counts"]["left"] == 4
    assert site.inner.objects == before


def test_the_list_tells_who_wraps_what(site):
    assert [found.state for found in site.rotation().entries()] == ["left"] * 4
    site.rotation().rotate()
    found = list(site.rotation().entries())
    assert [one.state for one in found] == ["wrapped"] * 4
    assert all(list(one.masters) == [KEY.id.hex(), NEW.id.hex()] for one in found)
    assert {site.rotation().label(one) for one in found} == {"", *PROJECTS}
    assert {one.state for one in site.rotation(FOREIGN).entries()} == {"foreign"}


@pytest.mark.parametrize("after", [False, True])
def test_a_run_that_is_killed_at_any_call_is_finished_by_the_next_one(site, after):
    calls, killed = 0, True
    while killed:
        calls += 1
        inner = memory_bank()
        inner.objects.update(site.inner.objects)
        dying = FaultyBank(inner)
        dying.fail(calls, after=after, lasting=True)
        killed = False
        try:
            site.rotation(bank=dying).rotate()
        except errors.BankUnavailable:
            killed = True
        assert keys_of(inner, BOTH) == keys_of(inner, KEY) == keys_of(site.inner, KEY)
        found = site.rotation(bank=inner).rotate()
        assert (found["counts"]["left"], found["sound"]) == (0, True)
        assert keys_of(inner, NEW) == keys_of(site.inner, KEY)
    assert calls > 20


def keys_of(bank, key):
    ring = Keyring(bank, master_key=key, clock=StillClock())
    return [ring.domain_keys(ring.domain_name(project)) for project in PROJECTS]


def test_workers_with_either_key_go_on_meanwhile(site):
    ring = Keyring(site.bank, master_key=MasterKeys(KEY, [NEW]), clock=StillClock())
    site.rotation().rotate()
    name = ring.make_domain_name("late")  # by a worker that was not told yet
    keys = ring.make_domain_keys(name, "late")
    assert Keyring(site.bank, master_key=BOTH, clock=StillClock()).domain_keys(name) == keys
    assert site.rotation().rotate()["counts"]["wrapped now"] == 1
    assert Keyring(site.bank, master_key=NEW, clock=StillClock()).domain_keys(name) == keys


def test_a_key_that_nobody_can_open_is_named_and_keeps_no_other_back(site):
    name = Keyring(site.bank, master_key=KEY, clock=StillClock()).domain_name("two")
    place = f"d/{name}/key/00000001"
    site.inner.objects[place] = site.inner.objects[place][:-1] + b"x"
    found = site.rotation().rotate()
    assert (found["counts"]["wrapped now"], found["counts"]["left"], found["sound"]) == (3, 1, False)
    assert [entry["key"] for entry in found["entries"]] == [f"d/{name}/key"]


def test_the_old_key_is_retired_only_where_the_new_one_opens_everything(site):
    with pytest.raises(errors.Conflict):
        site.rotation().retire(KEY.id.hex())
    with pytest.raises(errors.Conflict):
        site.rotation().retire(NEW.id.hex())
    site.rotation().rotate()
    assert site.rotation().retire(KEY.id.hex(), dry_run=True)["counts"] == {"would be removed": 4}
    assert site.readable_with(KEY)
    assert site.rotation().retire(KEY.id.hex())["counts"] == {"removed": 4}
    assert site.rotation().retire(KEY.id.hex())["counts"] == {"removed": 0}
    assert site.readable_with(NEW)
    with pytest.raises(errors.KeyUnavailable):
        site.readable_with(KEY)


def test_a_retirement_that_is_killed_is_finished_by_the_next_one(site):
    site.rotation().rotate()
    site.bank.fail(2, method="delete", lasting=True)
    with pytest.raises(errors.BankUnavailable):
        site.rotation().retire(KEY.id.hex())
    site.bank = FaultyBank(site.inner)
    assert site.readable_with(NEW)
    assert site.rotation().retire(KEY.id.hex())["counts"]["removed"] >= 2
    assert site.readable_with(NEW)


def test_a_key_that_was_destroyed_meanwhile_does_not_come_back(site):
    vault = site.vault(KEY)
    name = vault.keyring.domain_name("two")

    class Meanwhile(FaultyBank):
        """Where the key is destroyed between the look of a rotation and its put."""

        def put_if_absent(self, put, data):
            if put.startswith(f"d/{name}/key/") and not put.endswith("destroyed"):
                vault.destruction().destroy(name, "two")
            return super().put_if_absent(put, data)

    site.rotation(bank=Meanwhile(site.inner)).rotate()
    assert [one for one in site.inner.objects if one.startswith(f"d/{name}/key/")] == [f"d/{name}/key/destroyed"]
    assert site.rotation().rotate()["counts"]["destroyed"] == 1
    vault.close()

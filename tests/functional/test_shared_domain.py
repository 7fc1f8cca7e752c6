# SPDX-License-Identifier: Apache-2.0
"""Do projects share nothing unless an operator says so, and what do those that do share?"""

import os

import pytest

from karbor.model import errors
from karbor.vault.vault import Vault
from tests.support.vaults import KEY, BytesSource, StillClock, content_of, memory_bank, nothing, open_vault

DATA = os.urandom(300_000)
SHARED = {"one": "shared:images", "two": "shared:images"}


@pytest.fixture
def vaults(tmp_path):
    """Opens vaults over one bank, with or without a shared domain."""
    bank, opened = memory_bank(), []

    def vault(shared=None, key=KEY):
        place = tmp_path / str(len(opened))
        opened.append(Vault(bank, master_key=key, cache_dir=place, clock=StillClock(), shared=shared))
        return opened[-1]

    vault.bank = bank
    yield vault
    for found in opened:
        found.close()


def write(vault, project, name):
    domain = vault.domain(project)
    info = domain.write_stream(BytesSource(DATA), advance=nothing)
    domain.put_record("checkpoint", name, {"project_id": project, "streams": [info.id]})
    return info


def test_another_project_can_neither_read_nor_find_out_what_is_stored(vaults, tmp_path):
    """Equal data is stored in full again: neither size nor an id tells that somebody else has it. (Roots and records
    differ by some bytes, as they compress.)"""
    vault = vaults()
    first, second = write(vault, "one", "1"), write(vault, "two", "2")
    lone = write(open_vault(memory_bank(), tmp_path / "alone"), "two", "2")
    assert second.bytes_stored == pytest.approx(lone.bytes_stored, abs=100)
    assert first.bytes_stored == pytest.approx(second.bytes_stored, abs=100)
    one, two = vault.domain("one"), vault.domain("two")
    for call in (
        lambda: two.open_stream(first.id),
        lambda: two.get_record("checkpoint", "1"),
        lambda: two.write_stream(BytesSource(DATA), base_id=first.id, advance=nothing),
        lambda: vault.holder("two", "checkpoint", "1").get_record("checkpoint", "1"),
    ):
        with pytest.raises(errors.ObjectNotFound):
            call()
    assert not two.has_stream(first.id)
    assert list(two.records("checkpoint")) == ["2"]
    ids = [vault.domain(project)._for_reading().store.codec.chunk_id(DATA, flags=0) for project in ("one", "two")]
    assert ids[0] != ids[1]
    assert content_of(one, first.id) == DATA


def test_an_object_of_one_project_opens_in_no_other(vaults):
    """Whoever can write into the bank cannot pass it off as that of another project."""
    vault = vaults()
    first = write(vault, "one", "1")
    write(vault, "two", "2")
    mine, theirs = (vault.keyring.domain_name(project) for project in ("one", "two"))
    for name, data in list(vaults.bank.objects.items()):
        if name.startswith(f"d/{mine}/") and "/key/" not in name:
            vaults.bank.objects.setdefault(name.replace(mine, theirs), data)
    for call in (
        lambda: vaults().domain("two").open_stream(first.id),
        lambda: vaults().domain("two").get_record("checkpoint", "1"),
    ):
        with pytest.raises(errors.IntegrityError):
            call()


def test_projects_that_share_a_domain_store_equal_data_once(vaults):
    vault = vaults(SHARED)
    first, second = write(vault, "one", "1"), write(vault, "two", "2")
    other = write(vault, "three", "3")
    assert second.bytes_stored < 1000 < first.bytes_stored
    assert other.bytes_stored == pytest.approx(first.bytes_stored, abs=100)
    assert vault.domain("one") is vault.domain("two") is vault.domain("shared:images")
    later = vaults(SHARED)
    assert content_of(later.domain("two"), second.id) == content_of(later.domain("one"), first.id) == DATA
    assert {later.keyring.label(name) for name in later.keyring.domains()} == {"shared:images", "three"}
    with pytest.raises(errors.ObjectNotFound):
        later.domain("three").open_stream(first.id)


def test_a_worker_that_was_not_told_finds_nothing(vaults):
    first = write(vaults(SHARED), "one", "1")
    with pytest.raises(errors.ObjectNotFound):
        vaults().domain("one").open_stream(first.id)


def test_what_a_project_stored_before_it_shared_stays_readable(vaults):
    first = write(vaults(), "one", "1")
    vault = vaults(SHARED)
    second = write(vault, "one", "2")
    assert not vault.domain("one").has_stream(first.id)
    for name, stream in (("1", first.id), ("2", second.id)):
        assert content_of(vault.holder("one", "checkpoint", name), stream) == DATA
    with pytest.raises(errors.ObjectNotFound):
        vault.holder("two", "checkpoint", "1").get_record("checkpoint", "1")


def test_nobody_seals_for_a_shared_domain(vaults):
    with pytest.raises(errors.Conflict):
        vaults(SHARED).sealer("one")

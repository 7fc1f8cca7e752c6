# SPDX-License-Identifier: Apache-2.0
"""Are chunks found again instead of stored twice, and damaged ones stored anew?"""

import random

import pytest

from karbor.model import errors
from karbor.sdk.testing.faults import FaultyBank
from karbor.vault.store import ByteCache
from tests.support.vaults import MIB, BytesSource, content_of, memory_bank, nothing, open_vault

NOISE = random.Random(5).randbytes(6 * MIB)


def names(bank, part):
    return [name for name in bank.objects if part in name]


@pytest.fixture
def bank():
    return memory_bank()


@pytest.fixture
def domain(bank, tmp_path):
    return open_vault(bank, tmp_path / "one").domain("project")


def test_neighbours_are_read_with_one_request(bank, tmp_path):
    counted = FaultyBank(bank)
    domain = open_vault(counted, tmp_path).domain("project")
    info = domain.write_stream(BytesSource(NOISE), advance=nothing)
    reader = domain.open_stream(info.id)
    reader.read(0, 4096)  # the nodes are known from here on
    counted.calls.clear()
    assert reader.read(MIB, 4 * MIB) == NOISE[MIB : 5 * MIB]
    assert counted.calls.count("get") <= 2 + 4  # content, and at most a node for each MiB


def test_a_chunk_of_a_lost_pack_is_found_in_another(bank, domain, tmp_path):
    first = domain.write_stream(BytesSource(NOISE), advance=nothing)
    lost = names(bank, "/pack/")
    kept = {name: bank.objects[name] for name in bank.objects if "/index/" in name}
    for name in [*kept, *lost]:
        del bank.objects[name]
    again = open_vault(bank, tmp_path / "two").domain("project")
    again.write_stream(BytesSource(NOISE), advance=nothing)
    bank.objects.update(kept)  # index objects that list packs which are gone
    third = open_vault(bank, tmp_path / "three").domain("project")
    assert content_of(third, first.id) == NOISE


def test_a_chunk_that_is_nowhere_is_damage(bank, domain):
    info = domain.write_stream(BytesSource(NOISE), advance=nothing)
    for name in names(bank, "/pack/"):
        del bank.objects[name]
    with pytest.raises(errors.IntegrityError):
        content_of(domain, info.id)


def test_a_bank_that_cannot_be_reached_is_not_called_damage(bank, tmp_path):
    faulty = FaultyBank(bank)
    domain = open_vault(faulty, tmp_path).domain("project")
    info = domain.write_stream(BytesSource(NOISE), advance=nothing)
    reader = domain.open_stream(info.id)
    faulty.fail(1, lasting=True)
    with pytest.raises(errors.BankUnavailable):
        reader.read(0, MIB)
    faulty.heal()
    assert reader.read(0, len(NOISE)) == NOISE


def test_a_damaged_pack_does_not_hide_the_others(bank, domain, tmp_path):
    other = random.Random(6).randbytes(MIB)
    damaged = domain.write_stream(BytesSource(NOISE), advance=nothing)
    (name,) = names(bank, "/pack/")
    info = domain.write_stream(BytesSource(other), advance=nothing)
    for index in names(bank, "/index/"):
        del bank.objects[index]
    bank.objects[name] = bank.objects[name][:-1]
    fresh = open_vault(bank, tmp_path / "fresh").domain("project")
    assert content_of(fresh, info.id) == other
    with pytest.raises(errors.IntegrityError):
        content_of(fresh, damaged.id)


def test_a_cache_keeps_what_was_used_last_within_its_limit():
    cache = ByteCache(10)
    for key in (b"a", b"b", b"c"):
        cache.put(key, b"1234")
        cache.get(b"a")
    assert cache.get(b"a") == b"1234"
    assert cache.get(b"b") is None
    assert cache.get(b"c") == b"1234"

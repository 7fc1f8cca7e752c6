# SPDX-License-Identifier: Apache-2.0
"""Is every kind of extent stored rightly, with bounded memory and a prompt end?"""

import random

import pytest

from karbor.sdk.streams import Kind
from tests.support.vaults import KIB, MIB, BytesSource, content_of, memory_bank, nothing, open_vault, parts

NOISE = random.Random(2).randbytes(20 * MIB)


@pytest.fixture
def bank():
    return memory_bank()


@pytest.fixture
def domain(bank, tmp_path):
    return open_vault(bank, tmp_path).domain("project")


def increment(domain, base, data, runs):
    return domain.write_stream(
        BytesSource(data, parts(len(data), runs, rest=Kind.SAME)), base_id=base.id, advance=nothing
    )


def test_small_writes_inside_large_granules_store_what_differs(domain):
    """A guest writes 4 KiB here and there; a dirty bitmap reports 64 KiB each time."""
    data = bytearray(NOISE)
    base = domain.write_stream(BytesSource(data), advance=nothing)
    numbers = random.Random(1)
    granules = sorted(numbers.sample(range(len(data) // (64 * KIB)), 40))
    for granule in granules:
        at = granule * 64 * KIB + numbers.randrange(16) * 4 * KIB
        data[at : at + 4 * KIB] = numbers.randbytes(4 * KIB)
    info = increment(domain, base, data, [(granule * 64 * KIB, 64 * KIB) for granule in granules])
    assert info.bytes_read == 40 * 64 * KIB
    assert info.bytes_stored < 1.3 * 40 * 4 * KIB
    assert content_of(domain, info.id) == data


def test_small_writes_everywhere_store_what_differs(domain):
    """So many that all granules are dirty, and the bitmap reports one run."""
    data = bytearray(NOISE)
    base = domain.write_stream(BytesSource(data), advance=nothing)
    numbers = random.Random(4)
    for granule in range(0, len(data), 64 * KIB):
        at = granule + numbers.randrange(16) * 4 * KIB
        data[at : at + 4 * KIB] = numbers.randbytes(4 * KIB)
    info = increment(domain, base, data, [(0, len(data))])
    assert info.bytes_stored < 1.3 * len(data) // 16
    assert content_of(domain, info.id) == data


def test_comparing_is_given_up_where_everything_differs(domain):
    base = domain.write_stream(BytesSource(NOISE), advance=nothing)
    other = random.Random(3).randbytes(len(NOISE))
    runs = [(at, 512 * KIB) for at in range(0, len(NOISE), MIB)]
    data = bytearray(NOISE)
    for at, length in runs:
        data[at : at + length] = other[at : at + length]
    info = increment(domain, base, data, runs)
    assert info.bytes_stored > sum(length for _, length in runs)
    assert content_of(domain, info.id) == data


def test_a_damaged_base_does_not_stop_an_increment_of_what_can_be_read(bank, domain, tmp_path):
    base = domain.write_stream(BytesSource(NOISE[:MIB]), advance=nothing)
    (name,) = [name for name in bank.objects if "/pack/" in name]
    pack = bank.objects[name]
    bank.objects[name] = pack[:1000] + bytes([pack[1000] ^ 1]) + pack[1001:]
    fresh = open_vault(bank, tmp_path / "fresh").domain("project")
    changed = NOISE[MIB : MIB + 64 * KIB] + NOISE[64 * KIB : MIB]
    info = increment(fresh, base, changed, [(0, 64 * KIB)])
    assert fresh.open_stream(info.id).read(0, 64 * KIB) == changed[: 64 * KIB]


def test_repeated_content_is_stored_once_within_a_stream(domain):
    info = domain.write_stream(BytesSource(NOISE[: 4 * MIB] * 5), advance=nothing)
    assert info.bytes_stored < 4.1 * MIB
    assert content_of(domain, info.id) == NOISE[: 4 * MIB] * 5


def test_one_thread_is_enough(bank, tmp_path):
    domain = open_vault(bank, tmp_path / "single", threads=1).domain("project")
    info = domain.write_stream(BytesSource(NOISE), advance=nothing)
    domain.read_back([info], nothing)
    assert content_of(domain, info.id) == NOISE

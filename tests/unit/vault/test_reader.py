# SPDX-License-Identifier: Apache-2.0
"""Does a stream read back as it was written, anywhere in it?"""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from karbor.sdk.streams import Extent, Kind
from karbor.sdk.testing.faults import FaultyBank
from tests.support.vaults import KIB, MIB, BytesSource, memory_bank, nothing, open_vault

DATA = (
    random.Random(8).randbytes(3 * MIB) + bytes(2 * MIB) + b"words " * 300_000 + random.Random(1).randbytes(MIB + 123)
)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    vault = open_vault(memory_bank(), tmp_path_factory.mktemp("cache"))
    domain = vault.domain("project")
    yield domain.open_stream(domain.write_stream(BytesSource(DATA), advance=nothing).id)
    vault.close()


def test_any_range_can_be_read(reader):
    numbers = random.Random(4)
    for _ in range(200):
        offset = numbers.randrange(len(DATA))
        length = min(numbers.choice([0, 1, 100, 4096, 65536, 3 * MIB]), len(DATA) - offset)
        assert reader.read(offset, length) == DATA[offset : offset + length]


def test_several_threads_may_read(reader):
    offsets = list(range(0, len(DATA) - 300 * KIB, 150 * KIB)) * 2
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda offset: reader.read(offset, 300 * KIB), offsets))
    assert found == [DATA[offset : offset + 300 * KIB] for offset in offsets]


def test_extents_tell_data_from_zeroes(reader):
    assert list(reader.extents()) == [
        Extent(0, 3 * MIB, Kind.DATA),
        Extent(3 * MIB, 2 * MIB, Kind.ZERO),
        Extent(5 * MIB, len(DATA) - 5 * MIB, Kind.DATA),
    ]


def test_what_a_long_stream_consists_of_is_told_in_few_requests(tmp_path):
    bank = FaultyBank(memory_bank())
    domain = open_vault(bank, tmp_path).domain("project")
    content = b"".join(random.Random(n).randbytes(4096) + bytes(MIB - 4096) for n in range(40))
    reader = domain.open_stream(domain.write_stream(BytesSource(content), advance=nothing).id)
    bank.calls.clear()
    assert sum(extent.length for extent in reader.extents() if extent.kind is Kind.DATA) == 40 * 4096
    assert bank.calls.count("get") <= 6  # for 40 leaves and the nodes above


def test_an_empty_stream_has_no_extents(tmp_path):
    domain = open_vault(memory_bank(), tmp_path).domain("project")
    reader = domain.open_stream(domain.write_stream(BytesSource(b""), advance=nothing).id)
    assert reader.size == 0
    assert list(reader.extents()) == []
    assert reader.read(0, 0) == b""


def test_a_range_has_the_extents_and_parts_of_the_whole(reader):
    whole = list(reader.extents())
    for start, stop in ((0, reader.size), (0, 1), (reader.size // 3, reader.size // 2), (reader.size - 1, reader.size)):
        wanted = [(max(e.offset, start), min(e.offset + e.length, stop), e.kind) for e in whole]
        found = [(e.offset, e.offset + e.length, e.kind) for e in reader.extents(start, stop)]
        assert found == [entry for entry in wanted if entry[0] < entry[1]]
        content = bytearray(stop - start)
        for at, part in reader.parts(start, stop):
            content[at - start : at - start + len(part)] = part
        assert content == reader.read(start, stop - start)

# SPDX-License-Identifier: Apache-2.0
"""Do streams, increments and records survive what a domain must survive?"""

import random
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor.model import errors
from karbor.sdk.streams import Extent, Kind
from tests.support.vaults import (
    GIB,
    KIB,
    MIB,
    TIB,
    BytesSource,
    MadeUpSource,
    content_of,
    full,
    made_up,
    memory_bank,
    nothing,
    open_vault,
    parts,
)

BLOCK = random.Random(7).randbytes(MIB)


def write(domain, source, base_id=None):
    return domain.write_stream(source, base_id=base_id, advance=nothing)


@st.composite
def disks(draw):
    """A chain of disks: (content, extents against the one before)."""
    chain: list[tuple[bytes, list[Extent]]] = []
    for _ in range(draw(st.integers(1, 4))):
        before = chain[-1][0] if chain else b""
        size = draw(st.one_of(st.integers(0, 3 * MIB), st.integers(0, 9 * MIB), st.sampled_from([0, MIB, 4 * MIB])))
        unit = draw(st.sampled_from([1, 512, 4096, 65536]))
        borders = {0, size, *(b * unit for b in draw(st.lists(st.integers(0, 9 * MIB // unit), max_size=8)))}
        ordered = sorted(border for border in borders if border <= size)
        data = bytearray(size)
        extents = []
        for start, stop in zip(ordered, ordered[1:], strict=False):
            kind = draw(st.sampled_from([Kind.DATA, Kind.ZERO, *([Kind.SAME] * 3 if chain else [])]))
            if kind is Kind.SAME:
                data[start:stop] = before[start:stop].ljust(stop - start, b"\x00")
            elif kind is Kind.DATA:
                fill(data, start, stop, draw(st.sampled_from(["noise", "zeroes", "old", "mixed", "text"])), before)
            extents.append(Extent(start, stop - start, kind))
        chain.append((bytes(data), extents))
    return chain


def fill(data, start, stop, style, before):
    length = stop - start
    if style == "noise":
        at = (start * 7) % (len(BLOCK) - 4096)
        data[start:stop] = (BLOCK[at:] + BLOCK * (length // MIB + 1))[:length]
    elif style == "text":
        data[start:stop] = (b"some words and %d\n" % start * (length // 15 + 1))[:length]
    elif style in ("old", "mixed"):
        data[start:stop] = before[start:stop].ljust(length, b"\x00")
        if style == "mixed":
            for at in range(start, stop, 50_000):
                data[at] ^= 1


@settings(deadline=None, max_examples=60)
@given(disks())
def test_every_point_of_a_chain_comes_back_as_it_was(chain):
    bank = memory_bank()
    with tempfile.TemporaryDirectory() as caches:
        vault = open_vault(bank, Path(caches, "one"))
        domain = vault.domain("project")
        infos = []
        for data, extents in chain:
            source = BytesSource(data, extents)
            info = write(domain, source, infos[-1].id if infos else None)
            domain.read_back([info], nothing)
            assert info.bytes_read == sum(length for _, length in source.reads)
            infos.append(info)
        other = open_vault(bank, Path(caches, "two"))
        for info, (data, _) in zip(infos, chain, strict=True):
            reader = other.domain("project").open_stream(info.id)
            assert reader.read(0, reader.size) == data
            end = 0
            for extent in reader.extents():
                assert extent.offset == end
                assert extent.kind is Kind.DATA or not any(data[end : end + extent.length])
                end += extent.length
            assert end == len(data)
        other.close()
        vault.close()


def test_equal_content_is_stored_once_in_a_project(domain):
    data = BLOCK * 3
    first = write(domain, BytesSource(data))
    second = write(domain, BytesSource(data))
    assert first.bytes_stored > MIB
    assert second.bytes_stored < 300
    assert second.packs == ()
    assert content_of(domain, second.id) == data


def test_holes_and_zeroes_are_neither_read_nor_stored(domain):
    source = BytesSource(bytes(8 * MIB), parts(8 * MIB, [(2 * MIB, MIB)], rest=Kind.ZERO))
    info = write(domain, source)
    assert source.reads == [(2 * MIB, MIB)]
    assert info.bytes_stored < 300
    assert list(domain.open_stream(info.id).extents()) == [Extent(0, 8 * MIB, Kind.ZERO)]


def test_an_increment_reads_what_changed_and_stores_what_differs(domain):
    data = bytearray(BLOCK * 8)
    base = write(domain, BytesSource(data))
    data[5 * MIB : 5 * MIB + 4096] = random.Random(1).randbytes(4096)
    source = BytesSource(data, parts(len(data), [(5 * MIB, 64 * KIB)], rest=Kind.SAME))
    info = write(domain, source, base.id)
    assert source.reads == [(5 * MIB, 64 * KIB)]
    assert 4096 < info.bytes_stored < 4096 + 2500
    assert content_of(domain, info.id) == data
    assert content_of(domain, base.id) == BLOCK * 8


def test_an_unchanged_disk_of_a_tebibyte_costs_one_small_object(domain):
    base = write(domain, MadeUpSource(TIB, parts(TIB, [(GIB, 2 * MIB)], rest=Kind.ZERO), seed="a"))
    source = MadeUpSource(TIB, [Extent(0, TIB, Kind.SAME)], seed="a")
    info = write(domain, source, base.id)
    assert source.read_bytes == 0
    assert info.bytes_stored < 300


@pytest.mark.parametrize("size", [16 * GIB, TIB])
def test_a_change_of_64_mib_costs_the_same_on_any_disk(domain, bank, size):
    spread = [(at * (size // 64), 2 * MIB) for at in range(64)]
    base = write(domain, MadeUpSource(size, parts(size, spread, rest=Kind.ZERO), seed="a"))
    changed = [(offset + MIB, MIB) for offset, _ in spread]
    source = MadeUpSource(size, parts(size, changed, rest=Kind.SAME), seed="b")
    info = write(domain, source, base.id)
    assert source.read_bytes == 64 * MIB
    assert (
        info.bytes_stored < 64 * MIB * 1.005
    )  # chunks, seals, directories, index and the nodes on 64 ways to the root
    domain.read_back([info], nothing)
    reader = domain.open_stream(info.id)
    for offset, _ in spread[::9]:
        assert reader.read(offset, 2 * MIB) == made_up(offset, MIB, "a") + made_up(offset + MIB, MIB, "b")


def test_several_disks_are_written_at_once(domain):
    contents = [random.Random(seed).randbytes(3 * MIB) + BLOCK for seed in range(6)]
    with ThreadPoolExecutor(6) as pool:
        infos = list(pool.map(lambda data: write(domain, BytesSource(data)), contents))
    domain.read_back(infos, nothing)
    for info, data in zip(infos, contents, strict=True):
        assert content_of(domain, info.id) == data


def test_progress_counts_the_bytes_that_were_read(domain):
    told = []
    source = BytesSource(BLOCK * 9, parts(9 * MIB, [(0, MIB), (5 * MIB, 4 * MIB)], rest=Kind.ZERO))
    domain.write_stream(source, advance=told.append)
    assert sum(told) == 5 * MIB


@pytest.mark.parametrize("error", [errors.Cancelled, errors.LeaseLost])
def test_what_advance_raises_ends_the_write_and_leaves_no_stream(domain, bank, error):
    def stop(_: int) -> None:
        raise error

    with pytest.raises(error):
        domain.write_stream(BytesSource(BLOCK * 20), advance=stop)
    assert not [name for name in bank.objects if "/stream/" in name]


def test_a_source_that_fails_ends_the_write(domain, bank):
    class Lost(BytesSource):
        def read(self, offset, length):
            if offset:
                raise errors.CaptureLost
            return super().read(offset, length)

    class Short(BytesSource):
        def read(self, offset, length):
            return b"too short"

    for source in (Lost(BLOCK * 20), Short(BLOCK)):
        with pytest.raises(errors.CaptureLost):
            write(domain, source)
    assert not [name for name in bank.objects if "/stream/" in name]


def test_a_base_that_is_missing_is_said_to_be_missing(domain):
    with pytest.raises(errors.ObjectNotFound):
        write(domain, BytesSource(BLOCK), "0" * 32)
    assert domain.has_stream("0" * 32) is False


@pytest.mark.parametrize("stream_id", ["..", "../../vault/key/1", "", "a/b"])
def test_an_id_that_could_leave_its_place_is_refused(domain, stream_id):
    write(domain, BytesSource(b""))
    for call in (domain.has_stream, domain.open_stream):
        with pytest.raises(errors.InvalidInput):
            call(stream_id)


def test_reading_outside_of_a_stream_is_refused(domain):
    reader = domain.open_stream(write(domain, BytesSource(BLOCK, full(MIB))).id)
    for offset, length in ((-1, 1), (0, -1), (MIB, 1), (0, MIB + 1)):
        with pytest.raises(errors.InvalidInput):
            reader.read(offset, length)
    assert reader.read(MIB, 0) == b""

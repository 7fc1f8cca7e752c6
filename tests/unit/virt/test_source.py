# SPDX-License-Identifier: Apache-2.0
"""Are the extents of an export complete and true, and are its bytes read rightly from several threads?"""

import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from karbor.model import errors
from karbor.sdk.streams import Kind
from karbor.virt import nbd, qemuimg
from karbor.virt.nbdserver import qemu_nbd
from karbor.virt.source import NbdSource

MIB = 1 << 20
CLUSTER = 65536


def serve(path: Path, format: str, **options):
    return qemu_nbd(str(path), format, export="disk", socket_dir=str(path.parent / "s"), **options)


def writer(path: Path, format: str):
    return serve(path, format, read_only=False)


def whole(extents, size: int) -> list[tuple[int, int, str]]:
    """The extents as plain tuples, after checking that they cover the disk without gaps and are merged."""
    found = list(extents)
    at = 0
    for extent in found:
        assert extent.offset == at
        assert extent.length > 0
        at += extent.length
    assert at == size
    assert all(left.kind is not right.kind for left, right in zip(found, found[1:], strict=False))
    return [(extent.offset, extent.length, extent.kind.value) for extent in found]


def test_without_a_bitmap_extents_are_data_and_zero(tmp_path):
    path = tmp_path / "d.qcow2"
    qemuimg.create(str(path), "qcow2", 16 * MIB)
    with writer(path, "qcow2") as place, nbd.NbdConnection(place, "disk") as connection:
        connection.write(3 * MIB, b"a" * CLUSTER)
        connection.write(3 * MIB + CLUSTER, b"b" * CLUSTER)
    with serve(path, "qcow2") as place, NbdSource(place, "disk") as source:
        assert source.size == 16 * MIB
        expected = [
            (0, 3 * MIB, "zero"),
            (3 * MIB, 2 * CLUSTER, "data"),
            (3 * MIB + 2 * CLUSTER, 13 * MIB - 2 * CLUSTER, "zero"),
        ]
        assert whole(source.extents(), source.size) == expected
        assert whole(source.extents(), source.size) == expected


def test_against_a_bitmap_only_what_was_written_is_not_same(tmp_path):
    path = tmp_path / "d.qcow2"
    qemuimg.create(str(path), "qcow2", 16 * MIB)
    with writer(path, "qcow2") as place, nbd.NbdConnection(place, "disk") as connection:
        connection.write(0, os.urandom(8 * MIB))
    qemuimg.add_bitmap(str(path), "b")
    with writer(path, "qcow2") as place, nbd.NbdConnection(place, "disk") as connection:
        connection.write(MIB, b"new")
        connection.zero(2 * MIB, 2 * MIB)
        connection.write(10 * MIB, b"n" * CLUSTER)
    with serve(path, "qcow2", bitmap="b") as place, NbdSource(place, "disk", bitmap="b") as source:
        assert whole(source.extents(), source.size) == [
            (0, MIB, "same"),
            (MIB, CLUSTER, "data"),
            (MIB + CLUSTER, MIB - CLUSTER, "same"),
            (2 * MIB, 2 * MIB, "zero"),
            (4 * MIB, 6 * MIB, "same"),
            (10 * MIB, CLUSTER, "data"),
            (10 * MIB + CLUSTER, 6 * MIB - CLUSTER, "same"),
        ]


def test_dirty_ranges_far_apart_on_a_large_sparse_disk(tmp_path):
    path = tmp_path / "d.qcow2"
    size = 64 << 30
    qemuimg.create(str(path), "qcow2", size)
    qemuimg.add_bitmap(str(path), "b")
    places = [0, 5 << 30, (5 << 30) + (200 * MIB), (5 << 30) + (300 * MIB), size - CLUSTER]
    with writer(path, "qcow2") as place, nbd.NbdConnection(place, "disk") as connection:
        for at in places:
            connection.write(at, b"x" * CLUSTER)
    with serve(path, "qcow2", bitmap="b") as place, NbdSource(place, "disk", bitmap="b") as source:
        found = whole(source.extents(), size)
        assert [offset for offset, _, kind in found if kind == "data"] == places
        assert all(kind in ("data", "same") for _, _, kind in found)


def test_the_own_layer_of_an_overlay_hides_its_base(tmp_path):
    base, top = tmp_path / "base.qcow2", tmp_path / "top.qcow2"
    qemuimg.create(str(base), "qcow2", 8 * MIB)
    with writer(base, "qcow2") as place, nbd.NbdConnection(place, "disk") as connection:
        connection.write(0, b"base" * (MIB // 4))
    qemuimg.create(str(top), "qcow2", 8 * MIB, backing=(str(base), "qcow2"))
    with writer(top, "qcow2") as place, nbd.NbdConnection(place, "disk") as connection:
        connection.write(CLUSTER, b"t" * CLUSTER)
        connection.zero(2 * CLUSTER, CLUSTER)
    with serve(top, "qcow2", depth=True) as place, NbdSource(place, "disk", own_layer=True) as source:
        assert whole(source.extents(), source.size) == [
            (0, CLUSTER, "same"),
            (CLUSTER, CLUSTER, "data"),
            (2 * CLUSTER, CLUSTER, "zero"),
            (3 * CLUSTER, 8 * MIB - 3 * CLUSTER, "same"),
        ]
    with serve(top, "qcow2") as place, NbdSource(place, "disk") as source:
        assert whole(source.extents(), source.size)[0] == (0, 2 * CLUSTER, "data")
        assert source.read(0, 2 * CLUSTER) == b"base" * (CLUSTER // 4) + b"t" * CLUSTER


def test_a_bitmap_that_is_not_offered_is_a_lost_capture_and_never_a_wrong_increment(tmp_path):
    path = tmp_path / "d.qcow2"
    qemuimg.create(str(path), "qcow2", MIB)
    with serve(path, "qcow2") as place, pytest.raises(errors.CaptureLost, match="frozen view"):
        NbdSource(place, "disk", bitmap="b")


def test_many_threads_read_through_few_connections(tmp_path):
    path = tmp_path / "d.raw"
    path.write_bytes(content := random.Random(1).randbytes(8 * MIB))
    with serve(path, "raw") as place, NbdSource(place, "disk", connections=2) as source:
        places = [(at, 300_000) for at in range(0, 8 * MIB - 300_000, 250_000)]
        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(lambda place: source.read(*place), places))
    assert found == [content[at : at + length] for at, length in places]


def test_a_closed_source_reads_nothing_more(tmp_path):
    path = tmp_path / "d.raw"
    path.write_bytes(bytes(MIB))
    with serve(path, "raw") as place:
        source = NbdSource(place, "disk")
        source.close()
        source.close()
        with pytest.raises(errors.CaptureLost):
            source.read(0, 1)
        with pytest.raises(errors.CaptureLost):
            list(source.extents())


def test_a_read_that_the_server_refuses_does_not_use_up_a_connection(tmp_path):
    path = tmp_path / "d.raw"
    path.write_bytes(bytes(MIB))
    with serve(path, "raw") as place, NbdSource(place, "disk", connections=1, timeout=5) as source:
        for _ in range(3):
            with pytest.raises(errors.StepFailed):
                source.read(MIB, 1)
        assert source.read(0, 5) == bytes(5)
        assert [extent.kind for extent in source.extents()] == [Kind.ZERO] or source.size == MIB

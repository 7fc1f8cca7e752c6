# SPDX-License-Identifier: Apache-2.0
"""Is a restored disk whole, equal, sparse, and is nothing left of one that failed?"""

import os
import random
import subprocess
from pathlib import Path

import pytest

from karbor.model import errors
from karbor.sdk.streams import Extent, Kind, StreamReader
from karbor.virt import diskwriter, qemuimg

MIB = 1 << 20


class Stream(StreamReader):
    """A stream in memory: data at some places, zeroes elsewhere."""

    def __init__(self, size: int, places: dict[int, bytes]) -> None:
        self.size, self.places = size, places

    def extents(self):
        at = 0
        for offset, data in sorted(self.places.items()):
            if offset > at:
                yield Extent(at, offset - at, Kind.ZERO)
            yield Extent(offset, len(data), Kind.DATA)
            at = offset + len(data)
        if at < self.size:
            yield Extent(at, self.size - at, Kind.ZERO)

    def read(self, offset: int, length: int) -> bytes:
        for start, data in self.places.items():
            if start <= offset < start + len(data):
                return data[offset - start : offset - start + length]
        raise AssertionError("read where there is no data")

    def content(self) -> bytes:
        whole = bytearray(self.size)
        for offset, data in self.places.items():
            whole[offset : offset + len(data)] = data
        return bytes(whole)


class InParts(Stream):
    """The same, handed over in several parts at once."""

    def scatter(self, put, advance, *, old=None) -> None:
        for offset, data in self.places.items():
            put(offset, data[:1], memoryview(data)[1:5000], b"", data[5000:])
        advance(self.size)


@pytest.fixture
def stream() -> Stream:
    rng = random.Random(3)
    return Stream(64 * MIB, {0: rng.randbytes(9 * MIB + 4096), 40 * MIB: rng.randbytes(4096), 63 * MIB: b"e" * MIB})


def write(path: Path, format: str, stream, advance=lambda count: None) -> None:
    diskwriter.write_image(str(path), format, stream, advance, socket_dir=str(path.parent / "s"))


def plain(path: Path, format: str) -> bytes:
    if format == "raw":
        return path.read_bytes()
    copy = path.with_suffix(".plain")
    subprocess.run(["qemu-img", "convert", "-f", format, "-O", "raw", path, copy], check=True)
    return copy.read_bytes()


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir() if entry.is_file())


@pytest.mark.parametrize("format", ["raw", "qcow2"])
def test_parts_that_are_handed_over_together_lie_one_behind_the_other(tmp_path, stream, format):
    path = tmp_path / "d.img"
    write(path, format, InParts(stream.size, stream.places))
    assert plain(path, format) == stream.content()


@pytest.mark.parametrize("format", ["raw", "qcow2"])
def test_a_written_image_is_equal_and_sparse_and_counted(tmp_path, stream, format):
    counted: list[int] = []
    path = tmp_path / "d.img"
    write(path, format, stream, counted.append)
    assert names(tmp_path) == ["d.img"]
    assert qemuimg.info(str(path), format).virtual_size == stream.size
    assert path.stat().st_blocks * 512 < 13 * MIB
    assert sum(counted) == stream.size
    assert plain(path, format) == stream.content()


def test_a_new_qcow2_image_can_carry_bitmaps(tmp_path, stream):
    write(tmp_path / "d.qcow2", "qcow2", stream)
    assert qemuimg.info(str(tmp_path / "d.qcow2"), "qcow2").compat == "1.1"


@pytest.mark.parametrize("format", ["raw", "qcow2"])
def test_written_again_it_starts_over_and_removes_what_was_left(tmp_path, stream, format):
    path = tmp_path / "d.img"
    path.write_bytes(b"old")
    (tmp_path / ".d.img.part-0123abcd").write_bytes(b"left by a killed process")
    (tmp_path / ".other.img.part-0123abcd").write_bytes(b"of another disk")
    write(path, format, stream)
    assert names(tmp_path) == [".other.img.part-0123abcd", "d.img"]
    assert plain(path, format) == stream.content()


@pytest.mark.parametrize("format", ["raw", "qcow2"])
@pytest.mark.parametrize("fault", [errors.Cancelled(), errors.IntegrityError()], ids=["cancelled", "damaged"])
def test_a_failed_write_leaves_nothing_and_keeps_its_reason(tmp_path, stream, format, fault):
    def fail(*_):
        raise fault

    if isinstance(fault, errors.Cancelled):
        options = {"advance": fail}
    else:
        stream.read = fail
        options = {}
    with pytest.raises(type(fault)):
        write(tmp_path / "d.img", format, stream, **options)
    assert names(tmp_path) == []


def test_a_disk_of_size_zero_and_an_empty_disk_are_written(tmp_path):
    write(tmp_path / "none.raw", "raw", Stream(0, {}))
    write(tmp_path / "empty.qcow2", "qcow2", Stream(1 << 40, {}))
    assert (tmp_path / "none.raw").stat().st_size == 0
    assert qemuimg.info(str(tmp_path / "empty.qcow2"), "qcow2").virtual_size == 1 << 40
    assert (tmp_path / "empty.qcow2").stat().st_blocks * 512 < MIB


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a small file system needs root")
@pytest.mark.parametrize("format", ["raw", "qcow2"])
def test_a_full_file_system_is_said_in_plain_words_with_what_to_do(tmp_path, stream, format):
    small = tmp_path / "m"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "small", small], check=False).returncode:
        pytest.skip("cannot mount here")
    try:
        with pytest.raises(errors.Unavailable) as caught:
            diskwriter.write_image(
                str(small / "d.img"), format, stream, lambda count: None, socket_dir=str(tmp_path / "s")
            )
        assert caught.value.message == "There is no room left for the restored disk."
        assert "free some room" in caught.value.next_action
        assert names(small) == []
    finally:
        subprocess.run(["umount", small], check=True)


def test_removing_takes_the_image_and_its_leftovers(tmp_path):
    (tmp_path / "d.img").write_bytes(b"x")
    (tmp_path / ".d.img.part-00").write_bytes(b"x")
    (tmp_path / "d.img2").write_bytes(b"x")
    diskwriter.remove_image(str(tmp_path / "d.img"))
    diskwriter.remove_image(str(tmp_path / "d.img"))
    diskwriter.remove_image(str(tmp_path / "missing" / "d.img"))
    assert names(tmp_path) == ["d.img2"]

# SPDX-License-Identifier: Apache-2.0
"""Is a disk set back to what was saved, with no more writing than it takes, and again after it was cut off?"""

import random
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from karbor.model import errors
from karbor.sdk.testing.work import BytesStream
from karbor.virt import nbd, qemuimg
from karbor.virt.diskoverwriter import overwrite_image
from karbor.virt.nbdserver import qemu_nbd
from tests.support.guestlab import BytesReader

MIB = 1 << 20
SIZE = 16 * MIB
SAVED = random.Random(2).randbytes(5 * MIB) + bytes(4 * MIB) + random.Random(3).randbytes(MIB) + bytes(6 * MIB)
#: What changed since: data where there was data, data where there was nothing, nothing where there was data.
NOW = bytearray(SAVED)
NOW[MIB : MIB + 7] = b"changed"
NOW[6 * MIB : 6 * MIB + 4] = b"data"
NOW[9 * MIB : 9 * MIB + 65536] = bytes(65536)


class Target:
    """An image with some content, in one of the formats."""

    def __init__(self, directory: Path, format: str) -> None:
        self.path, self.format, self._directory = directory / f"disk.{format}", format, directory
        plain = directory / "plain"
        plain.write_bytes(NOW)
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", format, plain, self.path], check=True)

    def restore(self, reader, advance=lambda _: None) -> None:
        overwrite_image(str(self.path), self.format, reader, advance, socket_dir=str(self._directory / "s"))

    @contextmanager
    def open(self, **options):
        with (
            qemu_nbd(
                str(self.path), self.format, export="disk", socket_dir=str(self._directory / "s"), **options
            ) as place,
            nbd.NbdConnection(place, "disk", contexts=[nbd.dirty_bitmap("b")] if "bitmap" in options else ()) as found,
        ):
            yield found

    @property
    def content(self) -> bytes:
        with self.open() as connection:
            return connection.read(0, connection.size)


@pytest.fixture(params=["raw", "qcow2"])
def target(request, tmp_path):
    return Target(tmp_path, request.param)


def test_it_is_as_it_was_saved_and_all_is_counted(target):
    counted: list[int] = []
    target.restore(BytesReader(SAVED), counted.append)
    assert target.content == SAVED
    assert sum(counted) == SIZE


def test_only_what_differs_is_written_and_dirty_bitmaps_count_it(tmp_path):
    target = Target(tmp_path, "qcow2")
    qemuimg.add_bitmap(str(target.path), "b")
    target.restore(BytesReader(SAVED))
    with target.open(bitmap="b") as connection:
        found = connection.block_status(nbd.dirty_bitmap("b"), 0, SIZE)
        dirty = {at + step for at, length, flags in found if flags & nbd.DIRTY_BIT for step in range(0, length, 65536)}
    assert {MIB, 6 * MIB, 9 * MIB} <= dirty
    assert all(at < 5 * MIB or at in (6 * MIB, 9 * MIB) for at in dirty)


def test_one_that_was_cut_off_ends_right_when_it_is_begun_again(target):
    def cancelled(count: int) -> None:
        if count:
            raise errors.Cancelled

    with pytest.raises(errors.Cancelled):
        target.restore(BytesReader(SAVED), cancelled)
    assert target.content != SAVED
    target.restore(BytesReader(SAVED))
    assert target.content == SAVED


@contextmanager
def guest_on(target: Target):
    """A machine that does not run yet, but has opened its disk."""
    command = ["qemu-system-x86_64", "-accel", "tcg", "-S", "-nodefaults", "-display", "none", "-qmp", "stdio"]
    command += ["-drive", f"if=virtio,file={target.path},format={target.format}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as machine:
        try:
            # The greeting comes before the disks are opened; an answer comes after that, or never.
            machine.stdin.write(b'{"execute": "qmp_capabilities"}\n')
            machine.stdin.flush()
            assert b"QMP" in machine.stdout.readline()
            assert b"return" in machine.stdout.readline()
            yield
        finally:
            machine.kill()


def test_a_disk_in_use_of_another_size_or_gone_is_refused_unchanged(target):
    with guest_on(target), pytest.raises(errors.Conflict, match="in use"):
        target.restore(BytesStream(SAVED))
    with pytest.raises(errors.Conflict, match="another size"):
        target.restore(BytesStream(SAVED[:-MIB]))
    assert target.content == NOW
    target.path.unlink()
    with pytest.raises(errors.ResourceNotFound):
        target.restore(BytesStream(SAVED))


def test_no_guest_can_be_started_on_a_disk_that_is_being_overwritten(target):
    refused = []

    def start(count: int) -> None:
        if count and not refused:
            with pytest.raises(AssertionError), guest_on(target):
                refused.append("no")
            refused.append("yes")

    target.restore(BytesReader(SAVED), start)
    assert refused == ["yes"]

# SPDX-License-Identifier: Apache-2.0
"""Do we understand what qemu-img says, and refuse what it must not be asked?"""

import pytest

from karbor.model import errors
from karbor.virt import nbd, qemuimg
from karbor.virt.nbdserver import qemu_nbd

MIB = 1 << 20


def test_a_new_image_has_the_size_and_version_asked_for(tmp_path):
    path = str(tmp_path / "d.qcow2")
    qemuimg.create(path, "qcow2", 10 * MIB)
    found = qemuimg.info(path, "qcow2")
    assert (found.format, found.virtual_size, found.compat, found.backing) == ("qcow2", 10 * MIB, "1.1", None)
    assert found.actual_size < MIB
    assert found.bitmaps == ()


def test_a_base_image_is_named_with_its_format(tmp_path):
    base, top = str(tmp_path / "base.raw"), str(tmp_path / "top.qcow2")
    qemuimg.create(base, "raw", 10 * MIB)
    qemuimg.create(top, "qcow2", 20 * MIB, backing=(base, "raw"))
    found = qemuimg.info(top, "qcow2")
    assert (found.virtual_size, found.backing, found.backing_format) == (20 * MIB, base, "raw")


def test_bitmaps_come_and_go(tmp_path):
    path = str(tmp_path / "d.qcow2")
    qemuimg.create(path, "qcow2", MIB)
    qemuimg.add_bitmap(path, "one")
    qemuimg.add_bitmap(path, "two", granularity=131072)
    found = qemuimg.info(path, "qcow2")
    assert found.bitmap("one") == qemuimg.Bitmap("one", 65536, recording=True, broken=False)
    assert found.bitmap("two").granularity == 131072
    with pytest.raises(errors.StepFailed):
        qemuimg.add_bitmap(path, "one")
    qemuimg.remove_bitmap(path, "one")
    qemuimg.remove_bitmap(path, "one")
    assert [entry.name for entry in qemuimg.info(path, "qcow2").bitmaps] == ["two"]


def test_an_image_in_use_can_be_looked_at(tmp_path):
    path = str(tmp_path / "d.qcow2")
    qemuimg.create(path, "qcow2", MIB)
    with qemu_nbd(path, "qcow2", export="d", socket_dir=str(tmp_path / "s"), read_only=False) as place:
        with nbd.NbdConnection(place, "d") as connection:
            connection.write(0, b"x")
            assert qemuimg.info(path, "qcow2").virtual_size == MIB


def test_a_raw_disk_that_carries_a_qcow2_header_stays_raw(tmp_path):
    secret, disk = tmp_path / "secret", tmp_path / "guest.raw"
    secret.write_bytes(b"s" * 512)
    qemuimg.create(str(disk), "qcow2", MIB, backing=(str(secret), "raw"))
    found = qemuimg.info(str(disk), "raw")
    assert (found.format, found.backing) == ("raw", None)


@pytest.mark.parametrize("path", ["json:{}", "nbd://host/disk", "disk.raw", "fat:/etc"])
def test_what_is_no_plain_path_is_refused(path):
    with pytest.raises(errors.InvalidInput):
        qemuimg.info(path, "raw")


def test_wrong_formats_sizes_and_missing_files_are_told_apart(tmp_path):
    path = tmp_path / "d"
    path.write_bytes(b"no header here")
    with pytest.raises(errors.InvalidInput):
        qemuimg.info(str(path), "vmdk")
    with pytest.raises(errors.StepFailed):
        qemuimg.info(str(path), "qcow2")
    with pytest.raises(errors.ResourceNotFound):
        qemuimg.info(str(tmp_path / "none"), "raw")
    with pytest.raises(errors.InvalidInput):
        qemuimg.create(str(path), "raw", -1)
    with pytest.raises(errors.InvalidInput):
        qemuimg.add_bitmap(str(path), "--help")

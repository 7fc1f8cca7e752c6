# SPDX-License-Identifier: Apache-2.0
"""Are files read as they are on the disk, by a process that believes nothing and can do nothing else?"""

import shutil
import stat

import pytest

from karbor.model import errors
from karbor.virt.files.box import Box, Entry
from tests.support import images
from tests.support.images import BIG, MANY, MIB, BytesDisk, DamagedDisk


@pytest.fixture(scope="module")
def ext4(tmp_path_factory):
    return images.ext4(tmp_path_factory.mktemp("ext4"))


@pytest.fixture(scope="module")
def xfs(tmp_path_factory):
    return images.xfs(tmp_path_factory.mktemp("xfs"))


def content_of(found):
    [(entry, data)] = [(entry, b"".join(parts)) for entry, parts in found]
    return entry, data


def test_ext4_is_listed_and_read_without_reading_all_of_it(ext4):
    disk = BytesDisk(ext4)
    box = Box(disk)
    assert box.volumes() == [{"volume": "disk", "size": len(ext4), "format": "ext", "readable": True}]
    top = {entry.name: entry for entry in box.list(None, [])}
    assert set(top) == {"lost+found", "many", "deep", "big", "empty", "esc\x1b[31m"}
    big = top["big"]
    assert (stat.S_ISREG(big.mode), stat.S_IMODE(big.mode), big.size, int(big.mtime)) == (
        True,
        0o640,
        len(BIG),
        images.TIME,
    )
    assert len(list(box.list("disk", ["many"]))) == MANY
    [link, folder] = sorted(box.list(None, ["deep"]), key=lambda entry: stat.S_ISDIR(entry.mode))
    assert (link.target, folder.name) == ("../../etc/passwd", "a b")
    assert content_of(box.get(None, ["big"])) == (big, BIG)
    assert content_of(box.get(None, ["empty"]))[1] == b""
    assert disk.reads < 200


def test_everything_below_a_directory_comes_parents_first(ext4):
    found = {entry.name: b"".join(parts) for entry, parts in Box(BytesDisk(ext4)).tar(None, [])}
    assert found["big"] == BIG and found["deep/a b/name"] == b"deep\n"
    assert list(found).index("deep") < list(found).index("deep/a b") < list(found).index("deep/a b/name")
    assert sum(name.startswith("many/") for name in found) == MANY


def test_content_that_nobody_wants_is_passed_over(ext4):
    names = [entry.name for entry, _parts in Box(BytesDisk(ext4)).tar(None, [])]
    assert len(names) == len(set(names)) > MANY


def test_xfs_is_read(xfs):
    box = Box(BytesDisk(xfs))
    assert box.volumes()[0]["format"] == "xfs"
    assert {entry.name for entry in box.list(None, ["deep"])} == {"name", "link"}
    assert content_of(box.get(None, ["big"]))[1] == BIG
    [deep] = [entry for entry in box.list(None, []) if entry.name == "deep"]
    assert (deep.uid, deep.gid) == (7, 8)


def test_fat_is_read(tmp_path):
    box = Box(BytesDisk(images.fat(tmp_path)))
    assert {entry.name: stat.S_ISDIR(entry.mode) for entry in box.list(None, [])} == {
        "big": False,
        "file-1": False,
        "deep": True,
    }
    assert content_of(box.get(None, ["big"]))[1] == BIG
    assert content_of(box.get(None, ["deep", "file-2"]))[1] == b"2\n"
    with pytest.raises(errors.StepFailed, match="not a file"):
        list(box.get(None, []))


def test_ntfs_is_read(tmp_path):
    box = Box(BytesDisk(images.ntfs(tmp_path)))
    assert "big" in {entry.name for entry in box.list(None, [])}
    assert content_of(box.get(None, ["big"]))[1] == BIG


def test_volumes_of_a_partitioned_disk_are_told_apart(ext4):
    box = Box(BytesDisk(images.partitioned([ext4, bytes(MIB), ext4])))
    assert [(entry["volume"], entry["format"]) for entry in box.volumes()] == [("p1", "ext"), ("p2", ""), ("p3", "ext")]
    assert content_of(box.get("p3", ["big"]))[1] == BIG
    with pytest.raises(errors.StepFailed, match=r"Say which volume.*p1 \(ext\)"):
        list(box.list(None, []))


def test_volumes_of_a_gpt_keep_their_numbers_and_those_of_lvm2_their_names(ext4):
    box = Box(BytesDisk(images.gpt([ext4, images.lvm(ext4), bytes(MIB)])))
    told = [(entry["volume"], entry["format"], entry["readable"]) for entry in box.volumes()]
    unknown = [(volume, "", False) for volume in ("p3/small", "p3/extra", "p4")]
    assert told == [("p1", "ext", True), ("p3/root", "ext", True), *unknown]
    for volume in ("p1", "p3/root"):
        assert content_of(box.get(volume, ["big"]))[1] == BIG


@pytest.mark.skipif(not shutil.which("mkfs.exfat"), reason="exfatprogs is not installed")
def test_exfat_is_read(tmp_path):
    box = Box(BytesDisk(images.exfat(tmp_path)))
    assert {entry.name: stat.S_ISDIR(entry.mode) for entry in box.list(None, [])} == {"big": False, "deep": True}
    assert content_of(box.get(None, ["big"]))[1] == BIG
    assert content_of(box.get(None, ["deep", "name"]))[1] == b"deep\n"


def test_a_part_of_a_file_is_read_alone(ext4):
    box = Box(BytesDisk(ext4))
    for offset, length in ((0, 10), (MIB - 5, 10), (len(BIG) - 5, 10), (len(BIG) + 9, 10), (3, 0)):
        entry, data = box.read(None, ["big"], offset, length)
        assert (entry.size, data) == (len(BIG), BIG[offset : offset + length])


@pytest.mark.parametrize(
    ("marks", "told"),
    [
        ({65536 + 64: b"_BHRfS_M"}, "btrfs"),
        ({0: b"LUKS\xba\xbe"}, "luks"),
        ({}, "the disk has"),
    ],
)
def test_what_cannot_be_read_is_named(marks, told):
    data = bytearray(MIB)
    for at, mark in marks.items():
        data[at : at + len(mark)] = mark
    with pytest.raises(errors.StepFailed, match=told):
        list(Box(BytesDisk(data)).list(None, []))


def test_what_is_not_there_or_no_file_is_refused(ext4):
    box = Box(BytesDisk(ext4))
    for question in (lambda: box.list(None, ["nothing"]), lambda: box.get(None, ["many"]), lambda: box.get(None, [])):
        with pytest.raises(errors.StepFailed):
            list(question())


def test_damage_of_the_bank_is_what_is_raised(ext4):
    class Damaged(BytesDisk):
        def read(self, offset, length):
            raise errors.IntegrityError("lost")

    with pytest.raises(errors.IntegrityError):
        Box(Damaged(ext4)).volumes()


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_damaged_file_systems_end_in_an_answer_or_a_clean_error(kind, request):
    """A few of many: the rest is run by hand with more seeds."""
    whole = request.getfixturevalue(kind)
    for seed in range(4):
        ended = read_all(DamagedDisk(whole, seed))
        assert ended in ("read", "refused")


def read_all(disk):
    """What became of an attempt to read everything."""
    box = Box(disk)
    try:
        for entry, parts in box.tar(None, []):
            assert isinstance(entry, Entry)
            for _part in parts:
                pass
    except errors.StepFailed:
        return "refused"
    return "read"

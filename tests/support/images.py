# SPDX-License-Identifier: Apache-2.0
"""Which disks do tests of file systems read? Small images made by the usual programs, without a mount."""

import os
import random
import subprocess
from pathlib import Path

MIB = 1 << 20
BIG = random.Random(7).randbytes(3 * MIB + 17)
MANY = 300
TIME = 1_700_000_000


class BytesDisk:
    """A disk in memory. ``reads`` counts what was asked of it."""

    def __init__(self, data):
        self.data, self.size, self.reads = bytes(data), len(data), 0

    def read(self, offset, length):
        self.reads += 1
        return self.data[offset : offset + length]


class DamagedDisk(BytesDisk):
    """A disk of which some random bytes, where structures lie, are others."""

    def __init__(self, data, seed):
        super().__init__(data)
        chance = random.Random(seed)
        places = (chance.randrange(min(self.size, 2 * MIB)) for _ in range(chance.choice((1, 20, 200))))
        self.others = {place: chance.randrange(256) for place in places}

    def read(self, offset, length):
        found = bytearray(super().read(offset, length))
        for place, value in self.others.items():
            if offset <= place < offset + length:
                found[place - offset] = value
        return bytes(found)


def content(directory):
    """A tree of files; returns it."""
    top = Path(directory) / "content"
    (top / "many").mkdir(parents=True)
    (top / "deep" / "a b").mkdir(parents=True)
    for number in range(MANY):
        (top / "many" / f"file-{number}").write_text(f"{number}\n")
    (top / "big").write_bytes(BIG)
    (top / "big").chmod(0o640)
    (top / "deep" / "a b" / "name").write_text("deep\n")
    (top / "deep" / "link").symlink_to("../../etc/passwd")
    (top / "esc\x1b[31m").write_text("red\n")
    (top / "empty").touch()
    os.utime(top / "big", (TIME, TIME))
    return top


def ext4(directory):
    image = _empty(directory, "ext4.img", 24)
    _run("mke2fs", "-q", "-F", "-t", "ext4", "-d", content(directory), image)
    return image.read_bytes()


def xfs(directory):
    """A file system of XFS: a file, a directory with another one, and a link."""
    directory = Path(directory)
    (directory / "big").write_bytes(BIG)
    (directory / "proto").write_text(
        f"/dev/null\n0 0\nd--755 0 0\nbig ---640 0 0 {directory}/big\n"
        f"deep d--755 7 8\nname ---644 0 0 {directory}/big\n"
        "link l--777 0 0 ../../etc/passwd\n$\n$\n"
    )
    image = _empty(directory, "xfs.img", 320)
    _run("mkfs.xfs", "-q", "-p", directory / "proto", image)
    return image.read_bytes()


def fat(directory):
    image = _empty(directory, "fat.img", 40)
    _run("mkfs.vfat", "-F", "32", image)
    top = content(directory)
    _run("mcopy", "-Q", "-i", image, top / "big", top / "many" / "file-1", "::")
    _run("mmd", "-i", image, "::deep")
    _run("mcopy", "-Q", "-i", image, top / "many" / "file-2", "::deep")
    return image.read_bytes()


def ntfs(directory):
    image = _empty(directory, "ntfs.img", 24)
    _run("mkntfs", "-F", "-q", "-Q", image)
    _run("ntfscp", image, content(directory) / "big", "big")
    return image.read_bytes()


def partitioned(parts):
    """A disk with an MBR and these file systems behind each other."""
    table, place, entries = bytearray(512), 2048, []
    for data in parts:
        sectors = -(-len(data) // 512)
        entries.append(
            b"\x00" + bytes(3) + b"\x83" + bytes(3) + place.to_bytes(4, "little") + sectors.to_bytes(4, "little")
        )
        place += sectors
    table[446 : 446 + 16 * len(entries)] = b"".join(entries)
    table[510:512] = b"\x55\xaa"
    return bytes(table) + bytes(2048 * 512 - 512) + b"".join(data + bytes(-len(data) % 512) for data in parts)


def _empty(directory, name, mib):
    image = Path(directory) / name
    with image.open("wb") as file:
        file.truncate(mib * MIB)
    return image


def _run(*command):
    subprocess.run([*map(str, command)], check=True, capture_output=True)

# SPDX-License-Identifier: Apache-2.0
"""Which disks do tests of file systems read? Small images made by the usual programs, without a mount."""

import lzma
import os
import random
import struct
import subprocess
import uuid
import zlib
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


def gpt(parts):
    """A disk with a GPT of 512-byte sectors and these parts behind each other; entry 2 is left out."""
    places, entries, place = [], bytearray(128 * 128), 2048
    for data in parts:
        places.append((place, -(-len(data) // 512)))
        place += places[-1][1]
    for number, (start, sectors) in enumerate(places):
        at = 128 * (number if number == 0 else number + 1)
        kind, own = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4"), uuid.UUID(int=number + 1)
        entries[at : at + 48] = kind.bytes_le + own.bytes_le + struct.pack("<QQ", start, start + sectors - 1)
    last = place + 32
    table = b"".join(data + bytes(-len(data) % 512) for data in parts)
    front = _gpt_header(entries, 1, last, 2, last) + bytes(entries)
    back = bytes(entries) + _gpt_header(entries, last, 1, last - 32, last)
    mbr = bytearray(512)
    mbr[446:462] = struct.pack("<8B2I", 0, 0, 2, 0, 0xEE, 255, 255, 255, 1, last)
    mbr[510:] = b"\x55\xaa"
    return bytes(mbr) + front + bytes((2048 - 34) * 512) + table + back


def lvm(root):
    """A physical volume with the logical volumes ``root`` (32 MiB, beginning with these bytes), ``small`` (12 MiB, two
    pieces) and ``extra``. What LVM2 itself wrote in front of them is kept beside this module."""
    disk = bytearray(lzma.decompress((Path(__file__).parent / "data" / "lvm2-head.xz").read_bytes()))
    disk += bytes(63 * MIB)
    for place, data in ((0, root), (8, b"first"), (11, b"second")):
        at = MIB + place * 4 * MIB
        disk[at : at + len(data)] = data
    return bytes(disk)


def _gpt_header(entries, mine, other, first, last):
    fields = (mine, other, 34, last - 33, uuid.UUID(int=9).bytes_le, first, 128, 128, zlib.crc32(entries))
    head = struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, *fields)
    return head[:16] + struct.pack("<I", zlib.crc32(head)) + head[20:] + bytes(512 - 92)


def exfat(directory):
    """exFAT, with ``big`` and ``deep/name``: made by its mkfs, the files written by the book."""
    image = _empty(directory, "exfat.img", 16)
    _run("mkfs.exfat", "-c", "4K", image)
    data = bytearray(image.read_bytes())
    heap, _count, root = struct.unpack_from("<III", data, 88)
    cluster = 4096
    start = heap * 512

    def put(number, content):
        place = start + (number - 2) * cluster
        data[place : place + len(content)] = content

    free = root + 8
    folder, name, big = free, free + 1, free + 2
    for used in range(folder, big + -(-len(BIG) // cluster)):
        bit = used - 2
        data[_bitmap(data, start, root, cluster) + bit // 8] |= 1 << bit % 8
    put(folder, _exfat_entry("name", 0x20, name, 5))
    put(name, b"deep\n")
    put(big, BIG)
    place = start + (root - 2) * cluster
    while data[place] & 0x80:
        place += 32
    sets = _exfat_entry("big", 0x20, big, len(BIG)) + _exfat_entry("deep", 0x10, folder, cluster)
    data[place : place + len(sets)] = sets
    return bytes(data)


def _bitmap(data, start, root, cluster):
    """Where the bitmap of used clusters lies."""
    place = start + (root - 2) * cluster
    while data[place] != 0x81:
        place += 32
    return start + (struct.unpack_from("<I", data, place + 20)[0] - 2) * cluster


def _exfat_entry(name, attributes, first, length):
    """The directory entries of something that lies in one piece."""
    text = name.encode("utf-16-le")
    stamp = (2023 - 1980) << 25 | 11 << 21 | 14 << 16 | 22 << 11 | 13 << 5 | 10
    one = struct.pack("<BBHH2xIIIBBBBB7x", 0x85, 2, 0, attributes, stamp, stamp, stamp, 0, 0, 0x80, 0x80, 0x80)
    hashed = 0
    for byte in name.upper().encode("utf-16-le"):
        hashed = ((hashed >> 1 | hashed << 15) & 0xFFFF) + byte & 0xFFFF
    two = struct.pack("<BBxBH2xQ4xIQ", 0xC0, 3, len(name), hashed, length, first, length)
    three = struct.pack("<BB30s", 0xC1, 0, text)
    found, total = bytearray(one + two + three), 0
    for at, byte in enumerate(found):
        if at not in (2, 3):
            total = ((total >> 1 | total << 15) & 0xFFFF) + byte & 0xFFFF
    found[2:4] = struct.pack("<H", total)
    return bytes(found)

# SPDX-License-Identifier: Apache-2.0
"""Which parts does a disk have that may hold a file system: itself, partitions, logical volumes?"""

import importlib
import struct
from collections.abc import Iterator

from karbor.virt.files.disk import Window
from karbor.virt.files.formats import recognise
from karbor.virt.files.lvm import logical_volumes

LIBRARIES = ("pyvsgpt",)
_SECTOR = 512
_EXTENDED = (0x05, 0x0F, 0x85)


def volumes(disk: Window) -> Iterator[tuple[str, Window]]:
    """Name and place of each. Raises OSError for tables that cannot be read."""
    if recognise(disk):
        yield from _inside("disk", disk)
    elif disk.bytes_at(_SECTOR, 8) == b"EFI PART":
        table = importlib.import_module("pyvsgpt").volume()
        table.open_file_object(disk)
        for index in range(table.number_of_partitions):
            found = table.get_partition(index)
            yield from _inside(f"p{found.entry_index + 1}", _clipped(disk, found.volume_offset, found.size))
    elif disk.bytes_at(510, 2) == b"\x55\xaa":
        for number, (kind, start, length) in enumerate(_entries(disk), 1):
            if length and kind not in _EXTENDED:
                yield from _inside(f"p{number}", _clipped(disk, start, length))


def _entries(disk: Window) -> list[tuple[int, int, int]]:
    """(kind, offset, length) of the four entries of an MBR."""
    found = []
    for index in range(4):
        kind, first, count = struct.unpack("<4xB3xII", disk.bytes_at(446 + 16 * index, 16))
        found.append((kind, first * _SECTOR, count * _SECTOR))
    return found


def _clipped(disk: Window, offset: int, size: int) -> Window:
    """A part of a disk; a table may tell of more than there is."""
    offset = min(max(offset, 0), disk.size)
    return Window(disk.at, disk.offset + offset, max(min(size, disk.size - offset), 0))


def _inside(name: str, window: Window) -> Iterator[tuple[str, Window]]:
    if recognise(window) != "lvm2":
        yield name, window
        return
    for found, place in logical_volumes(window):
        yield f"{name}/{found}", place

# SPDX-License-Identifier: Apache-2.0
"""Where on a physical volume of LVM2 do its logical volumes lie?

Its metadata is a text. Read are linear volumes that lie on this one disk; others are told with what they are. (The
library of libyal gives the first volume of a group only.)
"""

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from karbor.virt.files.disk import Window

_SECTOR = 512
_MAGIC = b" LVM2 x[5A%r0N*>"
_MOST_TEXT = 16 << 20
_DEEP = 8
_TOKEN = re.compile(r'\s+|#[^\n]*|"((?:[^"\\]|\\.)*)"|([{}\[\],=])|([^\s{}\[\],="#]+)')
_LINEAR = ("striped", "linear")


def logical_volumes(disk: Window) -> Iterator[tuple[str, Window]]:
    """Name and place of each that users see. Raises OSError where the metadata cannot be read."""
    own, text = _metadata(disk)
    tree = _parsed(text)
    try:
        [group] = [entry for entry in tree.values() if isinstance(entry, Mapping)]
        sector = int(group["extent_size"]) * _SECTOR
        starts = {
            name: int(entry["pe_start"]) * _SECTOR
            for name, entry in group["physical_volumes"].items()
            if entry["id"].replace("-", "") == own
        }
        found = group.get("logical_volumes", {}).items()
        shown = [(name, entry) for name, entry in found if "VISIBLE" in entry["status"]]
        yield from ((name, _volume(disk, entry, sector, starts)) for name, entry in shown)
    except (KeyError, ValueError, TypeError, AttributeError) as fault:
        raise OSError(f"the metadata of LVM2 makes no sense: {fault!r}") from fault


def _metadata(disk: Window) -> tuple[str, str]:
    """The id of the physical volume, and the text of its group."""
    head = disk.bytes_at(0, 4 * _SECTOR)
    place = next(at for at in range(0, 4 * _SECTOR, _SECTOR) if head[at : at + 8] == b"LABELONE")
    header = place + struct.unpack_from("<I", head, place + 20)[0]
    table = disk.bytes_at(header, 4 * _SECTOR)
    if len(table) < 4 * _SECTOR:
        raise OSError("the header of LVM2 is cut off")
    lists = _locations(table, 40)
    areas = [offset for offset, _size in lists[1]]
    for area in areas:
        found = disk.bytes_at(area, _SECTOR)
        if found[4:20] != _MAGIC:
            continue
        size, (offset, length) = struct.unpack_from("<Q", found, 32)[0], struct.unpack_from("<QQ", found, 40)
        if not 0 < length <= _MOST_TEXT or not _SECTOR <= offset < size:
            continue
        first = disk.bytes_at(area + offset, min(length, size - offset))
        rest = disk.bytes_at(area + _SECTOR, length - len(first))  # it is a ring behind the header
        return table[:32].decode("ascii", "replace"), (first + rest).decode("utf-8", "replace")
    raise OSError("LVM2 keeps no metadata here")


def _locations(table: bytes, place: int) -> list[list[tuple[int, int]]]:
    """The two lists of (offset, size), each ended by zeroes: data, metadata."""
    lists: list[list[tuple[int, int]]] = [[], []]
    for found in lists:
        while place + 16 <= len(table):
            entry = struct.unpack_from("<QQ", table, place)
            place += 16
            if entry == (0, 0):
                break
            found.append(entry)
    return lists


def _volume(disk: Window, entry: Mapping[str, Any], extent: int, starts: Mapping[str, int]) -> Window:
    pieces = []
    for index in range(int(entry["segment_count"])):
        segment = entry[f"segment{index + 1}"]
        if segment["type"] not in _LINEAR:
            return Window(disk.at, disk.offset, 0, told=f"lvm2 {segment['type']}"[:40])
        name, first = segment["stripes"][:2]
        if int(segment.get("stripe_count", 1)) != 1 or name not in starts:
            return Window(disk.at, disk.offset, 0, told="lvm2 of several disks")
        count = int(segment["extent_count"]) * extent
        pieces.append((int(segment["start_extent"]) * extent, count, starts[name] + int(first) * extent))
    return _pieced(disk, sorted(pieces))


def _pieced(disk: Window, pieces: Sequence[tuple[int, int, int]]) -> Window:
    """A window over pieces: (offset in it, length, offset on the disk)."""
    size = 0
    for offset, length, place in pieces:
        if offset != size or length <= 0 or place + length > disk.size:
            return Window(disk.at, disk.offset, 0, told="lvm2, damaged")
        size += length

    def at(offset: int, length: int) -> bytes:
        parts = []
        for begin, count, place in pieces:
            inner = max(offset - begin, 0)
            wanted = min(count - inner, offset + length - begin - inner)
            if inner < count and wanted > 0:
                parts.append(disk.at(disk.offset + place + inner, wanted))
        return b"".join(parts)

    return Window(at, 0, size)


def _parsed(text: str) -> dict[str, Any]:
    tokens = _tokens(text)
    return _section(tokens, deep=0)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """(kind, text): "text", "mark" or "word"."""
    place = 0
    text = text.rstrip("\x00")
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise OSError("the metadata of LVM2 cannot be read")
        place = found.end()
        for kind, part in zip(("text", "mark", "word"), found.groups(), strict=True):
            if part is not None:
                yield kind, part


def _section(tokens: Iterator[tuple[str, str]], *, deep: int) -> dict[str, Any]:
    if deep > _DEEP:
        raise OSError("the metadata of LVM2 is too deep")
    found: dict[str, Any] = {}
    for kind, name in tokens:
        if (kind, name) == ("mark", "}"):
            return found
        _kind, mark = next(tokens, ("", ""))
        found[name] = _section(tokens, deep=deep + 1) if mark == "{" else _value(tokens)
    return found


def _value(tokens: Iterator[tuple[str, str]]) -> Any:
    kind, text = next(tokens, ("", ""))
    if (kind, text) != ("mark", "["):
        return text
    found = []
    for kind, part in tokens:
        if (kind, part) == ("mark", "]"):
            break
        if kind != "mark":
            found.append(part)
    return found

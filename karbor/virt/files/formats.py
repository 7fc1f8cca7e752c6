# SPDX-License-Identifier: Apache-2.0
"""How are file systems of each format read? One class for each, with the same methods.

``root``, ``children``, ``entry`` (what is shown of a node), ``identity`` and ``read``. Nodes belong to the format. The
libraries are C, and what they read may have been made to break them: they are imported by the process that can do
nothing else only.
"""

import importlib
import stat
from collections.abc import Iterator
from typing import Any, ClassVar

from karbor.virt.files.disk import Window

_NS = 1_000_000_000
_WINDOWS_EPOCH = 11_644_473_600  # seconds from 1601 to 1970
_DIRECTORY = 0x10  # of the attributes of FAT and NTFS
_REPARSE = 0x400


class Format:
    """A file system on a window of a disk, by a library of libyal. Raises OSError for what cannot be read."""

    name: ClassVar[str]
    library: ClassVar[str]

    def __init__(self, window: Window) -> None:
        self._volume = importlib.import_module(self.library).volume()
        self._volume.open_file_object(window)

    @classmethod
    def load(cls) -> bool:
        """Import the library while that is still possible: whether it is installed."""
        try:
            importlib.import_module(cls.library)
        except ImportError:
            return False
        return True

    def root(self) -> Any:
        """The topmost directory."""
        return self._volume.get_root_directory()

    def children(self, node: Any) -> Iterator[tuple[str, Any]]:
        """Name and node of everything in a directory. A name that cannot be told is None."""
        for index in range(node.number_of_sub_file_entries):
            child = node.get_sub_file_entry(index)
            name = child.name
            if name not in (".", ".."):
                yield name, child

    def entry(self, node: Any) -> dict[str, Any]:
        """``mode`` (with its kind), ``size``, ``uid``, ``gid``, ``mtime`` in seconds, ``target`` of a link."""
        mode = node.file_mode
        link = stat.S_ISLNK(mode)
        return {
            "mode": mode,
            "size": node.size if stat.S_ISREG(mode) else 0,
            "uid": node.owner_identifier,
            "gid": node.group_identifier,
            "mtime": (node.get_modification_time_as_integer() or 0) / _NS,
            "target": node.symbolic_link_target if link else None,
        }

    def identity(self, node: Any) -> Any:
        """What tells a node from all others of the file system."""
        return node.inode_number

    def read(self, node: Any, offset: int, length: int) -> bytes:
        """Some bytes of a file."""
        found: bytes = node.read_buffer_at_offset(length, offset)
        return found


class Ext(Format):
    """ext2, ext3 and ext4."""

    name, library = "ext", "pyfsext"


class Xfs(Format):
    """XFS."""

    name, library = "xfs", "pyfsxfs"


class _WithoutOwners(Format):
    def entry(self, node: Any) -> dict[str, Any]:
        flags = node.file_attribute_flags or 0
        link = bool(flags & _REPARSE)
        folder = bool(flags & _DIRECTORY) or self._is_folder(node)
        kind = stat.S_IFLNK | 0o777 if link else stat.S_IFDIR | 0o755 if folder else stat.S_IFREG | 0o644
        return {
            "mode": kind,
            "size": 0 if folder or link else node.size,
            "uid": 0,
            "gid": 0,
            "mtime": self._seconds(node.get_modification_time_as_integer() or 0),
            "target": self._target(node) if link else None,
        }

    def _is_folder(self, node: Any) -> bool:
        return False

    def _target(self, node: Any) -> str | None:
        return None

    def _seconds(self, value: int) -> float:
        return value / _NS


class Ntfs(_WithoutOwners):
    """NTFS."""

    name, library = "ntfs", "pyfsntfs"

    def _is_folder(self, node: Any) -> bool:
        return bool(node.has_directory_entries_index())

    def identity(self, node: Any) -> Any:
        return node.file_reference

    def _target(self, node: Any) -> str | None:
        found: str | None = node.symbolic_link_target
        return found

    def _seconds(self, value: int) -> float:
        return max(value / 10_000_000 - _WINDOWS_EPOCH, 0.0)  # steps of 100 ns since 1601


class Fat(_WithoutOwners):
    """FAT12, FAT16, FAT32 and exFAT."""

    name, library = "fat", "pyfsfat"

    def identity(self, node: Any) -> Any:
        return node.identifier

    def _seconds(self, value: int) -> float:
        return 0.0  # the library tells them a month late


FORMATS: tuple[type[Format], ...] = (Ext, Xfs, Ntfs, Fat)


def recognise(window: Window) -> str:
    """Which format lies there, also one that nobody here reads; "" where nothing is known."""
    if window.told:
        return window.told
    head = window.bytes_at(0, 8192)
    signs = (
        ("xfs", head[:4] == b"XFSB"),
        ("ntfs", head[3:11] == b"NTFS    "),
        ("luks", head[:6] == b"LUKS\xba\xbe"),
        ("ext", head[1080:1082] == b"\x53\xef"),
        ("lvm2", any(head[at : at + 8] == b"LABELONE" for at in (0, 512, 1024, 1536))),
        ("swap", head[4086:4096] == b"SWAPSPACE2"),
        ("fat", head[510:512] == b"\x55\xaa" and (b"FAT" in (head[54:57], head[82:85]) or head[3:8] == b"EXFAT")),
        ("btrfs", window.bytes_at(65536 + 64, 8) == b"_BHRfS_M"),
    )
    return next((name for name, found in signs if found), "")

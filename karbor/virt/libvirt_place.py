# SPDX-License-Identifier: Apache-2.0
"""Where may a restored disk lie?"""

import re
from collections.abc import Sequence
from pathlib import Path

import libvirt

from karbor.model import errors
from karbor.virt import libvirt_xml
from karbor.virt.libvirt_connection import Connection, has_code, translated

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@-]{0,200}\Z")


class Places:
    """Checks places against what the operator allows. ``roots`` empty: any directory."""

    def __init__(self, connection: Connection, *, roots: Sequence[str], default: str) -> None:
        self._connection = connection
        self._roots = [Path(root).resolve() for root in roots]
        self._default = default

    def target_path(self, *, directory: str | None, pool: str | None, name: str) -> str:
        """See sdk.hypervisor.Hypervisor.target_path."""
        if not _NAME.match(name):
            raise errors.InvalidInput("This cannot be the name of a disk file.", detail=repr(name[:80]))
        if directory and pool:
            raise errors.InvalidInput("Give a directory or a pool, not both.")
        place = self._pool_directory(pool) if pool else Path(directory or self._default)
        self._check(place)
        path = place / name
        if path.exists() or path.is_symlink():
            raise errors.Conflict(f"The file {path} exists.", next_action="choose another directory or name")
        return str(path)

    def check_path(self, path: str) -> str:
        """``path`` if it lies directly in an allowed directory. Raises InvalidInput."""
        if not _NAME.match(Path(path).name):
            raise errors.InvalidInput("This cannot be the path of a disk.", detail=repr(path[:80]))
        self._check(Path(path).parent)
        return path

    def _check(self, place: Path) -> None:
        if not place.is_absolute() or not place.is_dir():
            raise errors.InvalidInput(f"The directory {place} does not exist on this host.")
        real = place.resolve()
        if self._roots and not any(real.is_relative_to(root) for root in self._roots):
            raise errors.InvalidInput(
                f"Disks may not be restored to {place}.", detail="it is not below restore_directories"
            )

    def _pool_directory(self, name: str) -> Path:
        with translated(f"look up storage pool {name}"):
            try:
                pool = self._connection.get().storagePoolLookupByName(name)
            except libvirt.libvirtError as fault:
                if has_code(fault, libvirt.VIR_ERR_NO_STORAGE_POOL, libvirt.VIR_ERR_NO_SUPPORT):
                    raise errors.InvalidInput(f"There is no storage pool {name}.") from fault
                raise
            root = libvirt_xml.parse(pool.XMLDesc(0))
        if root.get("type") not in ("dir", "fs", "netfs"):
            raise errors.InvalidInput(f"The storage pool {name} does not hold files.")
        return Path(root.findtext("./target/path") or "/nonexistent")

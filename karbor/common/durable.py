# SPDX-License-Identifier: Apache-2.0
"""How is a file written so that after a crash it is either there as a whole or not at all?

Write without a name (O_TMPFILE), or under a temporary one where the file system cannot do that; fsync, link or rename,
fsync of the directory. A file without a name is gone with the process that wrote it, so a crash leaves nothing behind.
"""

import errno
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

#: What a file system or kernel answers that knows no files without a name (NFS, some overlays, no /proc).
_NAMELESS_UNKNOWN = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)


def sync_directory(path: Path) -> None:
    """Make names in a directory durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_file(path: Path, data: bytes, *, mode: int = 0o600, nameless: bool = True) -> None:
    """Write or replace ``path`` as a whole, durably. The directory must exist. ``nameless``: see ``create_file``."""
    temporary = path.with_name(f".tmp-{secrets.token_hex(8)}")
    try:
        _create(temporary, (data,), mode, nameless)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def create_file(path: Path, data: bytes, *, mode: int = 0o600, nameless: bool = True) -> bool:
    """Write ``path`` unless it exists; True if this call made it. Of several writers exactly one wins.

    ``nameless`` False: do not even try to write without a name first.
    """
    return create_file_of(path, (data,), mode=mode, nameless=nameless)


def create_file_of(path: Path, parts: Sequence[bytes], *, mode: int = 0o600, nameless: bool = True) -> bool:
    """The same with content in parts, which are not joined: fresh memory for all of it costs more than the writing."""
    made = _create(path, parts, mode, nameless)
    sync_directory(path.parent)
    return made


def _create(path: Path, parts: Sequence[bytes], mode: int, nameless: bool) -> bool:
    if not nameless:
        return _create_by_name(path, parts, mode)
    try:
        handle = os.open(path.parent, os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, mode)
        with os.fdopen(handle, "wb") as stream:
            _write(stream, parts)
            return _link(f"/proc/self/fd/{handle}", path)
    except OSError as fault:
        if fault.errno not in _NAMELESS_UNKNOWN:
            raise
        return _create_by_name(path, parts, mode)


def _create_by_name(path: Path, parts: Sequence[bytes], mode: int) -> bool:
    temporary = path.with_name(f".tmp-{secrets.token_hex(8)}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(handle, "wb") as stream:
            _write(stream, parts)
        return _link(str(temporary), path)
    finally:
        temporary.unlink(missing_ok=True)


def _link(source: str, path: Path) -> bool:
    """Whether this call made the name. Python follows ``source`` in /proc only with a handle of the directory."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.link(source, path.name, dst_dir_fd=directory, follow_symlinks=True)
    except FileExistsError:
        return False
    finally:
        os.close(directory)
    return True


def _write(stream: BinaryIO, parts: Sequence[bytes]) -> None:
    stream.writelines(parts)
    stream.flush()
    os.fsync(stream.fileno())

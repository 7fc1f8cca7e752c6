# SPDX-License-Identifier: Apache-2.0
"""How is a file written so that after a crash it is either there as a whole or not at all?

Temporary name, write, fsync, rename or link, fsync of the directory.
"""

import os
import secrets
from pathlib import Path


def sync_directory(path: Path) -> None:
    """Make names in a directory durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_file(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write or replace ``path`` as a whole, durably. The directory must exist."""
    temporary = _written(path, data, mode)
    try:
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def create_file(path: Path, data: bytes, *, mode: int = 0o600) -> bool:
    """Write ``path`` unless it exists; True if this call made it. Of several writers exactly one wins."""
    temporary = _written(path, data, mode)
    try:
        os.link(temporary, path)
        made = True
    except FileExistsError:
        made = False
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)
    return made


def _written(path: Path, data: bytes, mode: int) -> Path:
    temporary = path.with_name(f".tmp-{secrets.token_hex(8)}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary

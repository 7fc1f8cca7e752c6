# SPDX-License-Identifier: Apache-2.0
"""How does a directory (a disk, NFS, CephFS) keep the objects of a bank?

One file per object, at the path of its name below ``file_system_bank_path/bank_object_container``. A file gets its name
by a hard link when it is whole and on disk; names that begin with a dot are no objects.

That an object is kept until some moment is written into a file below ``.kept``, and the object is made read-only. It is
an emulation: this class refuses to delete the object; whoever may write to the directory past it can.
"""

import errno
import fcntl
import os
import stat
import tempfile
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from karbor.common import durable
from karbor.common.clock import Clock
from karbor.model import errors
from karbor.sdk.bank import Bank, Capabilities, ObjectInfo, valid_name
from karbor.sdk.options import Options, option, required

_IDENTITY = ".karbor-bank"
_KEPT = ".kept"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_ACCESS = (errno.EACCES, errno.EPERM, errno.EROFS)


class FilesystemBank(Bank):
    """Keep objects as files in a directory.

    The directory is made by ``initialise`` alone: where it is missing later (not mounted, say), every call fails. The
    identity in it is remembered, so that another directory in its place is noticed before anything is written to it.
    """

    class Settings(Options):
        file_system_bank_path: str = required(
            "Directory that holds the bank; on a shared file system for several hosts."
        )
        bank_object_container: str = option("karbor", "Name of the directory below it that holds the objects.")

    capabilities = Capabilities(object_lock=True, emulated_lock=True)

    def __init__(self, settings: Options, *, clock: Clock | None = None) -> None:
        super().__init__(settings)
        self._clock = clock or Clock()
        self._keeping = threading.Lock()
        values = settings.to_dict()
        container = values["bank_object_container"]
        if not container or "/" in container or container.startswith("."):
            raise errors.ConfigurationError("bank_object_container must be the plain name of a directory.")
        self._root = Path(values["file_system_bank_path"]) / container
        self._seen: str | None = None

    def initialise(self) -> str:
        with _honest(self._root):
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            durable.sync_directory(self._root.parent)
            if not (self._root / _IDENTITY).exists():
                if any(not path.name.startswith(".") for path in self._root.iterdir()):
                    raise errors.BankUnavailable(
                        "The bank directory has lost its identity file.",
                        detail=f"objects, but no {_IDENTITY} in {self._root}",
                        next_action=f"restore {_IDENTITY} or choose an empty directory",
                    )
                durable.create_file(self._root / _IDENTITY, f"{uuid.uuid4()}\n".encode())
        return self.identity()

    def identity(self) -> str:
        try:
            with _honest(self._root):
                text = (self._root / _IDENTITY).read_text("ascii").strip()
        except errors.ObjectNotFound as fault:
            raise errors.BankUnavailable(
                "The bank directory is missing.",
                detail=f"no {_IDENTITY} in {self._root}",
                next_action="mount the file system that holds it, or correct file_system_bank_path",
            ) from fault
        except ValueError as fault:
            raise errors.BankUnavailable(detail=f"{_IDENTITY} in {self._root} is damaged") from fault
        if self._seen not in (None, text):
            raise errors.BankUnavailable(
                "The bank directory is not the bank it was.", detail=f"{self._root}: {text} where {self._seen} was"
            )
        self._seen = text
        return text

    def put_if_absent(self, name: str, data: bytes) -> bool:
        return self.put_own_parts(name, (data,))

    def put_own_parts(self, name: str, parts: Sequence[bytes]) -> bool:
        path = self._path(name)
        self.identity()
        try:
            with _honest(path):
                try:
                    return durable.create_file_of(path, parts)
                except FileNotFoundError:
                    self._make_parents(path)
                    return durable.create_file_of(path, parts)
        except errors.ObjectNotFound as fault:
            raise errors.InvalidInput("A part of this name is an object itself.", detail=fault.detail) from fault

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        path = self._path(name)
        with self._honest_object(path), path.open("rb", buffering=0) as stream:
            left = os.fstat(stream.fileno()).st_size - offset
            left = max(left if length is None else min(left, length), 0)
            parts = []
            while left:
                part = os.pread(stream.fileno(), left, offset)
                if not part:
                    raise errors.BankUnavailable(detail=f"{path} ended early")
                parts.append(part)
                left -= len(part)
                offset += len(part)
            return parts[0] if len(parts) == 1 else b"".join(parts)

    def get_into(self, name: str, into: memoryview, offset: int = 0) -> int:
        path = self._path(name)
        with self._honest_object(path), path.open("rb", buffering=0) as stream:
            size = os.fstat(stream.fileno()).st_size
            wanted = max(min(size - offset, len(into)), 0)
            done = 0
            while done < wanted:
                count = os.preadv(stream.fileno(), [into[done:wanted]], offset + done)
                if not count:
                    raise errors.BankUnavailable(detail=f"{path} ended early")
                done += count
            return wanted

    def stat(self, name: str) -> ObjectInfo:
        path = self._path(name)
        with self._honest_object(path):
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):
                raise IsADirectoryError(str(path))
        return ObjectInfo(name, found.st_size, found.st_mtime)

    def list(self, prefix: str = "", after: str = "", limit: int = 1000) -> Sequence[ObjectInfo]:
        self.identity()
        try:
            with _honest(self._root):
                found = list(islice(_walk(self._root, "", prefix, after), limit))
        except errors.ObjectNotFound as fault:  # no directory of a bank is ever removed
            raise errors.BankUnavailable("The bank directory is damaged.", detail=fault.detail) from fault
        if len(found) < limit:
            self.identity()  # the end was reached because there is no more, not because the directory went away
        return found

    def delete(self, name: str) -> None:
        path = self._path(name)
        self.identity()
        kept = self._kept(name)
        with _honest(path), self._turn():
            until = _read_moment(kept)
            if until is not None and path.exists() and min(self.now(), self._clock.now()) < until:
                raise errors.ObjectLocked(detail=f"{path} until {until.isoformat()}")
            path.unlink(missing_ok=True)
            kept.unlink(missing_ok=True)

    def retain(self, name: str, until: datetime) -> None:
        path, kept = self._path(name), self._kept(name)
        with self._honest_object(path), self._turn():
            path.stat()
            known = _read_moment(kept)
            if known is not None and until <= known:
                return
            self._make_parents(kept)
            durable.write_file(kept, until.isoformat().encode())
            path.chmod(0o400)

    def retained(self, name: str) -> datetime | None:
        self.stat(name)
        with _honest(self._root):
            return _read_moment(self._kept(name))

    def now(self) -> datetime:
        """By the file system: that of a server may have another clock than this host."""
        with _honest(self._root), tempfile.TemporaryFile(dir=self._root) as probe:
            os.utime(probe.fileno())
            return datetime.fromtimestamp(os.fstat(probe.fileno()).st_mtime, UTC)

    def _kept(self, name: str) -> Path:
        return self._root / _KEPT / valid_name(name)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Between looking whether an object is kept and removing it, nobody may say that it is, in any process."""
        place = self._root / ".kept-turn"
        with self._keeping, place.open("ab") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _path(self, name: str) -> Path:
        return self._root / valid_name(name)

    def _make_parents(self, path: Path) -> None:
        """Make the directories above an object, durably; never the bank itself."""
        at = self._root
        self.identity()
        for part in path.relative_to(self._root).parts[:-1]:
            at = at / part
            try:
                at.mkdir(mode=0o700)
            except FileExistsError:
                continue
            durable.sync_directory(at.parent)

    @contextmanager
    def _honest_object(self, path: Path) -> Iterator[None]:
        """A missing file is a missing object only where the bank itself is there."""
        try:
            with _honest(path):
                yield
        except errors.ObjectNotFound:
            self.identity()
            raise


def _read_moment(path: Path) -> datetime | None:
    """Raises BankUnavailable where it is damaged."""
    try:
        return datetime.fromisoformat(path.read_text("ascii"))
    except FileNotFoundError:
        return None
    except ValueError as fault:
        raise errors.BankUnavailable("It cannot be told until when an object is kept.", detail=str(path)) from fault


@contextmanager
def _honest(path: Path) -> Iterator[None]:
    """Say in the words of the contract what the operating system says."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as fault:
        raise errors.ObjectNotFound(detail=str(fault)) from fault
    except OSError as fault:
        if fault.errno in _NO_ROOM:
            raise errors.BankFull(detail=str(fault), next_action="make room on the file system of the bank") from fault
        hint = "give the service read and write access" if fault.errno in _NO_ACCESS else "look at the file system"
        raise errors.BankUnavailable(detail=f"{fault} ({path})", next_action=hint) from fault


def _walk(directory: Path, above: str, prefix: str, after: str) -> Iterator[ObjectInfo]:
    """Objects in byte order of their names. A directory sorts as its name with the slash behind it."""
    names = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                is_directory = entry.is_dir()
                names.append((above + entry.name + ("/" if is_directory else ""), is_directory))
    for name, is_directory in sorted(names):
        if is_directory:
            if (name.startswith(prefix) or prefix.startswith(name)) and (after < name or after.startswith(name)):
                yield from _walk(directory / name[len(above) : -1], name, prefix, after)
        elif name > after and name.startswith(prefix):
            try:
                found = (directory / name[len(above) :]).stat()
            except FileNotFoundError:
                continue  # deleted since the directory was read
            yield ObjectInfo(name, found.st_size, found.st_mtime)

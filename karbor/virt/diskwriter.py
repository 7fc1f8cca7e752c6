# SPDX-License-Identifier: Apache-2.0
"""How is a disk image written from a stream: sparse, whole and durable, or not at all?

The image grows under a temporary name beside its place and is renamed when all of it is on stable storage. So a path
that exists is a whole disk, and what a killed process left is known by its name.
"""

import errno
import os
import queue
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from karbor.common import durable
from karbor.model import errors
from karbor.sdk.streams import Advance, Put, StreamReader
from karbor.virt import nbd, qemuimg
from karbor.virt.nbd import NbdConnection, NbdRefused
from karbor.virt.nbdserver import qemu_nbd

_EXPORT = "disk"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def write_image(
    path: str, format: str, reader: StreamReader, advance: Advance, *, socket_dir: str, threads: int = 2
) -> None:
    """Write a new image; durable when this returns. Called again it starts over and replaces what is there.

    ``advance`` is called in the caller's thread and may raise; all its numbers together are ``reader.size``.
    Raises Unavailable where the file system is full, whatever ``reader`` and ``advance`` raise; then nothing is left.
    """
    place = Path(qemuimg.checked(path, format))
    _remove_leftovers(place)
    temporary = place.with_name(part_name(place, secrets.token_hex(4)))
    opened = _raw_file if format == "raw" else _qcow2_image
    try:
        with opened(temporary, reader.size, socket_dir, threads) as put:
            reader.scatter(put, advance)
        _sync(temporary)
        temporary.rename(place)
        durable.sync_directory(place.parent)
    except (OSError, NbdRefused) as fault:
        raise told(fault, place) from fault
    finally:
        temporary.unlink(missing_ok=True)


def told(fault: OSError | NbdRefused, place: Path) -> errors.KarborError:
    """What to say where an image cannot be written."""
    if fault.errno in _NO_ROOM:
        return errors.Unavailable(
            "There is no room left for the restored disk.",
            detail=f"{place}: {fault}",
            next_action=f"free some room on the file system of {place.parent}, or restore to another place",
        )
    if isinstance(fault, NbdRefused):
        return fault
    return errors.StepFailed("The restored disk could not be written.", detail=f"{place}: {fault}")


def remove_image(path: str) -> None:
    """Remove an image and what an interrupted write_image left beside it. No error where nothing is there."""
    place = Path(path)
    place.unlink(missing_ok=True)
    _remove_leftovers(place)


def _prefix(place: Path) -> str:
    return f".{place.name}.part-"


def part_name(place: Path, what: str) -> str:
    """The name of an image while it is being made, beside its place; ``remove_image`` removes such, too."""
    return f"{_prefix(place)}{what}"


def _remove_leftovers(place: Path) -> None:
    """No other writer can be at work here: one job restores to one path. Were it so, its rename would fail."""
    if place.parent.is_dir():
        for found in place.parent.iterdir():
            if found.name.startswith(_prefix(place)):
                found.unlink(missing_ok=True)


@contextmanager
def _raw_file(path: Path, size: int, _socket_dir: str, _threads: int) -> Iterator[Put]:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(handle, size)

        def put(offset: int, *parts: bytes | memoryview) -> None:
            count = os.pwritev(handle, parts, offset)
            for part in parts:  # a file system that is nearly full takes less than it is given
                view = memoryview(part)[count:]
                count, offset = max(count - len(part), 0), offset + len(part)
                while view:
                    taken = os.pwrite(handle, view, offset - len(view))
                    view = view[taken:]

        yield put
    finally:
        os.close(handle)


@contextmanager
def _qcow2_image(path: Path, size: int, socket_dir: str, threads: int) -> Iterator[Put]:
    qemuimg.create(str(path), "qcow2", size)
    path.chmod(0o600)
    with opened_for_writing(str(path), "qcow2", socket_dir=socket_dir, connections=threads) as target:
        yield target.put
        target.flush()


class NbdTarget:
    """An image behind a qemu-nbd of ours that is written from several threads. Raises Unavailable where that dies,
    NbdRefused where the disk says no."""

    def __init__(self, connections: Sequence[NbdConnection]) -> None:
        self.size = connections[0].size
        self._idle: queue.SimpleQueue[NbdConnection] = queue.SimpleQueue()
        for connection in connections:
            self._idle.put(connection)

    def put(self, offset: int, *parts: bytes | memoryview) -> None:
        """Write; durable after ``flush``."""
        with self._connection() as mine:
            mine.write(offset, *parts)

    def read(self, offset: int, length: int) -> bytes:
        """What is there now."""
        with self._connection() as mine:
            return mine.read(offset, length)

    def clear(self, offset: int, length: int) -> None:
        """Make a range read as zeroes. Nothing is written where it does already."""
        with self._connection() as mine:
            for start, step, flags in mine.block_status(nbd.BASE_ALLOCATION, offset, length):
                if not flags & nbd.ZERO_BIT:
                    mine.zero(start, step)

    def flush(self) -> None:
        """All that was written is durable."""
        with self._connection() as mine:
            mine.flush()

    @contextmanager
    def _connection(self) -> Iterator[NbdConnection]:
        mine = self._idle.get()  # waits where more threads write than there are connections
        try:
            yield mine
        except errors.CaptureLost as fault:
            raise errors.Unavailable("The restored disk could not be written.", detail=fault.detail) from fault
        finally:
            self._idle.put(mine)


@contextmanager
def opened_for_writing(path: str, format: str, *, socket_dir: str, connections: int = 2) -> Iterator[NbdTarget]:
    """An image that no guest uses; none can be started on it meanwhile. Raises StepFailed where one does."""
    with ExitStack() as stack:
        socket_path = stack.enter_context(
            qemu_nbd(path, format, export=_EXPORT, socket_dir=socket_dir, read_only=False)
        )
        found = [stack.enter_context(NbdConnection(socket_path, _EXPORT)) for _ in range(connections)]
        yield NbdTarget(found)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

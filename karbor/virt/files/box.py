# SPDX-License-Identifier: Apache-2.0
"""How is a file system that nobody trusts read? By a process in a box: it has one socket, and we have the disk.

The box has no network, no files, no other processes, bounded memory and time (unshare of util-linux, then lockdown.py).
All that comes out of it is data: names are never opened here, sizes are counted, and a part of a path is refused where
it is none.
"""

import contextlib
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from karbor.common import command
from karbor.model import errors
from karbor.virt.files import wire

PROGRAM = "karbor.virt.files.child"
_MEMORY = 1 << 30
_CPU_SECONDS = 600
_SILENCE_SECONDS = 120.0
_UNSHARE = ("unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--ipc", "--uts", "--fork")


class Disk(Protocol):
    """What is read: a stream of a checkpoint."""

    size: int

    def read(self, offset: int, length: int) -> bytes: ...


@dataclass(frozen=True)
class Entry:
    """Something in a directory, as the disk tells of it. ``name`` may be a path below what was asked for, in a tar.

    ``unreadable`` says why nothing else is known. ``mode`` holds the kind.
    """

    name: str
    mode: int = 0
    size: int = 0
    uid: int = 0
    gid: int = 0
    mtime: float = 0.0
    target: str | None = None
    unreadable: str = ""


class Box:
    """Answers questions about one disk, each by a process of its own.

    All methods raise NotSupported where no box can be made here, StepFailed with the reason for what cannot be read,
    and what the disk raises.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def volumes(self) -> Sequence[dict[str, Any]]:
        """What may hold a file system: ``volume``, ``size``, ``format`` ("" where unknown), ``readable``."""
        found: list[dict[str, Any]] = []
        for message, _data in self._ask({"op": "volumes"}):
            for entry in message["entries"]:
                kind = {"volume": str, "size": int, "format": str, "readable": bool}
                found.append({name: type_(entry[name]) for name, type_ in kind.items()})
        return found

    def list(self, volume: str | None, path: Sequence[str]) -> Iterator[Entry]:
        """What lies in a directory, or the one file, in the order of the disk."""
        for message, _data in self._ask({"op": "list", "volume": volume, "path": list(path)}):
            for entry in message["entries"]:
                yield _entry(entry)

    def get(self, volume: str | None, path: Sequence[str]) -> Iterator[tuple[Entry, Iterator[bytes]]]:
        """One file with its content; the content must be read before the next."""
        return self._files({"op": "get", "volume": volume, "path": list(path)})

    def read(self, volume: str | None, path: Sequence[str], offset: int, length: int) -> tuple[Entry, bytes]:
        """One file, and what it holds from ``offset`` on: ``length`` bytes, or what there is until its end."""
        question = {"op": "get", "volume": volume, "path": list(path), "offset": offset, "length": length}
        messages = self._ask(question)
        entry = _entry(next(messages, ({"file": {}}, b""))[0]["file"])
        wanted = min(length, max(entry.size - offset, 0))
        return entry, b"".join(_content(wanted, messages))

    def tar(self, volume: str | None, path: Sequence[str]) -> Iterator[tuple[Entry, Iterator[bytes]]]:
        """Everything below a directory, parents first, as ``get``."""
        return self._files({"op": "tar", "volume": volume, "path": list(path)})

    def _files(self, question: dict[str, Any]) -> Iterator[tuple[Entry, Iterator[bytes]]]:
        messages = self._ask(question)
        for message, _data in messages:
            entry = _entry(message["file"])
            content = _content(entry.size, messages)
            yield entry, content
            for _left in content:
                pass  # whoever asked did not want it

    def _ask(self, question: dict[str, Any]) -> Iterator[tuple[dict[str, Any], bytes]]:
        """The messages of an answer; bytes of the disk are handed out meanwhile."""
        with _child() as peer:
            wire.send(peer, {**question, "size": self._disk.size})
            while True:
                message, data = _received(peer)
                if "need" in message:
                    self._hand_out(peer, message["need"])
                elif "done" in message:
                    return
                elif "error" in message:
                    raise errors.StepFailed(_text(message["error"]))
                else:
                    yield message, data

    def _hand_out(self, peer: socket.socket, wanted: Any) -> None:
        offset, length = (int(number) for number in wanted)
        if offset < 0 or not 0 <= length <= wire.MAX_DATA or offset + length > self._disk.size:
            raise errors.StepFailed("The reader of the file system sent nonsense.", detail=f"{offset}+{length}")
        wire.send(peer, {}, self._disk.read(offset, length))


@contextlib.contextmanager
def _child() -> Iterator[socket.socket]:
    """A locked-down process that waits for its question. It is gone when the block is left."""
    ours, theirs = socket.socketpair()
    with ours, theirs, tempfile.TemporaryDirectory(prefix="karbor-empty-") as empty, tempfile.TemporaryFile() as said:
        given = [str(theirs.fileno()), empty, str(_MEMORY), str(_CPU_SECONDS)]
        process = command.start(
            [*_UNSHARE, "--kill-child", sys.executable, "-m", PROGRAM, *given],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env={"LC_ALL": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
            start_new_session=True,
        )
        theirs.close()
        ours.settimeout(_SILENCE_SECONDS)
        try:
            _greeted(ours, said)
            yield ours
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)  # --kill-child takes what is below along
            process.wait()


def _greeted(peer: socket.socket, said: Any) -> None:
    try:
        hello, _ = _received(peer)
    except errors.StepFailed as fault:
        said.seek(0)
        raise errors.NotSupported(
            "Files cannot be read on this host: no process can be locked down.",
            detail=said.read()[-500:].decode(errors="replace"),
            next_action="allow user namespaces, or read files on another host",
        ) from fault
    if not hello.get("ready"):
        raise errors.NotSupported(
            "Files cannot be read on this host: no reader of file systems is installed.",
            next_action="install karbor[files]",
        )


def _received(peer: socket.socket) -> tuple[dict[str, Any], bytes]:
    try:
        return wire.receive(peer)
    except TimeoutError:
        raise errors.StepFailed("The file system could not be read in time.") from None
    except ConnectionError as fault:
        raise errors.StepFailed("The reader of the file system ended too early.", detail=str(fault)) from fault


def _content(left: int, messages: Iterator[tuple[dict[str, Any], bytes]]) -> Iterator[bytes]:
    while left > 0:
        message, data = next(messages, ({}, b""))
        if "data" not in message or not 0 < len(data) <= left:
            raise errors.StepFailed("The reader of the file system sent nonsense.", detail="a file of another size")
        left -= len(data)
        yield data


def _entry(told: Any) -> Entry:
    """What was told of one thing, in types that we know. Raises StepFailed."""
    try:
        name, target = told.get("name"), told.get("target")
        found = Entry(
            name=_path(name) if isinstance(name, str) else "",
            mode=int(told.get("mode", 0)) & 0o177777,
            size=max(int(told.get("size", 0)), 0),
            uid=_number(told.get("uid")),
            gid=_number(told.get("gid")),
            mtime=min(max(float(told.get("mtime", 0)), 0.0), 2.0**36),
            target=None if target is None else _text(target),
            unreadable=_text(told.get("unreadable", "")),
        )
    except (AttributeError, TypeError, ValueError, OverflowError) as fault:
        raise errors.StepFailed("The reader of the file system sent nonsense.", detail=str(fault)) from fault
    return found if found.name else Entry("?", unreadable="its name cannot be told")


def _number(value: Any) -> int:
    return min(max(int(value or 0), 0), 0xFFFFFFFF)


def _path(name: str) -> str:
    """A name, or several below each other. Raises ValueError for one that leads elsewhere."""
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\x00" in part for part in parts) or len(name) > 64 * 1024:
        raise ValueError(f"not a name: {name[:80]!r}")
    return name


def _text(value: Any) -> str:
    return str(value)[: 64 * 1024]

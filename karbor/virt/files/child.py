# SPDX-License-Identifier: Apache-2.0
"""What does the locked-down process do? ``python -m karbor.virt.files.child FD EMPTY MEMORY CPU``, started by box.py.

It imports what it needs, gives up everything else, answers one question, and ends. It may be taken over by what it
reads: then it holds an empty directory and a socket to somebody who believes nothing.
"""

import contextlib
import importlib
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from typing import Any

from karbor.model import errors
from karbor.virt.files import formats, volumes, wire
from karbor.virt.files.disk import Blocks, Window
from karbor.virt.files.lockdown import lock_down

_PIECE = 1 << 20
_PAGE = 200  # entries of one message
_TIMES = 16  # the size of the disk, that all files together may have: some are sparse, or share what they hold
_MANY = 10_000_000  # entries of a directory


#: What the libraries raise for what is damaged, and what follows from values that make no sense.
_BROKEN = (
    *(OSError, MemoryError, ValueError, SystemError, RuntimeError, AttributeError, TypeError, LookupError),
    *(ArithmeticError, struct.error),
)


class _Refused(Exception):
    """The question cannot be answered; the text says why."""


class Reader:
    """Answers one question over ``peer``. ``installed`` names the formats whose libraries are there."""

    def __init__(self, peer: socket.socket, installed: frozenset[str]) -> None:
        self._peer = peer
        self._installed = installed

    def serve(self) -> None:
        """The one question: ``op`` is volumes, list, get or tar."""
        question, _ = wire.receive(self._peer)
        blocks = Blocks(self._fetch, question["size"])
        self._disk = Window(blocks.at, 0, question["size"])
        try:
            getattr(self, f"_{question['op']}")(question)
            wire.send(self._peer, {"done": True})
        except _Refused as fault:
            wire.send(self._peer, {"error": str(fault)})
        except _BROKEN as fault:
            wire.send(self._peer, {"error": f"The file system cannot be read: {type(fault).__name__} {fault}"[:500]})

    def _fetch(self, offset: int, length: int) -> bytes:
        wire.send(self._peer, {"need": [offset, length]})
        answer, data = wire.receive(self._peer)
        if "error" in answer:
            raise _Refused(answer["error"])
        return data

    def _volumes(self, _question: dict[str, Any]) -> None:
        found = []
        for name, window in volumes.volumes(self._disk):
            kind = formats.recognise(window)
            found.append({"volume": name, "size": window.size, "format": kind, "readable": kind in self._installed})
        wire.send(self._peer, {"entries": found[:_PAGE]})

    def _list(self, question: dict[str, Any]) -> None:
        system = self._system(question["volume"])
        node = self._find(system, question["path"])
        if question["path"] and not stat.S_ISDIR(system.entry(node)["mode"]):
            wire.send(self._peer, {"entries": [{"name": question["path"][-1], **system.entry(node)}]})
            return
        page: list[dict[str, Any]] = []
        for count, (name, child) in enumerate(system.children(node)):
            if count > _MANY:
                raise _Refused("The directory holds too much.")
            page.append(self._shown(system, name, child))
            if len(page) == _PAGE:
                wire.send(self._peer, {"entries": page})
                page = []
        wire.send(self._peer, {"entries": page})

    def _get(self, question: dict[str, Any]) -> None:
        system = self._system(question["volume"])
        node = self._find(system, question["path"])
        entry = system.entry(node)
        if not question["path"] or not stat.S_ISREG(entry["mode"]):
            raise _Refused("This is not a file with content.")
        offset = min(question.get("offset", 0), entry["size"])
        end = min(offset + question.get("length", entry["size"]), entry["size"])
        self._send_file(system, node, question["path"][-1], entry, offset=offset, end=end)

    def _tar(self, question: dict[str, Any]) -> None:
        system = self._system(question["volume"])
        node = self._find(system, question["path"])
        left = _TIMES * self._disk.size
        for path, child in self._walk(system, node):
            entry = self._shown(system, path, child)
            if "unreadable" in entry or not stat.S_ISREG(entry["mode"]):
                wire.send(self._peer, {"file": entry})
            elif entry["size"] > self._disk.size:
                wire.send(self._peer, {"file": {"name": path, "unreadable": "it would be larger than the disk"}})
            else:
                left -= entry["size"]
                if left < 0:
                    raise _Refused("The files together would be many times as large as the disk.")
                self._send_file(system, child, path, entry)

    def _walk(self, system: formats.Format, top: Any) -> Iterator[tuple[str, Any]]:
        """Everything below a directory: parents first, and each directory once, as a damaged disk may have circles."""
        seen = {system.identity(top)}
        waiting = [("", top)]
        while waiting:
            path, node = waiting.pop()
            for count, (name, child) in enumerate(system.children(node)):
                if count > _MANY:
                    raise _Refused(f"The directory {path or '/'} holds too much.")
                below = f"{path}/{name}" if path else str(name)
                yield below, child
                with contextlib.suppress(OSError):  # it was shown as unreadable
                    if stat.S_ISDIR(system.entry(child)["mode"]) and system.identity(child) not in seen:
                        seen.add(system.identity(child))
                        waiting.append((below, child))

    def _send_file(
        self,
        system: formats.Format,
        node: Any,
        name: str,
        entry: dict[str, Any],
        *,
        offset: int = 0,
        end: int | None = None,
    ) -> None:
        wire.send(self._peer, {"file": {**entry, "name": name}})
        end = entry["size"] if end is None else end
        while offset < end:
            data = system.read(node, offset, min(_PIECE, end - offset))
            if not data:
                raise _Refused(f"The file {name} ends too early.")
            wire.send(self._peer, {"data": True}, data)
            offset += len(data)

    @staticmethod
    def _shown(system: formats.Format, name: str | None, node: Any) -> dict[str, Any]:
        try:
            return {"name": name, **system.entry(node)}
        except OSError as fault:
            return {"name": name, "unreadable": str(fault)[:200]}

    def _system(self, wanted: str | None) -> formats.Format:
        found = list(volumes.volumes(self._disk))
        chosen = [(name, window) for name, window in found if wanted in (None, name)]
        usable = [entry for entry in chosen if formats.recognise(entry[1]) in self._installed]
        if len(usable) != 1:
            shown = ", ".join(f"{name} ({formats.recognise(window) or 'unknown'})" for name, window in found) or "none"
            cause = "This cannot be read" if chosen and not usable else "Say which volume"
            raise _Refused(f"{cause}; the disk has: {shown}."[:500])
        name, window = usable[0]
        kind = next(kind for kind in formats.FORMATS if kind.name == formats.recognise(window))
        return kind(window)

    @staticmethod
    def _find(system: formats.Format, path: list[str]) -> Any:
        node = system.root()
        for part in path:
            for name, child in system.children(node):
                if name == part:
                    node = child
                    break
            else:
                raise _Refused(f"There is no {part[:100]!r}.")
        return node


def main() -> None:
    """See the module text."""
    descriptor, empty, memory, seconds = sys.argv[1:5]
    peer = socket.socket(fileno=int(descriptor))
    installed = frozenset(kind.name for kind in formats.FORMATS if kind.load())
    for name in volumes.LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    filtered = lock_down(empty, memory=int(memory), cpu_seconds=int(seconds))
    wire.send(peer, {"ready": sorted(installed), "filtered": filtered})
    with contextlib.suppress(errors.StepFailed):  # nobody asks any more
        Reader(peer, installed).serve()


if __name__ == "__main__":
    main()

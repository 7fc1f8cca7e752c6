# SPDX-License-Identifier: Apache-2.0
"""How does an operator get single files out of a checkpoint? ``karbor-manage checkpoint files list|get|tar``."""

import argparse
import contextlib
import json
import stat
import sys
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from karbor.app import roles, wiring
from karbor.common.clock import iso
from karbor.model import errors
from karbor.protection import export
from karbor.protection.filelisting import KINDS
from karbor.virt.files.box import Box, Entry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What ``checkpoint files`` takes."""
    parser.add_argument("do", choices=("volumes", "list", "get", "tar"), help="what to do with the path")
    parser.add_argument("path", nargs="?", default="/", help="a directory or file on the disk; / where left out")
    parser.add_argument("--checkpoint", required=True, help="id of the checkpoint")
    parser.add_argument("--resource", metavar="KEY", help="the disk, such as Libvirt::Disk#ID; if there are several")
    parser.add_argument("--stream", metavar="NAME", help="the stream of that name")
    parser.add_argument("--volume", metavar="NAME", help="the volume, as `volumes` tells it; if there are several")
    parser.add_argument("--output", metavar="FILE", help="get, tar: where to, a new file; - for standard output")


def files(application: wiring.Application, given: argparse.Namespace) -> Any:
    """Look for what was asked. Content goes to ``--output`` alone."""
    if given.do in ("get", "tar") and not given.output:
        raise errors.InvalidInput("Say with --output where to; - is standard output.")
    environment = roles.make_environment(application.shared)
    with contextlib.closing(roles.make_providers(application.shared, environment)) as providers:
        domain, record = export.find(application.shared.database, providers, given.checkpoint)
        reader = export.one_stream(domain, record, resource=given.resource, stream=given.stream)
        return _answer(Box(reader), given, export.not_frozen(record))


def _answer(box: Box, given: argparse.Namespace, note: str) -> Any:
    path = [part for part in given.path.split("/") if part]
    notes = {"note": note} if note else {}
    if given.do == "volumes":
        volumes = box.volumes()
        return {"entries": volumes, "counts": {"volumes": len(volumes), **notes}}
    if given.do == "list":
        entries = [_told(entry, as_json=given.json) for entry in box.list(given.volume, path)]
        return {"entries": entries, "counts": {"entries": len(entries), **notes}}
    with _output(given.output) as out:
        count, nbytes = _get(box, given.volume, path, out) if given.do == "get" else _tar(box, given.volume, path, out)
    told = {"files": count, "bytes": nbytes, **notes}
    if given.output == "-":
        print(json.dumps(told), file=sys.stderr)  # noqa: T201
        return []
    return told


def _told(entry: Entry, *, as_json: bool) -> dict[str, Any]:
    name = entry.name if as_json else printable(entry.name)
    if entry.unreadable:
        return {"name": name, "unreadable": printable(entry.unreadable)}
    found = {
        "kind": KINDS.get(stat.S_IFMT(entry.mode), "other"),
        "mode": f"{stat.S_IMODE(entry.mode):04o}",
        "owner": f"{entry.uid}:{entry.gid}",
        "size": entry.size,
        "modified": iso(datetime.fromtimestamp(entry.mtime, UTC))[:19],
        "name": name,
    }
    return found | ({"target": printable(entry.target)} if entry.target is not None else {})


def printable(text: str) -> str:
    """A text from a disk for a terminal: what could steer that is shown as what it is."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


@contextlib.contextmanager
def _output(place: str) -> Iterator[BinaryIO]:
    """A new file, which is gone again where not all could be written; never one that is there."""
    if place == "-":
        yield sys.stdout.buffer
        return
    path = Path(place)
    try:
        out = path.open("xb")
    except OSError as fault:
        raise errors.InvalidInput(f"{place} cannot be made.", detail=str(fault)) from fault
    try:
        with out:
            path.chmod(0o600)
            yield out
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _get(box: Box, volume: str | None, path: list[str], out: BinaryIO) -> tuple[int, int]:
    nbytes = 0
    for _entry, content in box.get(volume, path):
        for part in content:
            nbytes += out.write(part)
    return 1, nbytes


class _Content:
    """The parts of a file as a file, for tarfile."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts, self._rest = parts, b""

    def read(self, length: int) -> bytes:
        while len(self._rest) < length and (part := next(self._parts, b"")):
            self._rest += part
        found, self._rest = self._rest[:length], self._rest[length:]
        return found


def _tar(box: Box, volume: str | None, path: list[str], out: BinaryIO) -> tuple[int, int]:
    count = nbytes = 0
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for entry, content in box.tar(volume, path):
            info = _header(entry)
            if info is None:
                continue
            archive.addfile(info, _Content(content) if info.isreg() else None)  # type: ignore[arg-type]
            count, nbytes = count + 1, nbytes + info.size
    return count, nbytes


def _header(entry: Entry) -> tarfile.TarInfo | None:
    """None for devices, sockets and what cannot be read: an archive of files has no use for them."""
    info = tarfile.TarInfo(entry.name)
    kinds = {stat.S_IFDIR: tarfile.DIRTYPE, stat.S_IFREG: tarfile.REGTYPE, stat.S_IFLNK: tarfile.SYMTYPE}
    kind = kinds.get(stat.S_IFMT(entry.mode))
    if kind is None or entry.unreadable or (kind == tarfile.SYMTYPE and entry.target is None):
        return None
    info.type, info.mode = kind, stat.S_IMODE(entry.mode)
    info.uid, info.gid, info.mtime = entry.uid, entry.gid, entry.mtime
    info.size = entry.size if kind == tarfile.REGTYPE else 0
    info.linkname = entry.target or ""
    return info

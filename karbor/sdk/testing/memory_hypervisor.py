# SPDX-License-Identifier: Apache-2.0
"""How does one try what uses a hypervisor without having one? A twin of the contract that keeps guests in memory."""

import itertools
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from karbor.model import errors
from karbor.sdk.hypervisor import (
    Capture,
    CapturedDisk,
    CaptureRequest,
    DiskInfo,
    DomainInfo,
    FreezeResult,
    Hypervisor,
    NewDomain,
    Pull,
    Trial,
    TrialResult,
)
from karbor.sdk.options import Options
from karbor.sdk.streams import Advance, Extent, Kind, Source, StreamReader

BLOCK = 4096


@dataclass
class MemoryDomain:
    """A guest. ``disks`` maps a target to its path, ``serials`` to its serial; ``raw`` names those that cannot be
    tracked, ``shared`` those that are not its alone."""

    name: str
    disks: dict[str, str]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    project_id: str = ""
    state: str = "running"
    raw: frozenset[str] = frozenset()
    agent: bool = True  # answers, so that the guest can be frozen
    serials: dict[str, str] = field(default_factory=dict)
    shared: frozenset[str] = frozenset()


class MemorySource:
    """A frozen disk; against ``base`` what is equal is SAME."""

    def __init__(self, data: bytes, base: bytes | None) -> None:
        self.size = len(data)
        self._data, self._base = data, base

    def extents(self) -> Iterator[Extent]:
        """One extent for each run of blocks of one kind."""
        kinds = ((offset, self._kind(offset)) for offset in range(0, self.size, BLOCK))
        for kind, run in itertools.groupby(kinds, key=lambda entry: entry[1]):
            offsets = [offset for offset, _kind in run]
            yield Extent(offsets[0], min(offsets[-1] + BLOCK, self.size) - offsets[0], kind)

    def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

    def _kind(self, offset: int) -> Kind:
        block = self._data[offset : offset + BLOCK]
        if self._base is not None and self._base[offset : offset + BLOCK] == block:
            return Kind.SAME
        return Kind.DATA if any(block) else Kind.ZERO


class MemoryHypervisor(Hypervisor):
    """Guests in ``guests`` by id, disk contents in ``files`` by path. A test changes both as it likes."""

    name = "memory"

    def __init__(self, settings: Options | None = None, *, state_dir: str = "/nonexistent") -> None:
        super().__init__(settings or self.Settings.parse({}), state_dir=state_dir)
        self.guests: dict[str, MemoryDomain] = {}
        self.files: dict[str, bytes] = {}
        self.captures: dict[tuple[str, str, str], tuple[Capture, dict[str, bytes]]] = {}
        self.trackers: dict[tuple[str, str, str], tuple[str, dict[str, bytes]]] = {}
        self.frozen: dict[str, str] = {}  # domain id to token; a test that takes one out is the guard
        self.held: set[tuple[str, str]] = set()  # domain id and token that this driver froze
        self.freezes: list[str] = []  # ids of guests in the order of their freezes
        self.lent: dict[str, dict[str, bytes]] = {}  # by socket, then by name of the export
        self.admitted: list[str] = []
        self.trials: list[Trial] = []
        self.comes_up = TrialResult("agent", 1.0, "login: ")  # what a trial gives whose disks are lent
        self._overlays: dict[str, tuple[str, str]] = {}  # path to (socket, export)

    def add(self, guest: MemoryDomain, content: dict[str, bytes]) -> MemoryDomain:
        """A guest whose disks hold ``content`` (by target)."""
        self.guests[guest.id] = guest
        self.files |= {guest.disks[target]: data for target, data in content.items()}
        return guest

    def domains(self) -> Sequence[DomainInfo]:
        return [self.domain(domain_id) for domain_id in sorted(self.guests)]

    def domain(self, domain_id: str) -> DomainInfo:
        guest = self.guests.get(domain_id)
        if guest is None:
            raise errors.ResourceNotFound("The domain does not exist.")
        disks = tuple(
            DiskInfo(
                target,
                path,
                "raw" if target in guest.raw else "qcow2",
                len(self.files.get(path, b"")),
                target not in guest.raw,
                guest.serials.get(target, ""),
                target not in guest.shared,
            )
            for target, path in guest.disks.items()
        )
        return DomainInfo(guest.id, guest.name, guest.state, disks, guest.project_id)

    def begin(self, request: CaptureRequest) -> Capture:
        key = (request.domain_id, request.scope, request.token)
        if key in self.captures:
            return self.captures[key][0]
        info = self.domain(request.domain_id)
        known = {
            one.target: replace(one, tracked=one.tracked and one.target not in request.whole) for one in info.disks
        }
        if any(target not in known for target in request.targets):
            raise errors.InvalidInput("The domain has no such disk.")
        disks = tuple(self._captured(request, known[target]) for target in request.targets)
        content = {target: self.files[known[target].path] for target in request.targets}
        consistency = "crash" if request.quiesce == "no" else "filesystem"
        capture = Capture(
            info.id, request.scope, request.token, "bitmap", consistency, disks, f"<domain>{info.name}</domain>",
            view=uuid.uuid4().hex,
        )  # fmt: skip
        self.captures[key] = (capture, content)
        self.trackers[key] = (capture.view, {disk.target: content[disk.target] for disk in disks if disk.tracked})
        return capture

    def _captured(self, request: CaptureRequest, disk: DiskInfo) -> CapturedDisk:
        since = request.since.get(disk.target)
        view, covered = self.trackers.get((request.domain_id, request.scope, since or ""), ("", {}))
        if disk.target not in covered:
            return CapturedDisk(disk.target, disk.size, disk.format, None, "no tracker", disk.tracked)
        return CapturedDisk(disk.target, disk.size, disk.format, since, "", disk.tracked, view)

    @contextmanager
    def source(self, capture: Capture, target: str, *, full: bool = False) -> Iterator[Source]:
        key = (capture.domain_id, capture.scope, capture.token)
        if key not in self.captures or self.captures[key][0].view != capture.view:
            raise errors.CaptureLost()
        since = None if full else capture.disk(target).since
        base = self.trackers[capture.domain_id, capture.scope, since][1][target] if since is not None else None
        yield MemorySource(self.captures[key][1][target], base)

    def end(self, capture: Capture) -> None:
        self.captures.pop((capture.domain_id, capture.scope, capture.token), None)

    def keep(self, domain_id: str, scope: str, token: str) -> None:
        for key in list(self.trackers):
            if key[:2] == (domain_id, scope) and key[2] != token:
                del self.trackers[key]

    def discard(self, domain_id: str, scope: str, token: str) -> None:
        self.captures.pop((domain_id, scope, token), None)
        self.trackers.pop((domain_id, scope, token), None)

    def freeze(self, domain_id: str, token: str) -> FreezeResult:
        self.domain(domain_id)
        guest, holder = self.guests[domain_id], self.frozen.get(domain_id)
        if guest.state == "shut off":
            self.held.add((domain_id, token))
            return FreezeResult(held=True)
        if guest.state != "running" or not guest.agent:
            return FreezeResult(False, "the guest is not running" if guest.agent else "no guest agent answers")
        if holder not in (None, token):
            return FreezeResult(False, "somebody else holds the guest frozen")
        if holder is None or (domain_id, token) not in self.held:
            self.freezes.append(domain_id)
        self.frozen[domain_id] = token
        self.held.add((domain_id, token))
        return FreezeResult(held=True)

    def thaw(self, domain_id: str, token: str) -> FreezeResult:
        stood = self.frozen.get(domain_id) == token
        if domain_id in self.guests and self.guests[domain_id].state == "shut off":
            stood = True
        elif stood:
            del self.frozen[domain_id]
        if (domain_id, token) not in self.held or not stood:
            self.held.discard((domain_id, token))
            return FreezeResult(False, "the guest was thawed before all was taken")
        self.held.discard((domain_id, token))
        return FreezeResult(held=True, seconds=0.5)

    def recover(self, is_wanted: Callable[[str, str], bool]) -> Sequence[str]:
        lines = [f"guest thawed domain={domain_id}" for domain_id in self.frozen]
        self.frozen.clear()
        dead = [key for key in self.captures if not is_wanted(*key[1:])]
        for key in dead:
            self.discard(*key)
        return [*lines, *(f"capture removed token={token}" for _domain, _scope, token in dead)]

    def target_path(self, *, directory: str | None, pool: str | None, name: str) -> str:
        path = f"{directory or pool or '/images'}/{name}"
        if path in self.files:
            raise errors.Conflict(f"The file {path} exists.")
        return path

    def write_disk(self, path: str, format: str, reader: StreamReader, advance: Advance) -> None:
        found = bytearray(reader.size)
        for extent in reader.extents():
            if extent.kind is Kind.DATA:
                found[extent.offset : extent.offset + extent.length] = reader.read(extent.offset, extent.length)
            advance(extent.length)
        self.files[path] = bytes(found)

    def overwrite_disk(self, path: str, format: str, reader: StreamReader, advance: Advance) -> None:
        if path not in self.files:
            raise errors.ResourceNotFound("The disk image does not exist.")
        if any(path in guest.disks.values() and guest.state != "shut off" for guest in self.guests.values()):
            raise errors.Conflict("A guest uses the disk.")
        if len(self.files[path]) != reader.size:
            raise errors.Conflict("The disk has another size.")
        found = bytearray(self.files[path])
        for extent in reader.extents():
            if extent.kind is Kind.ZERO:
                found[extent.offset : extent.offset + extent.length] = bytes(extent.length)

        def put(offset: int, *parts: bytes | memoryview) -> None:
            data = b"".join(parts)
            found[offset : offset + len(data)] = data
            self.files[path] = bytes(found)

        self.files[path] = bytes(found)
        reader.scatter(put, advance, old=lambda offset, length: bytes(found[offset : offset + length]))

    def remove_disk(self, path: str) -> None:
        self.files.pop(path, None)

    def define(self, definition: str, new: NewDomain) -> str:
        domain_id = new.uuid or str(uuid.uuid4())
        name = new.name or definition.removeprefix("<domain>").removesuffix("</domain>")
        if any(guest.name == name and guest.id != domain_id for guest in self.guests.values()):
            raise errors.Conflict(f"There is another domain named {name}.")
        state = "running" if new.start else "shut off"
        disks = {target: path for target, (path, _format) in new.disks.items()}
        raw = frozenset(target for target, (_path, format_) in new.disks.items() if format_ == "raw")
        self.guests[domain_id] = MemoryDomain(name, disks, domain_id, state=state, raw=raw)
        return domain_id

    def start(self, domain_id: str) -> None:
        self.domain(domain_id)
        self.guests[domain_id].state = "running"

    def undefine(self, domain_id: str) -> None:
        self.guests.pop(domain_id, None)

    def admit(self, socket: str) -> None:
        self.admitted.append(socket)

    def begin_instant(self, definition: str, new: NewDomain, socket: str, exports: Mapping[str, str]) -> str:
        for target, (path, _format) in new.disks.items():
            if path not in self.files:
                self.files[path] = b""
                self._overlays[path] = (socket, exports[target])
        return self.define(definition, new)

    def advance_instant(
        self, domain_id: str, disks: Mapping[str, str], *, bandwidth: int, check: Callable[[], None]
    ) -> Sequence[Pull]:
        """A quarter of each disk at a time, and what follows it, in whole blocks."""
        check()
        self.domain(domain_id)
        return [self._pull(target, path) for target, path in disks.items()]

    def _pull(self, target: str, path: str) -> Pull:
        if path not in self._overlays:
            return Pull(target, 1, 1, independent=True)
        socket, export = self._overlays[path]
        whole = self.lent.get(socket, {}).get(export)
        if whole is None:
            return Pull(target, 0, 1, independent=False)
        self.files[path] = whole[: len(self.files[path]) + max(len(whole) // 4, BLOCK)]
        if self.files[path] == whole:
            del self._overlays[path]
        return Pull(target, len(self.files[path]), len(whole), independent=path not in self._overlays)

    def try_boot(self, trial: Trial, check: Callable[[], None]) -> TrialResult:
        check()
        self.trials.append(trial)
        there = self.lent.get(trial.socket, {})
        if all(export in there for export in trial.exports.values()):
            return self.comes_up
        return TrialResult("", float(trial.seconds), "", "It has no disk.")

    def end_trial(self, uuid: str) -> None:
        """Nothing is left of any."""

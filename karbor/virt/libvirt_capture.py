# SPDX-License-Identifier: Apache-2.0
"""How does a capture live: begun once, found again, given up, ended, its tracker kept or dropped?"""

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import libvirt

from karbor.model import errors
from karbor.sdk.hypervisor import Capture, CaptureRequest, DiskInfo
from karbor.sdk.streams import Source
from karbor.virt import libvirt_bitmap, libvirt_inspect, libvirt_record, libvirt_trackers
from karbor.virt.libvirt_connection import translated
from karbor.virt.libvirt_guard import ScratchGuard, free_bytes
from karbor.virt.libvirt_hidden import HiddenTrackers
from karbor.virt.libvirt_method import CheckedSource, Host, Method, lost_when
from karbor.virt.libvirt_names import CaptureFiles, short_scope
from karbor.virt.libvirt_record import LOST, STANDING, CaptureRecord

LOG = logging.getLogger(__name__)

#: (scope, token) -> whether an unfinished job will come back for that capture.
IsWanted = Callable[[str, str], bool]


class Captures:
    """All captures of one host. Methods may be called from several threads; one domain is changed by one at a time."""

    def __init__(self, host: Host, methods: Sequence[Method]) -> None:
        self.host = host
        self.methods: Mapping[str, Method] = {method.name: method for method in methods}
        self.guard = ScratchGuard(host, self._give_up)
        self._ask: IsWanted | None = None  # known once ``recover`` was called
        self._live: set[str] = set()  # stems of captures that this process made or found standing
        self._locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)
        self.hidden = HiddenTrackers(host.connection, host.notes_dir or host.scratch_dir / "trackers", self.lock)

    def lock(self, domain_id: str) -> threading.RLock:
        return self._locks[domain_id]

    def ask_with(self, is_wanted: IsWanted) -> None:
        """From now on ask this whether a capture belongs to a job that will come back for it."""
        self._ask = is_wanted

    def is_wanted(self, scope: str, token: str) -> bool:
        """Whether an unfinished job will come back for that capture."""
        return self._ask is not None and self._ask(scope, token)

    def begin(self, request: CaptureRequest) -> Capture:
        """See sdk.hypervisor.Hypervisor.begin."""
        files = self.host.files(request.domain_id, request.scope, request.token)
        domain = self.host.connection.domain(request.domain_id)
        with self.lock(request.domain_id):
            standing = self._standing(files)
            if standing is not None and standing.capture is not None:
                self._adopt(files)
                return standing.capture
            self._discard(files, domain)
            disks = [
                replace(disk, tracked=disk.tracked and disk.target not in request.whole)
                for disk in self._chosen(domain, request.targets)
            ]
            self._make_way(domain, files)
            with self.hidden.shown(domain), ExitStack() as undo:
                self._drop_stale(domain, files, request.since)
                undo.callback(self._undo, files, domain)
                capture = self._make(domain, files, disks, request)
                undo.pop_all()
            self._adopt(files)
            return capture

    @contextmanager
    def source(self, capture: Capture, target: str, *, full: bool) -> Iterator[Source]:
        """See sdk.hypervisor.Hypervisor.source."""
        files = self.host.files(capture.domain_id, capture.scope, capture.token)
        record = self._standing(files)
        if record is None:
            raise errors.CaptureLost(detail=self._why_lost(files))
        self._adopt(files)
        method = self.methods[record.method]

        def stands() -> bool:
            return self._standing(files) is not None

        def check() -> None:
            if files.stem not in self._live or not method.still(record, target):
                raise errors.CaptureLost(detail=self._why_lost(files))

        with lost_when(stands, lambda: self._why_lost(files)), method.open(record, target, full=full) as source:
            yield CheckedSource(source, check)

    def end(self, capture: Capture) -> None:
        """See sdk.hypervisor.Hypervisor.end."""
        files = self.host.files(capture.domain_id, capture.scope, capture.token)
        with self.lock(capture.domain_id):
            self._let_go(files)
            libvirt_record.remove(files)

    def keep(self, domain_id: str, scope: str, token: str) -> None:
        """See sdk.hypervisor.Hypervisor.keep."""
        with self.lock(domain_id):
            try:
                domain = self.host.connection.domain(domain_id)
            except errors.ResourceNotFound:
                return
            with self.hidden.shown(domain):
                used = self._in_use(domain, scope) | {token}
                libvirt_trackers.drop_others(self.host.connection, domain, scope, used)

    def discard(self, domain_id: str, scope: str, token: str) -> None:
        """See sdk.hypervisor.Hypervisor.discard."""
        files = self.host.files(domain_id, scope, token)
        with self.lock(domain_id):
            try:
                domain: libvirt.virDomain | None = self.host.connection.domain(domain_id)
            except errors.ResourceNotFound:
                domain = None
            self._discard(files, domain)

    def adopt_if_standing(self, files: CaptureFiles) -> bool:
        """Whether the view of a capture is there and can be read; from now on it is watched."""
        if self._standing(files) is None:
            return False
        self._adopt(files)
        return True

    def clear(self, files: CaptureFiles) -> Sequence[str]:
        """End whatever a capture left, also one that this process did not make; trackers stay. One line per thing."""
        with self.lock(files.domain_id):
            lines = self._let_go(files)
            libvirt_record.remove(files)
            return lines

    def _make(
        self, domain: libvirt.virDomain, files: CaptureFiles, disks: Sequence[DiskInfo], request: CaptureRequest
    ) -> Capture:
        method = self._method(domain, disks, request.method)
        sources = {disk.target: (disk.path, disk.format) for disk in disks}
        record = CaptureRecord(files, libvirt_record.BEGINNING, method.name, sources)
        record.save()
        active = libvirt_inspect.is_active(domain)
        try:
            with translated(f"capture domain {files.domain_id} ({method.name})"):
                capture = method.make(domain, files, disks, request)
        except errors.StepFailed as fault:
            if libvirt_inspect.is_active(domain) != active:
                raise errors.CaptureLost(
                    "The guest was started or stopped while its view was made.", detail=fault.operator_text()
                ) from fault
            raise
        replace(record, phase=STANDING, capture=capture).save()
        return capture

    def _method(self, domain: libvirt.virDomain, disks: Sequence[DiskInfo], asked: str) -> Method:
        if not libvirt_inspect.is_active(domain):
            return self.methods["offline"]
        if asked == "auto":
            # Nova does not know of overlays, and would start the guest without them.
            whole = any(disk.tracked or not disk.path for disk in disks) or libvirt_inspect.is_of_nova(domain)
            asked = "bitmap" if whole else "snapshot"
        return self.methods[asked]

    def _chosen(self, domain: libvirt.virDomain, targets: Sequence[str]) -> list[DiskInfo]:
        known = {disk.target: disk for disk in libvirt_inspect.inspect(self.host.connection, domain).disks}
        missing = [target for target in targets if target not in known]
        if missing or not targets:
            raise errors.InvalidInput(f"The domain has no disk {missing[0]}." if missing else "No disk is chosen.")
        chosen = [known[target] for target in dict.fromkeys(targets)]
        for disk in chosen:
            if disk.size == 0:
                raise errors.ResourceNotFound(
                    f"The image of disk {disk.target} cannot be read.", detail=disk.path or "it is not on this host"
                )
        return chosen

    def _make_way(self, domain: libvirt.virDomain, files: CaptureFiles) -> None:
        """End dead captures of this scope on the domain; look for room. Raises Conflict, Unavailable."""
        for other in libvirt_record.found(self.host.scratch_dir):
            if other.domain_id != files.domain_id or other.stem == files.stem:
                continue
            foreign = self._ask is None and short_scope(other.scope) != short_scope(files.scope)
            if foreign or other.stem in self._live or self.is_wanted(other.scope, other.token):
                raise errors.Conflict("Another backup of this domain is running.", detail=other.stem)
            LOG.warning("dead capture removed domain=%s token=%s", other.domain_id, other.token)
            self._discard(other, domain)
        if libvirt_bitmap.job(domain) is not None:
            raise errors.Conflict(
                "Another backup job runs on this domain.", detail="it is not one of this service", next_action="wait"
            )
        free = free_bytes(self.host.scratch_dir)
        if free < self.host.reserve_bytes:
            raise errors.Unavailable(
                "There is no room for the blocks that the guest changes during the backup.",
                detail=f"{free >> 20} MiB are free in {self.host.scratch_dir}, {self.host.reserve_bytes >> 20} wanted",
                next_action="make room, or set scratch_dir to another file system",
            )

    def _drop_stale(self, domain: libvirt.virDomain, files: CaptureFiles, since: Mapping[str, str]) -> None:
        used = self._in_use(domain, files.scope) | frozenset(since.values())
        libvirt_trackers.drop_others(self.host.connection, domain, files.scope, used)

    def _in_use(self, domain: libvirt.virDomain, scope: str) -> frozenset[str]:
        """Tokens of trackers that belong to work which has not ended."""
        tokens = libvirt_trackers.tokens(domain, scope)
        return frozenset(token for token in tokens if self.is_wanted(scope, token))

    def _standing(self, files: CaptureFiles) -> CaptureRecord | None:
        record = libvirt_record.load(files)
        if record is None or record.phase != STANDING or record.capture is None:
            return None
        try:
            return record if self.methods[record.method].stands(record) else None
        except errors.ResourceNotFound:
            return None

    def _why_lost(self, files: CaptureFiles) -> str:
        record = libvirt_record.load(files)
        if record is None:
            return "the capture was ended"
        return record.reason or f"the {record.method} view no longer stands: the guest was stopped, started or changed"

    def _adopt(self, files: CaptureFiles) -> None:
        self._live.add(files.stem)
        self.guard.watch(files)

    def _let_go(self, files: CaptureFiles) -> list[str]:
        """End the view, by its record or, where that is lost, by every method's own search."""
        self._live.discard(files.stem)
        self.guard.forget(files)
        record = libvirt_record.load(files)
        lines: list[str] = []
        for method in self.methods.values():
            if record is None or record.method == method.name:
                lines += method.let_go(record or CaptureRecord(files, LOST, method.name, {}))
        if record is not None:
            lines += self._resume(files)
        return lines

    def _resume(self, files: CaptureFiles) -> list[str]:
        """A guest that was paused for want of room while our view stood goes on as soon as the view is gone."""
        try:
            domain = self.host.connection.domain(files.domain_id)
            resumed = libvirt_inspect.resume_if_out_of_space(domain)
        except errors.ResourceNotFound:
            return []
        return [f"guest resumed domain={files.domain_id}"] if resumed else []

    def _discard(self, files: CaptureFiles, domain: libvirt.virDomain | None) -> None:
        self._let_go(files)
        if domain is not None:
            with self.hidden.shown(domain):
                libvirt_trackers.drop(self.host.connection, domain, files.tracker)
        libvirt_record.remove(files)

    def _undo(self, files: CaptureFiles, domain: libvirt.virDomain) -> None:
        """Leave nothing of a begin that failed; what cannot be removed now is found again by its record."""
        try:
            self._discard(files, domain)
        except (errors.KarborError, libvirt.libvirtError) as fault:
            LOG.error("capture not cleaned up domain=%s token=%s cause=%s", files.domain_id, files.token, fault)

    def _give_up(self, files: CaptureFiles, reason: str) -> bool:
        """End a capture for the guest's sake; readers get CaptureLost with the reason. False: to be tried again."""
        try:
            with self.lock(files.domain_id):
                record = libvirt_record.load(files)
                if record is None:
                    return True
                self._let_go(files)
                replace(record, phase=LOST, reason=reason).save()
                return True
        except (errors.KarborError, libvirt.libvirtError, OSError) as fault:
            LOG.error("capture not given up domain=%s token=%s cause=%s", files.domain_id, files.token, fault)
            return False

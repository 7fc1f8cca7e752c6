# SPDX-License-Identifier: Apache-2.0
"""Who sees to it that a capture never costs the guest its disk: when scratch room runs out, the capture ends?

While a view stands, old (or new) blocks of the guest's disks gather in the scratch directory. When that file system
is full, the guest's own writes fail and it is paused. So a thread looks twice a second, and libvirt's event wakes it;
the capture that takes most room is given up before the reserve is gone, or at once where the guest was paused.
"""

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import libvirt

from karbor.model import errors
from karbor.virt.libvirt_method import Host
from karbor.virt.libvirt_names import CaptureFiles

LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 0.5


def free_bytes(directory: Path) -> int:
    """Room that is left for ordinary users of the file system."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


class ScratchGuard:
    """Watches the captures it is told of. ``give_up(files, reason)`` ends one; False means try again."""

    def __init__(self, host: Host, give_up: Callable[[CaptureFiles, str], bool]) -> None:
        self._host = host
        self._give_up = give_up
        self._change = threading.Condition()
        self._watched: dict[str, CaptureFiles] = {}  # by stem; guarded by _change
        self._thread: threading.Thread | None = None  # guarded by _change
        self._paused: set[str] = set()  # domain ids; guarded by _change

    def watch(self, files: CaptureFiles) -> None:
        """May be called again for the same capture."""
        with self._change:
            self._watched[files.stem] = files
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="scratch-guard", daemon=True)
                self._thread.start()

    def forget(self, files: CaptureFiles) -> None:
        with self._change:
            self._watched.pop(files.stem, None)
            self._change.notify()

    def io_error(self, domain_id: str, reason: str) -> None:
        """libvirt paused a guest. Called by libvirt's event loop, so it only takes a note."""
        with self._change:
            if reason == "enospc" and any(files.domain_id == domain_id for files in self._watched.values()):
                self._paused.add(domain_id)
                self._change.notify()

    def _run(self) -> None:
        while True:
            with self._change:
                # A capture may have been ended through another object or process.
                self._watched = {stem: files for stem, files in self._watched.items() if files.record.exists()}
                if not self._watched:
                    self._thread = None
                    return
                watched, paused = list(self._watched.values()), frozenset(self._paused)
                self._paused.clear()
            try:
                self._look(watched, paused)
            except OSError as fault:
                LOG.error("scratch cannot be watched directory=%s cause=%s", self._host.scratch_dir, fault)
            with self._change:
                if not self._paused:
                    self._change.wait(_LOOK_SECONDS)

    def _look(self, watched: list[CaptureFiles], paused: frozenset[str]) -> None:
        for files in watched:
            if files.domain_id in paused or self._is_paused(files.domain_id):
                self._end(files, "the scratch file system is full, and the guest was paused")
                return
        free = free_bytes(self._host.scratch_dir)
        if free < self._host.reserve_bytes:
            largest = max(watched, key=room_taken)
            if room_taken(largest):
                self._end(largest, f"scratch room ran short: {free >> 20} MiB are free in {self._host.scratch_dir}")

    def _is_paused(self, domain_id: str) -> bool:
        try:
            state, reason = self._host.connection.domain(domain_id).state()
        except (errors.KarborError, libvirt.libvirtError):
            return False
        return (state, reason) == (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR)

    def _end(self, files: CaptureFiles, reason: str) -> None:
        LOG.warning("capture given up domain=%s token=%s cause=%s", files.domain_id, files.token, reason)
        if self._give_up(files, reason):
            self.forget(files)


def room_taken(files: CaptureFiles) -> int:
    """Bytes that the scratch files and overlays of a capture occupy."""
    found = 0
    for path in files.scratch_dir.glob(f"{files.stem}.*"):
        if path == files.record:
            continue
        try:
            found += path.stat().st_blocks * 512
        except FileNotFoundError:
            continue
    return found

# SPDX-License-Identifier: Apache-2.0
"""How is a stopped guest captured: from its images, with bitmaps for the next increment?

The images are read through a qemu-nbd that takes no lock, so that the guest can be started at any time: it never
waits for us. The price is paid by the reader: after every read it looks whether the image was written since (its
change time, size and inode), and for devices, which have no such times, whether the guest runs. A view that was
written to raises CaptureLost; the next attempt finds a running guest.
"""

import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import libvirt

from karbor.common.clock import Clock
from karbor.model import errors
from karbor.sdk.hypervisor import Capture, CapturedDisk, CaptureRequest, DiskInfo
from karbor.sdk.streams import Source
from karbor.virt import libvirt_trackers, libvirt_xml, qemuimg
from karbor.virt.libvirt_inspect import is_active
from karbor.virt.libvirt_method import Host, Method, definition, new_view
from karbor.virt.libvirt_names import CaptureFiles, tracker_name
from karbor.virt.libvirt_record import CaptureRecord
from karbor.virt.libvirt_trackers import Tracker
from karbor.virt.nbdserver import qemu_nbd
from karbor.virt.source import NbdSource

#: File systems keep change times in ticks of at most 10 ms; an image this old shows any later write.
_TICK_SECONDS = 0.05
#: A device's view is known to be constant only to the process that saw it from the start.
_PROCESS = uuid.uuid4().hex


class OfflineMethod(Method):
    """The images of a stopped guest, and a look at them after every read."""

    name = "offline"

    def __init__(self, host: Host, clock: Clock) -> None:
        super().__init__(host)
        self._clock = clock

    def make(
        self, domain: libvirt.virDomain, files: CaptureFiles, disks: Sequence[DiskInfo], request: CaptureRequest
    ) -> Capture:
        remote = [disk.target for disk in disks if not disk.path]
        if remote:
            raise errors.NotSupported(
                f"Disk {remote[0]} is not on this host; a stopped guest cannot be read without it.",
                next_action="start the guest, or exclude the disk",
            )
        kept, reason = definition(domain), domain.state()[1]
        trackers = libvirt_trackers.tokens(domain, files.scope)
        captured = tuple(self._captured(files, disk, request.since.get(disk.target), trackers) for disk in disks)
        view = new_view()
        self._track(domain, files, [disk for disk in disks if disk.tracked], view=view)
        threading.Event().wait(_TICK_SECONDS)
        witness = {disk.target: _witness(disk.path) for disk in disks}
        if is_active(domain):
            raise errors.CaptureLost("The guest was started while its view was made.")
        clean = reason == libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN
        return Capture(
            files.domain_id,
            files.scope,
            files.token,
            self.name,
            "filesystem" if clean else "crash",
            captured,
            kept,
            {"witness": witness, "paths": {disk.target: disk.path for disk in disks}},
            view,
        )

    def stands(self, record: CaptureRecord) -> bool:
        assert record.capture is not None  # noqa: S101 - promised by the caller
        return all(self.still(record, disk.target) for disk in record.capture.disks)

    def still(self, record: CaptureRecord, target: str) -> bool:
        assert record.capture is not None  # noqa: S101 - promised by the caller
        seen = record.capture.private["witness"][target]
        try:
            if _witness(record.capture.private["paths"][target]) != seen:
                return False
        except OSError:
            return False
        return "process" not in seen or not is_active(self.host.connection.domain(record.files.domain_id))

    @contextmanager
    def open(self, record: CaptureRecord, target: str, *, full: bool) -> Iterator[Source]:
        assert record.capture is not None  # noqa: S101 - promised by the caller
        disk = record.capture.disk(target)
        path = record.capture.private["paths"][target]
        bitmap = tracker_name(record.files.scope, disk.since) if disk.since is not None and not full else None
        with qemu_nbd(
            path,
            disk.format,
            export=target,
            socket_dir=str(self.host.scratch_dir),
            bitmap=bitmap,
            locked=False,
        ) as socket_path:
            with NbdSource(socket_path, target, bitmap=bitmap) as source:
                yield source

    def let_go(self, record: CaptureRecord) -> Sequence[str]:
        """Nothing of the guest is held."""
        return []

    def _captured(
        self, files: CaptureFiles, disk: DiskInfo, since: str | None, trackers: Mapping[str, Tracker]
    ) -> CapturedDisk:
        tracker, why = trackers.get(since or ""), ""
        if not disk.tracked:
            why = f"a {disk.format} image of this kind keeps no dirty bitmap"
        elif since is None:
            why = "no earlier checkpoint"
        elif tracker is None or disk.target not in tracker.targets:
            why = "the tracker of the earlier checkpoint is missing"
        else:
            bitmap = qemuimg.info(disk.path, disk.format).bitmap(tracker_name(files.scope, since))
            if bitmap is None or bitmap.broken or not bitmap.recording:
                why = "the tracker of the earlier checkpoint is unusable"
        since_view = tracker.view if tracker and not why else ""
        return CapturedDisk(disk.target, disk.size, disk.format, None if why else since, why, disk.tracked, since_view)

    def _track(self, domain: libvirt.virDomain, files: CaptureFiles, disks: Sequence[DiskInfo], *, view: str) -> None:
        """Make a tracker: libvirt's note first, so that a kill in between leaves nothing that cannot be found."""
        if not disks:
            return
        root = libvirt_xml.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        order = libvirt_xml.redefine_checkpoint_xml(
            files.tracker, view, root, [disk.target for disk in disks], created=self._clock.milliseconds() // 1000
        )
        domain.checkpointCreateXML(order, libvirt.VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE)
        for disk in disks:
            qemuimg.add_bitmap(disk.path, files.tracker)


def _witness(path: str) -> dict[str, Any]:
    """What changes when an image is written to."""
    found = Path(path).stat()
    if not Path(path).is_file():
        return {"process": _PROCESS}
    return {"changed": found.st_mtime_ns, "size": found.st_size, "inode": found.st_ino}

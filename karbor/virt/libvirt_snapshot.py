# SPDX-License-Identifier: Apache-2.0
"""How is a running guest captured with an external snapshot, and put back on its own images afterwards?

The guest goes on in overlays in the scratch directory; its own images stand still below and are read. At the end each
overlay is committed into the image below it and removed. No tracker is made: the next capture reads in full again.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import libvirt

from karbor.sdk.hypervisor import Capture, CapturedDisk, CaptureRequest, DiskInfo
from karbor.sdk.streams import Source
from karbor.virt import libvirt_commit, libvirt_trackers, libvirt_xml
from karbor.virt.libvirt_freeze import FreezePolicy, frozen
from karbor.virt.libvirt_method import Method, definition, new_view
from karbor.virt.libvirt_names import CaptureFiles
from karbor.virt.libvirt_record import CaptureRecord
from karbor.virt.nbdserver import qemu_nbd
from karbor.virt.source import NbdSource

_FLAGS = (
    libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY
    | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC
    | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
)


class SnapshotMethod(Method):
    """External snapshot, full read of the images below, active commit."""

    name = "snapshot"

    def make(
        self, domain: libvirt.virDomain, files: CaptureFiles, disks: Sequence[DiskInfo], request: CaptureRequest
    ) -> Capture:
        libvirt_trackers.drop_broken(self.host.connection, domain)
        kept = definition(domain)
        chosen = [disk.target for disk in disks]
        root = libvirt_xml.parse(domain.XMLDesc(0))
        left_out = [disk.target for disk in libvirt_xml.disks(root) if disk.target not in chosen]
        overlays = {target: files.overlay(target) for target in chosen}
        for overlay in overlays.values():
            overlay.unlink(missing_ok=True)
        order = libvirt_xml.snapshot_xml(files.tracker, overlays, left_out)
        policy = FreezePolicy(
            request.quiesce, self.host.freeze_seconds, self.host.connection.uri, files.frozen_marker()
        )
        with frozen(domain, policy) as freeze:
            domain.snapshotCreateXML(order, _FLAGS)
        captured = tuple(
            CapturedDisk(disk.target, disk.size, disk.format, None, "an external snapshot is read in full")
            for disk in disks
        )
        return Capture(
            files.domain_id,
            files.scope,
            files.token,
            self.name,
            "filesystem" if freeze.held else "crash",
            captured,
            kept,
            {"not_frozen": freeze.reason},
            new_view(),
        )

    def stands(self, record: CaptureRecord) -> bool:
        domain = self.host.connection.domain(record.files.domain_id)
        return all(libvirt_commit.is_below(domain, record, target) for target in record.sources)

    @contextmanager
    def open(self, record: CaptureRecord, target: str, *, full: bool) -> Iterator[Source]:
        path, image_format = record.sources[target]
        with qemu_nbd(path, image_format, export=target, socket_dir=str(self.host.scratch_dir)) as socket_path:
            with NbdSource(socket_path, target) as source:
                yield source

    def let_go(self, record: CaptureRecord) -> Sequence[str]:
        return libvirt_commit.put_back(self.host.connection, record)

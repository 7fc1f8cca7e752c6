# SPDX-License-Identifier: Apache-2.0
"""How is a running guest captured and read through libvirt's own backup job?"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import libvirt

from karbor.model import errors
from karbor.sdk.hypervisor import Capture, CaptureRequest, DiskInfo
from karbor.sdk.streams import Source
from karbor.virt import libvirt_bitmap, libvirt_xml
from karbor.virt.libvirt_connection import translated
from karbor.virt.libvirt_freeze import FreezePolicy, frozen
from karbor.virt.libvirt_method import Method, definition, new_view
from karbor.virt.libvirt_names import CaptureFiles
from karbor.virt.libvirt_record import CaptureRecord
from karbor.virt.source import NbdSource


class PullMethod(Method):
    """All disks in one pull backup; bitmaps where images can hold them."""

    name = "bitmap"

    def make(
        self, domain: libvirt.virDomain, files: CaptureFiles, disks: Sequence[DiskInfo], request: CaptureRequest
    ) -> Capture:
        kept = definition(domain)
        with translated(f"plan the backup of {files.domain_id}"):
            wanted = libvirt_bitmap.plan(domain, files, disks, request.since, view=new_view())
        files.socket.unlink(missing_ok=True)
        policy = FreezePolicy(
            request.quiesce, self.host.freeze_seconds, self.host.connection.uri, files.frozen_marker()
        )
        with frozen(domain, policy) as freeze:
            broken = libvirt_bitmap.begin(domain, files, wanted)
        libvirt_bitmap.drop_broken(self.host.connection, domain, files.scope, broken)
        return Capture(
            files.domain_id,
            files.scope,
            files.token,
            self.name,
            "filesystem" if freeze.held else "crash",
            wanted.captured(),
            kept,
            {"not_frozen": freeze.reason},
            wanted.view,
        )

    def stands(self, record: CaptureRecord) -> bool:
        job = libvirt_bitmap.job(self.host.connection.domain(record.files.domain_id))
        return job is not None and job.belongs_to(record.files)

    @contextmanager
    def open(self, record: CaptureRecord, target: str, *, full: bool) -> Iterator[Source]:
        assert record.capture is not None  # noqa: S101 - promised by the caller
        increment = not full and record.capture.disk(target).since is not None
        bitmap = libvirt_xml.bitmap_export(target) if increment else None
        with NbdSource(str(record.files.socket), target, bitmap=bitmap) as source:
            yield source

    def let_go(self, record: CaptureRecord) -> Sequence[str]:
        try:
            domain = self.host.connection.domain(record.files.domain_id)
        except errors.ResourceNotFound:
            return []
        return [f"backup job ended domain={record.files.domain_id}"] if libvirt_bitmap.end(domain, record.files) else []

# SPDX-License-Identifier: Apache-2.0
"""How does a guest get from our overlays back onto its own images: running, stopped, or after its domain is gone?"""

import logging
from pathlib import Path

import libvirt

from karbor.common import command
from karbor.model import errors
from karbor.virt import libvirt_trackers, libvirt_xml, qemuimg
from karbor.virt.libvirt_connection import Connection, has_code, translated
from karbor.virt.libvirt_inspect import is_active
from karbor.virt.libvirt_names import CaptureFiles, is_tracker, parse_file
from karbor.virt.libvirt_record import CaptureRecord
from karbor.virt.libvirt_wait import wait_until

LOG = logging.getLogger(__name__)

#: A commit that makes no progress for this long is given up (and tried again by the next recovery).
STALL_SECONDS = 120
_OFFLINE_SECONDS = 6 * 3600.0
_ACTIVE_COMMIT = libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT


def is_below(domain: libvirt.virDomain, record: CaptureRecord, target: str) -> bool:
    """Whether the disk's own image is read-only below our overlay, and nothing is being committed into it."""
    overlay, (lower, _format) = str(record.files.overlay(target)), record.sources[target]
    with translated(f"look at disk {target} of {record.files.domain_id}"):
        chain = libvirt_xml.backing_paths(libvirt_xml.parse(domain.XMLDesc(0)), target)
        if overlay not in chain:
            return False
        below = chain[chain.index(overlay) + 1 :]
        if below and below[0] != lower:
            return False
        return not (domain.isActive() and domain.blockJobInfo(target, 0))


def put_back(connection: Connection, record: CaptureRecord) -> list[str]:
    """Commit every overlay of the capture into the image below and remove it. May be called again.

    One line per overlay. Raises StepFailed, Unavailable where a commit does not come to its end.
    """
    lines = []
    for target, overlay in _overlays(record.files).items():
        try:
            domain: libvirt.virDomain | None = connection.domain(record.files.domain_id)
        except errors.ResourceNotFound:
            domain = None
        if domain is None:
            _commit_file(overlay)
        elif is_active(domain):
            _commit_live(domain, target, overlay)
        else:
            _commit_stopped(connection, domain, target, overlay, record)
        overlay.unlink(missing_ok=True)
        lines.append(f"overlay committed domain={record.files.domain_id} disk={target}")
    return lines


def _overlays(files: CaptureFiles) -> dict[str, Path]:
    found = {}
    for path in sorted(files.scratch_dir.glob(f"{files.stem}.*.overlay")):
        name = parse_file(path)
        if name is not None:
            found[name.target] = path
    return found


def _commit_live(domain: libvirt.virDomain, target: str, overlay: Path) -> None:
    with translated(f"commit overlay {overlay}"):
        chain = libvirt_xml.backing_paths(libvirt_xml.parse(domain.XMLDesc(0)), target)
        if str(overlay) not in chain:
            return  # it was never used, or is committed already
        if chain[0] != str(overlay):
            raise errors.StepFailed(
                "A snapshot of somebody else lies on top of ours.",
                detail=f"{chain[0]} is above {overlay}",
                next_action="commit or remove that snapshot; ours is then removed at the next start",
            )
        running = domain.blockJobInfo(target, 0)
        if not running:
            flags = libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE | libvirt.VIR_DOMAIN_BLOCK_COMMIT_SHALLOW
            domain.blockCommit(target, None, None, 0, flags)
        elif running["type"] != _ACTIVE_COMMIT:
            raise errors.StepFailed("Another block job runs on the disk.", detail=f"{target}: type {running['type']}")
        _wait_for_ready(domain, target)
        _pivot(domain, target)


def _wait_for_ready(domain: libvirt.virDomain, target: str) -> None:
    """Wait as long as the commit goes forward."""
    last = -1

    def moved() -> bool:
        found = domain.blockJobInfo(target, 0)
        return not found or found["cur"] > last or found["cur"] == found["end"]

    while True:
        wait_until(moved, f"progress of the commit of {target}", seconds=STALL_SECONDS)
        found = domain.blockJobInfo(target, 0)
        if not found:
            raise errors.StepFailed("The commit of an overlay failed.", detail=f"the block job of {target} is gone")
        if found["cur"] == found["end"] and found["end"] > 0:
            return
        last = found["cur"]


def _pivot(domain: libvirt.virDomain, target: str) -> None:
    """libvirt says "not ready yet" for a moment after the last block was copied."""

    def done() -> bool:
        try:
            domain.blockJobAbort(target, libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
        except libvirt.libvirtError as fault:
            if has_code(fault, libvirt.VIR_ERR_BLOCK_COPY_ACTIVE):
                return False
            raise
        return True

    wait_until(done, f"the pivot of {target}", seconds=STALL_SECONDS)


def _commit_stopped(
    connection: Connection, domain: libvirt.virDomain, target: str, overlay: Path, record: CaptureRecord
) -> None:
    """Commit with qemu-img, then let the definition name the image again."""
    with translated(f"put disk {target} of {record.files.domain_id} back"):
        root = libvirt_xml.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE))
        if str(overlay) not in libvirt_xml.backing_paths(root, target):
            return
        lower, image_format = record.sources.get(target) or _recorded_below(overlay)
        _drop_bitmaps(lower, image_format)
        _commit_file(overlay)
        libvirt_xml.set_source(libvirt_xml.disk_elements(root)[target], lower, image_format)
        connection.get().defineXML(libvirt_xml.text_of(root))
        # What qemu-img wrote may not be in every bitmap: only a full read is certain now.
        for checkpoint in domain.listAllCheckpoints(0):
            if is_tracker(checkpoint.getName()):
                libvirt_trackers.drop(connection, domain, checkpoint.getName())


def _drop_bitmaps(path: str, image_format: str) -> None:
    """Our trackers are of no use after the commit; a broken one would even forbid it where the guest's disk grew."""
    if image_format == "qcow2" and Path(path).exists():
        for bitmap in qemuimg.info(path, image_format).bitmaps:
            if is_tracker(bitmap.name):
                qemuimg.remove_bitmap(path, bitmap.name)


def _recorded_below(overlay: Path) -> tuple[str, str]:
    """(path, format) of the image below, from the header that libvirt wrote."""
    found = qemuimg.info(str(overlay), "qcow2")
    if not found.backing or not found.backing_format:
        raise errors.StepFailed("It is not known what lies below an overlay.", detail=str(overlay))
    return found.backing, found.backing_format


def _commit_file(overlay: Path) -> None:
    """Write what an overlay holds into the image below; nothing to do where that image is gone."""
    if Path(_recorded_below(overlay)[0]).exists():
        command.run(["qemu-img", "commit", "-q", "-f", "qcow2", str(overlay)], timeout=_OFFLINE_SECONDS)

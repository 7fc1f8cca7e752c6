# SPDX-License-Identifier: Apache-2.0
"""Which trackers (libvirt checkpoints with dirty bitmaps) does a domain have, and how are they dropped, even broken?

A tracker of a running guest is dropped through libvirt. That of a stopped guest has two halves, the bitmaps in the
images and libvirt's note of them; they are removed one after the other. A bitmap whose QEMU was killed is broken: it
says nothing any more and is removed like any other.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import libvirt

from karbor.model import errors
from karbor.virt import libvirt_xml, qemuimg
from karbor.virt.libvirt_connection import Connection, has_code, translated
from karbor.virt.libvirt_inspect import local_disks
from karbor.virt.libvirt_names import is_tracker, tracker_token

LOG = logging.getLogger(__name__)
_NONE = (libvirt.VIR_ERR_NO_DOMAIN_CHECKPOINT,)
_NO_BITMAP = (
    libvirt.VIR_ERR_INVALID_ARG,
    libvirt.VIR_ERR_OPERATION_INVALID,
    libvirt.VIR_ERR_INTERNAL_ERROR,
    libvirt.VIR_ERR_CHECKPOINT_INCONSISTENT,
)


@dataclass(frozen=True)
class Tracker:
    """``view`` is that of the capture which made it; ``targets`` are the disks it covers."""

    view: str
    targets: frozenset[str]


def tokens(domain: libvirt.virDomain, scope: str) -> Mapping[str, Tracker]:
    """This scope's trackers by token."""
    with translated(f"list checkpoints of {domain.UUIDString()}"):
        found = {}
        for checkpoint in domain.listAllCheckpoints(0):
            token = tracker_token(scope, checkpoint.getName())
            if token is None:
                continue
            flags = libvirt.VIR_DOMAIN_CHECKPOINT_XML_NO_DOMAIN
            found[token] = Tracker(*libvirt_xml.checkpoint_content(checkpoint.getXMLDesc(flags)))
        return found


def drop(connection: Connection, domain: libvirt.virDomain, name: str) -> bool:
    """Remove one tracker with its bitmaps. True where there was one; may be called again."""
    with translated(f"drop checkpoint {name} of {domain.UUIDString()}"):
        try:
            checkpoint = domain.checkpointLookupByName(name)
        except libvirt.libvirtError as fault:
            if not has_code(fault, *_NONE):
                raise
            return _drop_bitmaps(connection, domain, [name]) if not domain.isActive() else False
        if domain.isActive():
            _delete_live(checkpoint)
            return True
        _drop_bitmaps(connection, domain, [name])
        checkpoint.delete(libvirt.VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY)
        return True


def drop_others(connection: Connection, domain: libvirt.virDomain, scope: str, keep: Iterable[str]) -> list[str]:
    """Drop every tracker of this scope whose token is not in ``keep``; returns the tokens dropped."""
    kept, dropped = frozenset(keep), []
    with translated(f"list checkpoints of {domain.UUIDString()}"):
        names = [checkpoint.getName() for checkpoint in domain.listAllCheckpoints(0)]
    for name in names:
        token = tracker_token(scope, name)
        if token is not None and token not in kept:
            drop(connection, domain, name)
            dropped.append(token)
    return dropped


def drop_broken(connection: Connection, domain: libvirt.virDomain) -> list[str]:
    """Drop our trackers, of any scope, with a bitmap that a killed QEMU left broken; returns their names.

    Such a bitmap says nothing any more, but it keeps its disk from growing, and so an overlay from being committed into
    it. libvirt tells the size of what changed for each sound bitmap, and only for those.
    """
    found = []
    with translated(f"look for broken checkpoints of {domain.UUIDString()}"):
        flags = libvirt.VIR_DOMAIN_CHECKPOINT_XML_NO_DOMAIN | libvirt.VIR_DOMAIN_CHECKPOINT_XML_SIZE
        for checkpoint in domain.listAllCheckpoints(0):
            name = checkpoint.getName()
            if is_tracker(name) and not libvirt_xml.has_sound_bitmaps(checkpoint.getXMLDesc(flags)):
                found.append(name)
    for name in found:
        LOG.warning("broken tracker dropped domain=%s name=%s", domain.UUIDString(), name)
        drop(connection, domain, name)
    return found


def _delete_live(checkpoint: libvirt.virDomainCheckpoint) -> None:
    try:
        checkpoint.delete(0)
    except libvirt.libvirtError as fault:
        if not has_code(fault, *_NO_BITMAP):
            raise
        # The bitmap went with the QEMU that was killed: only libvirt's note is left to remove.
        LOG.info("tracker broken name=%s cause=%s", checkpoint.getName(), fault.get_error_message())
        checkpoint.delete(libvirt.VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY)


def _drop_bitmaps(connection: Connection, domain: libvirt.virDomain, names: Iterable[str]) -> bool:
    """Remove bitmaps from the images of a stopped domain. True where there was any."""
    wanted, found = frozenset(names), False
    for disk in local_disks(connection, libvirt_xml.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))):
        if disk.format != "qcow2" or not disk.path:
            continue
        try:
            present = [bitmap.name for bitmap in qemuimg.info(disk.path, disk.format).bitmaps]
        except errors.ResourceNotFound:
            continue  # the image is gone, and its bitmaps with it
        for name in wanted.intersection(present):
            qemuimg.remove_bitmap(disk.path, name)
            found = True
    return found

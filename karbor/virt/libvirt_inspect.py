# SPDX-License-Identifier: Apache-2.0
"""What is a domain just now: its state, its disks and what can be tracked on them?"""

import struct
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace

import libvirt

from karbor.model import errors
from karbor.sdk.hypervisor import DiskInfo, DomainInfo
from karbor.virt import libvirt_xml
from karbor.virt.libvirt_connection import Connection, has_code, translated

_STATES = {
    libvirt.VIR_DOMAIN_NOSTATE: "running",
    libvirt.VIR_DOMAIN_RUNNING: "running",
    libvirt.VIR_DOMAIN_BLOCKED: "running",
    libvirt.VIR_DOMAIN_PAUSED: "paused",
    libvirt.VIR_DOMAIN_SHUTDOWN: "shutting down",
    libvirt.VIR_DOMAIN_SHUTOFF: "shut off",
    libvirt.VIR_DOMAIN_CRASHED: "crashed",
    libvirt.VIR_DOMAIN_PMSUSPENDED: "suspended",
}
_QCOW2_MAGIC = b"QFI\xfb"
_NEEDED = (libvirt.VIR_ERR_NO_STORAGE_VOL, libvirt.VIR_ERR_NO_STORAGE_POOL)


def all_domains(connection: Connection) -> Sequence[DomainInfo]:
    """Every persistent domain in order of id; one that vanishes meanwhile is left out."""
    with translated("list domains"):
        listed = connection.get().listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT)
    found = []
    for domain in listed:
        try:
            found.append(inspect(connection, domain))
        except errors.ResourceNotFound:
            continue
    return sorted(found, key=lambda info: info.id)


def inspect(connection: Connection, domain: libvirt.virDomain) -> DomainInfo:
    """What a domain is now. Raises ResourceNotFound where it vanished."""
    with translated(f"inspect domain {domain.UUIDString()}"):
        root = libvirt_xml.parse(domain.XMLDesc(0))
        state = _STATES.get(domain.state()[0], "unknown")
        disks = tuple(_disk(domain, disk) for disk in local_disks(connection, root))
        return DomainInfo(domain.UUIDString(), domain.name(), state, disks, libvirt_xml.owner(root))


def local_disks(connection: Connection, root: ET.Element) -> tuple[libvirt_xml.DiskXml, ...]:
    """The disks of a definition; those that name a storage volume get its path."""
    return tuple(_resolved(connection, disk) for disk in libvirt_xml.disks(root))


def _resolved(connection: Connection, disk: libvirt_xml.DiskXml) -> libvirt_xml.DiskXml:
    if disk.kind != "volume":
        return disk
    try:
        pool = connection.get().storagePoolLookupByName(disk.pool)
        return replace(disk, path=pool.storageVolLookupByName(disk.volume).path())
    except libvirt.libvirtError as fault:
        if has_code(fault, *_NEEDED):
            return disk
        raise


def _disk(domain: libvirt.virDomain, disk: libvirt_xml.DiskXml) -> DiskInfo:
    tracked = disk.format == "qcow2" and keeps_bitmaps(disk.path)
    size = _size(domain, disk.target)
    return DiskInfo(disk.target, disk.path, disk.format, size, tracked, disk.serial, disk.plain)


def _size(domain: libvirt.virDomain, target: str) -> int:
    """The size the guest sees; 0 where it cannot be told (the image is missing)."""
    try:
        return int(domain.blockInfo(target)[0])
    except libvirt.libvirtError as fault:
        if has_code(fault, libvirt.VIR_ERR_NO_DOMAIN):
            raise
        return 0


def keeps_bitmaps(path: str) -> bool:
    """Whether a qcow2 image is of version 3, which alone can hold dirty bitmaps.

    An image that this process may not read is taken to be new; libvirt then says no where it is not.
    """
    try:
        with open(path, "rb") as image:  # noqa: PTH123 - may be a block device path
            head = image.read(8)
    except OSError:
        return True
    return len(head) == 8 and head[:4] == _QCOW2_MAGIC and struct.unpack(">I", head[4:])[0] >= 3


def is_active(domain: libvirt.virDomain) -> bool:
    """Whether a QEMU runs for the domain. Raises ResourceNotFound where the domain is gone."""
    with translated(f"ask whether domain {domain.UUIDString()} runs"):
        return bool(domain.isActive())


def is_of_nova(domain: libvirt.virDomain) -> bool:
    """Whether Nova manages the domain. Raises ResourceNotFound where the domain is gone."""
    with translated(f"read the definition of {domain.UUIDString()}"):
        return libvirt_xml.is_of_nova(libvirt_xml.parse(domain.XMLDesc(0)))


def resume_if_out_of_space(domain: libvirt.virDomain) -> bool:
    """Let a guest go on that libvirt paused because a write failed. True where it was so."""
    with translated(f"resume domain {domain.UUIDString()}"):
        state, reason = domain.state()
        if (state, reason) != (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR):
            return False
        domain.resume()
        return True

# SPDX-License-Identifier: Apache-2.0
"""What does a domain's definition say, and how are the orders to libvirt spelled in XML?"""

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from karbor.model import errors

OWNER_NS = "https://docs.openstack.org/karbor/xmlns/owner/1.0"
_NOVA_NS = ("http://openstack.org/xmlns/libvirt/nova/1.1", "http://openstack.org/xmlns/libvirt/nova/1.0")
_SOURCE_ATTRIBUTE = {"file": "file", "block": "dev", "volume": "volume", "dir": "dir", "network": "name"}
_NOT_PLAIN = ("readonly", "shareable", "encryption", "source/encryption")


@dataclass(frozen=True)
class DiskXml:
    """A disk as the definition names it. ``path`` is "" where it is no file or device of this host."""

    target: str
    kind: str  # "file" | "block" | "volume" | "network" | ...
    path: str
    format: str
    pool: str = ""
    volume: str = ""
    serial: str = ""
    plain: bool = True  # no other guest uses it, the guest may write to it, and no key is needed to read it


def parse(text: str) -> ET.Element:
    """The root element of XML that libvirt wrote. Raises StepFailed where it is none."""
    try:
        return ET.fromstring(text)  # noqa: S314 - from libvirt or from a verified checkpoint; no entities are resolved
    except ET.ParseError as fault:
        raise errors.StepFailed("A domain definition cannot be read.", detail=str(fault)) from fault


def text_of(root: ET.Element) -> str:
    """The element as text."""
    return ET.tostring(root, encoding="unicode")


def disk_elements(root: ET.Element) -> dict[str, ET.Element]:
    """Target to element, for real disks (no CD-ROM, no floppy)."""
    found = {}
    for element in root.findall("./devices/disk"):
        target = element.find("target")
        if element.get("device", "disk") == "disk" and target is not None:
            found[target.get("dev", "")] = element
    return found


def disks(root: ET.Element) -> tuple[DiskXml, ...]:
    """The real disks of a definition in its order."""
    return tuple(_disk(target, element) for target, element in disk_elements(root).items())


def _disk(target: str, element: ET.Element) -> DiskXml:
    kind = element.get("type", "file")
    driver, source = element.find("driver"), element.find("source")
    image_format = driver.get("type", "raw") if driver is not None else "raw"
    serial = element.findtext("serial") or ""
    plain = all(element.find(name) is None for name in _NOT_PLAIN)
    if source is None:
        return DiskXml(target, kind, "", image_format, serial=serial, plain=plain)
    path = source.get(_SOURCE_ATTRIBUTE.get(kind, "file"), "") if kind in ("file", "block") else ""
    pool, volume = source.get("pool", ""), source.get("volume", "")
    return DiskXml(target, kind, path, image_format, pool, volume, serial, plain)


def set_source(element: ET.Element, path: str, image_format: str) -> None:
    """Let a disk element name one image and nothing below it (libvirt finds a chain by itself)."""
    for name in ("source", "backingStore", "mirror"):
        for old in element.findall(name):
            element.remove(old)
    element.set("type", "block" if Path(path).is_block_device() else "file")
    driver = element.find("driver")
    if driver is None:
        driver = ET.SubElement(element, "driver", name="qemu")
    driver.set("type", image_format)
    source = ET.Element("source", {_SOURCE_ATTRIBUTE[element.get("type", "file")]: path})
    element.insert(list(element).index(driver) + 1, source)


def backing_paths(root: ET.Element, target: str) -> tuple[str, ...]:
    """The paths of a running domain's disk from the top of its chain down."""
    element: ET.Element | None = disk_elements(root).get(target)
    found = []
    while element is not None:
        source = element.find("source")
        if source is None:
            break
        found.append(source.get("file") or source.get("dev") or "")
        element = element.find("backingStore")
    return tuple(found)


def owner(root: ET.Element) -> str:
    """The project that the domain's metadata names; "" where it names none."""
    entry = root.find(f"./metadata/{{{OWNER_NS}}}owner")
    if entry is not None:
        return entry.get("project", "")
    for namespace in _NOVA_NS:
        entry = root.find(f"./metadata/{{{namespace}}}instance/{{{namespace}}}owner/{{{namespace}}}project")
        if entry is not None:
            return entry.get("uuid", "")
    return ""


def is_of_nova(root: ET.Element) -> bool:
    """Whether Nova manages the domain: it says so in the metadata."""
    return any(root.find(f"./metadata/{{{namespace}}}instance") is not None for namespace in _NOVA_NS)


@dataclass(frozen=True)
class BackupDisk:
    """One disk of a pull backup. ``since`` is the name of a tracker, or None for a full read."""

    target: str
    scratch: Path
    since: str | None


def backup_xml(socket: Path, chosen: Iterable[BackupDisk], left_out: Iterable[str]) -> str:
    """The order for a pull backup. The bitmap of an incremental disk is exported as ``bitmap_export(target)``."""
    root = ET.Element("domainbackup", mode="pull")
    ET.SubElement(root, "server", transport="unix", socket=str(socket))
    listed = ET.SubElement(root, "disks")
    for disk in chosen:
        element = ET.SubElement(listed, "disk", name=disk.target, backup="yes", type="file", exportname=disk.target)
        if disk.since is None:
            element.set("backupmode", "full")
        else:
            element.set("backupmode", "incremental")
            element.set("incremental", disk.since)
            element.set("exportbitmap", bitmap_export(disk.target))
        ET.SubElement(element, "driver", type="qcow2")
        ET.SubElement(element, "scratch", file=str(disk.scratch))
    for target in left_out:
        ET.SubElement(listed, "disk", name=target, backup="no")
    return text_of(root)


def bitmap_export(target: str) -> str:
    """The export name of a disk's dirty bitmap in a pull backup."""
    return f"since-{target}"


def checkpoint_xml(name: str, view: str, tracked: Iterable[str], untracked: Iterable[str]) -> str:
    """A checkpoint that makes a bitmap on the tracked disks only. It carries the view it belongs to."""
    root = ET.Element("domaincheckpoint")
    ET.SubElement(root, "name").text = name
    ET.SubElement(root, "description").text = view
    listed = ET.SubElement(root, "disks")
    for target in tracked:
        ET.SubElement(listed, "disk", name=target, checkpoint="bitmap")
    for target in untracked:
        ET.SubElement(listed, "disk", name=target, checkpoint="no")
    return text_of(root)


def redefine_checkpoint_xml(name: str, view: str, domain: ET.Element, tracked: Iterable[str], *, created: int) -> str:
    """A checkpoint whose bitmaps exist already; ``created`` in seconds since the epoch."""
    root = ET.Element("domaincheckpoint")
    ET.SubElement(root, "name").text = name
    ET.SubElement(root, "description").text = view
    ET.SubElement(root, "creationTime").text = str(created)
    listed, wanted = ET.SubElement(root, "disks"), frozenset(tracked)
    for target in disk_elements(domain):
        if target in wanted:
            ET.SubElement(listed, "disk", name=target, checkpoint="bitmap", bitmap=name)
        else:
            ET.SubElement(listed, "disk", name=target, checkpoint="no")
    root.append(domain)
    return text_of(root)


def has_sound_bitmaps(text: str) -> bool:
    """Whether libvirt could tell what changed for every bitmap of a checkpoint that was asked for with sizes."""
    return all(disk.get("size") for disk in parse(text).iter("disk") if disk.get("checkpoint") == "bitmap")


def checkpoint_content(xml: str) -> tuple[str, frozenset[str]]:
    """The view that a checkpoint belongs to, and the disks on which it has a bitmap."""
    root = parse(xml)
    listed = root.findall("./disks/disk")
    tracked = frozenset(disk.get("name", "") for disk in listed if disk.get("checkpoint") == "bitmap")
    return root.findtext("description") or "", tracked


def checkpoint_created(xml: str) -> int:
    """When a checkpoint was made, in seconds since the epoch."""
    return int(parse(xml).findtext("creationTime") or 0)


def snapshot_xml(name: str, overlays: Mapping[str, Path], left_out: Iterable[str]) -> str:
    """An external snapshot of the disks in ``overlays`` only."""
    root = ET.Element("domainsnapshot")
    ET.SubElement(root, "name").text = name
    listed = ET.SubElement(root, "disks")
    for target, overlay in overlays.items():
        element = ET.SubElement(listed, "disk", name=target, snapshot="external", type="file")
        ET.SubElement(element, "driver", type="qcow2")
        ET.SubElement(element, "source", file=str(overlay))
    for target in left_out:
        ET.SubElement(listed, "disk", name=target, snapshot="no")
    return text_of(root)


def job_files(xml: str) -> tuple[str, tuple[str, ...]]:
    """The socket and the scratch files of a running pull backup."""
    root = parse(xml)
    server = root.find("server")
    scratch = tuple(element.get("file", "") for element in root.findall("./disks/disk/scratch"))
    return (server.get("socket", "") if server is not None else ""), scratch

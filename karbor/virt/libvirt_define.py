# SPDX-License-Identifier: Apache-2.0
"""How does a saved definition become a domain over restored disks?

What belongs to the old instance (aliases, security labels that libvirt made, backing chains, the PTY of a console) is
left out; libvirt makes it anew. Firmware variables are shared by nobody: a domain with a new UUID gets its own file.
"""

import secrets
import uuid
import xml.etree.ElementTree as ET
from pathlib import Path

import libvirt

from karbor.common import durable
from karbor.model import errors
from karbor.sdk.hypervisor import NewDomain
from karbor.virt import libvirt_nvram, libvirt_xml
from karbor.virt.libvirt_connection import Connection, has_code, translated

#: The range that QEMU and libvirt use for cards of guests.
_MAC_PREFIX = "52:54:00"
_UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM
)


def new_mac() -> str:
    """A fresh MAC address in the range of libvirt."""
    return ":".join([_MAC_PREFIX, *(f"{byte:02x}" for byte in secrets.token_bytes(3))])


def edited(definition: str, new: NewDomain) -> ET.Element:
    """The definition with everything that ``new`` asks for."""
    root = libvirt_xml.parse(definition)
    fresh = new.uuid is not None and new.uuid != root.findtext("uuid")
    _set_text(root, "name", new.name)
    _set_text(root, "uuid", new.uuid)
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in ("alias", "privateData")]:
            parent.remove(child)
    for label in root.findall("seclabel"):
        if label.get("type", "dynamic") == "dynamic":
            root.remove(label)
    if fresh:
        for entry in root.findall("./sysinfo/system/entry[@name='uuid']"):
            entry.text = new.uuid
        for nvram in root.findall("./os/nvram"):
            nvram.text = None
    if new.new_macs:
        for mac in root.findall("./devices/interface/mac"):
            mac.set("address", new_mac())
    _edit_devices(root, new, fresh=fresh)
    root.attrib.pop("id", None)
    return root


def _edit_devices(root: ET.Element, new: NewDomain, *, fresh: bool) -> None:
    devices = root.find("devices")
    if devices is None:
        raise errors.StepFailed("A domain definition cannot be used.", detail="it has no devices")
    for target, element in libvirt_xml.disk_elements(root).items():
        if target in new.disks:
            libvirt_xml.set_source(element, *new.disks[target])
        else:
            devices.remove(element)
    for channel in devices.findall("channel"):
        source = channel.find("source")
        if channel.get("type") == "unix" and source is not None:
            channel.remove(source)  # libvirt makes a path for this domain
    for interface in devices.findall("interface"):
        for stale in interface.findall("target"):
            interface.remove(stale)
    if fresh:
        for console in [*devices.findall("serial"), *devices.findall("console")]:
            source = console.find("source")
            if console.get("type") == "pty" and source is not None:
                console.remove(source)


def _set_text(root: ET.Element, tag: str, text: str | None) -> None:
    if text is None:
        return
    element = root.find(tag)
    if element is None:
        element = ET.SubElement(root, tag)
    element.text = text


class Definer:
    """Defines and undefines restored domains. ``replaced_dir`` keeps what a restore in place has replaced."""

    def __init__(self, connection: Connection, replaced_dir: Path) -> None:
        self._connection = connection
        self._replaced_dir = replaced_dir

    def define(self, definition: str, new: NewDomain) -> str:
        """See sdk.hypervisor.Hypervisor.define."""
        root = edited(definition, new)
        name, wanted = root.findtext("name") or "", root.findtext("uuid") or str(uuid.uuid4())
        _set_text(root, "uuid", wanted)
        existing = self._existing(name, wanted)
        ours = existing is not None and has_disks(existing, new)
        variables = libvirt_nvram.take_out(root)
        if variables is not None and not Path(libvirt_nvram.path_of(root) or "/").is_file():
            libvirt_nvram.place(root, variables, _directory(new), name=name)
        if existing is not None and not ours:
            if existing.isActive():
                raise errors.Conflict(f"The domain {name} is running.", next_action="stop it, or restore as a new one")
            self._keep_replaced(existing)
        elif existing is None:
            self._replaced(wanted).unlink(missing_ok=True)
        with translated(f"define domain {name}"):
            domain = existing
            if domain is None or not domain.isActive():
                domain = self._connection.get().defineXML(libvirt_xml.text_of(root))
                if existing is not None and not ours:
                    _forget_trackers(domain)
            if new.start and not domain.isActive():
                domain.create()
            return str(domain.UUIDString())

    def start(self, domain_id: str) -> None:
        """See sdk.hypervisor.Hypervisor.start."""
        with translated(f"start domain {domain_id}"):
            domain = self._connection.domain(domain_id)
            if not domain.isActive():
                domain.create()

    def undefine(self, domain_id: str) -> None:
        """See sdk.hypervisor.Hypervisor.undefine. A domain that the restore replaced comes back."""
        with translated(f"undefine domain {domain_id}"):
            try:
                domain = self._connection.domain(domain_id)
            except errors.ResourceNotFound:
                return
            if domain.isActive():
                domain.destroy()
            replaced = self._replaced(domain_id)
            if replaced.exists():
                self._connection.get().defineXML(replaced.read_text())
                replaced.unlink()
            else:
                root = libvirt_xml.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
                domain.undefineFlags(_UNDEFINE)
                for disk in libvirt_xml.disks(root)[:1]:
                    libvirt_nvram.remove(root, Path(disk.path).parent, name=root.findtext("name") or "")

    def _existing(self, name: str, wanted: str) -> "libvirt.virDomain | None":
        """The domain with that name and UUID. Raises Conflict where either belongs to another one."""
        by_name, by_uuid = self._lookup("lookupByName", name), self._lookup("lookupByUUIDString", wanted)
        if by_name is not None and by_name.UUIDString() != wanted:
            raise errors.Conflict(f"There is another domain named {name}.", next_action="choose another restore_name")
        if by_uuid is not None and by_uuid.name() != name:
            raise errors.Conflict(
                f"The domain's UUID belongs to {by_uuid.name()}.", next_action="restore with a new UUID"
            )
        return by_uuid

    def _lookup(self, how: str, what: str) -> "libvirt.virDomain | None":
        with translated(f"look up domain {what}"):
            try:
                return getattr(self._connection.get(), how)(what)
            except libvirt.libvirtError as fault:
                if has_code(fault, libvirt.VIR_ERR_NO_DOMAIN):
                    return None
                raise

    def _replaced(self, domain_id: str) -> Path:
        return self._replaced_dir / f"{domain_id}.xml"

    def _keep_replaced(self, domain: libvirt.virDomain) -> None:
        with translated(f"read the definition of {domain.UUIDString()}"):
            text = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)
        self._replaced_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        durable.write_file(self._replaced(domain.UUIDString()), text.encode())


def _directory(new: NewDomain) -> Path:
    """Where the first disk lies. Raises InvalidInput for a domain without disks."""
    for path, _format in new.disks.values():
        return Path(path).parent
    raise errors.InvalidInput("A domain is restored with one disk at least.")


def has_disks(domain: libvirt.virDomain, new: NewDomain) -> bool:
    """Whether a domain stands over exactly these disks: then an earlier call defined it."""
    with translated(f"read the definition of {domain.UUIDString()}"):
        root = libvirt_xml.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    return {disk.target: disk.path for disk in libvirt_xml.disks(root)} == {
        target: path for target, (path, _format) in new.disks.items()
    }


def _forget_trackers(domain: libvirt.virDomain) -> None:
    """The bitmaps of the replaced disks say nothing of the restored ones."""
    for checkpoint in domain.listAllCheckpoints(0):
        checkpoint.delete(libvirt.VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY)

# SPDX-License-Identifier: Apache-2.0
"""How does one define and boot the small guest, and run a command inside it?

    connection = guest.connect(libvirtd.start("/tmp/lab"))
    demo = guest.define(connection, guest.Machine("demo", guest_dir, (guest.Disk("vda", "/tmp/a.qcow2", "qcow2"),)))
    demo.start(); demo.wait_ready(); print(demo.run("sha256sum /mnt/vda/*"))

Needs libvirt-python and the output of mkguest.sh. Everything that waits has a deadline and raises GuestError then.
"""

import base64
import json
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import libvirt
import libvirt_qemu

#: A guest under TCG on a loaded host needs up to 20 s.
BOOT_SECONDS = 120


class GuestError(Exception):
    """What did not work in or with a guest, in one sentence."""


@dataclass(frozen=True)
class Disk:
    """One disk: its name in the guest, its image file and that file's format ("qcow2" or "raw")."""

    target: str
    path: str
    format: str


@dataclass(frozen=True)
class Machine:
    """A guest to define. ``guest_dir`` holds what mkguest.sh made; ``kernel_arguments`` are added to the usual ones."""

    name: str
    guest_dir: str
    disks: tuple[Disk, ...]
    domain_type: str = "qemu"
    memory_mib: int = 256
    kernel_arguments: str = ""
    uuid: str | None = None

    def xml(self) -> str:
        """The libvirt definition: virtio disks with discard, an agent channel, a console file, no network."""
        domain = ET.Element("domain", type=self.domain_type)
        _add(domain, "name", self.name)
        if self.uuid:
            _add(domain, "uuid", self.uuid)
        _add(domain, "memory", str(self.memory_mib), unit="MiB")
        _add(domain, "vcpu", "1")
        system = _add(domain, "os")
        _add(system, "type", "hvm", arch="x86_64", machine="pc")
        _add(system, "kernel", f"{self.guest_dir}/vmlinuz")
        _add(system, "initrd", f"{self.guest_dir}/initrd.img")
        _add(system, "cmdline", f"console=ttyS0 quiet panic=-1 {self.kernel_arguments}".strip())
        _add(_add(domain, "features"), "acpi")
        devices = _add(domain, "devices")
        for disk in self.disks:
            entry = _add(devices, "disk", type="file", device="disk")
            _add(entry, "driver", name="qemu", type=disk.format, cache="none", discard="unmap")
            _add(entry, "source", file=disk.path)
            _add(entry, "target", dev=disk.target, bus="virtio")
        _add(devices, "controller", type="usb", model="none")
        _add(_add(devices, "serial", type="pty"), "target", port="0")
        _add(_add(devices, "channel", type="unix"), "target", type="virtio", name="org.qemu.guest_agent.0")
        _add(devices, "memballoon", model="none")
        return ET.tostring(domain, encoding="unicode")


def _add(parent: ET.Element, tag: str, text: str | None = None, **attributes: str) -> ET.Element:
    element = ET.SubElement(parent, tag, attributes)
    element.text = text
    return element


def connect(uri: str) -> Any:
    """A libvirt connection that does not print errors on its own. Raises GuestError."""
    libvirt.registerErrorHandler(lambda *_: None, None)
    try:
        return libvirt.open(uri)
    except libvirt.libvirtError as error:
        raise GuestError(f"cannot reach libvirt at {uri}: {error}") from error


def define(connection: Any, machine: Machine) -> "Guest":
    """Define the guest without starting it; a guest that has this name keeps its UUID."""
    known = find(connection, machine.name)
    if known is not None and machine.uuid is None:
        machine = replace(machine, uuid=known.id)
    return Guest(connection.defineXML(machine.xml()))


def find(connection: Any, name: str) -> "Guest | None":
    """The guest of that name, or None."""
    for domain in connection.listAllDomains():
        if domain.name() == name:
            return Guest(domain)
    return None


class Guest:
    """One guest. ``domain`` is the libvirt object, for whatever is not offered here."""

    def __init__(self, domain: Any) -> None:
        self.domain = domain

    @property
    def name(self) -> str:
        return str(self.domain.name())

    @property
    def id(self) -> str:
        """The UUID with dashes."""
        return str(self.domain.UUIDString())

    def start(self) -> None:
        """Boot, unless it runs."""
        if not self.domain.isActive():
            self.domain.create()

    def wait_ready(self, seconds: float = BOOT_SECONDS) -> None:
        """Until the agent answers, that is: every file system is mounted. Raises GuestError."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.agent("guest-ping")
            except libvirt.libvirtError as error:
                if time.monotonic() > deadline:
                    raise GuestError(f"guest {self.name} does not answer after {seconds:.0f} s: {error}") from error
                time.sleep(0.2)
            else:
                return

    def agent(self, command: str, *, seconds: int = 20, **arguments: Any) -> Any:
        """One command of the guest agent; its "return" value. Raises libvirtError."""
        call = {"execute": command, **({"arguments": arguments} if arguments else {})}
        return json.loads(libvirt_qemu.qemuAgentCommand(self.domain, json.dumps(call), seconds, 0))["return"]

    def begin(self, script: str) -> int:
        """Start a shell line in the guest and return its process id at once."""
        arguments = {"path": "/bin/sh", "arg": ["-c", script], "capture-output": True}
        return int(self.agent("guest-exec", **arguments)["pid"])

    def run(self, script: str, *, seconds: float = 120) -> str:
        """What a shell line in the guest printed. Raises GuestError where it fails or takes longer than ``seconds``."""
        deadline = time.monotonic() + seconds
        try:
            pid = self.begin(script)
            while not (state := self.agent("guest-exec-status", pid=pid))["exited"]:
                if time.monotonic() > deadline:
                    raise GuestError(f"in guest {self.name}, {script!r} takes longer than {seconds:.0f} s")
                time.sleep(0.05)
        except libvirt.libvirtError as error:
            raise GuestError(f"guest {self.name} does not take commands: {error}") from error
        printed, complaint = (base64.b64decode(state.get(key, "")).decode() for key in ("out-data", "err-data"))
        if state.get("exitcode") != 0:
            raise GuestError(f"in guest {self.name}, {script!r} failed: {(complaint or printed).strip()[-300:]}")
        return printed

    def image_paths(self) -> list[Path]:
        """The image files of its disks, without what lies behind them."""
        tree = ET.fromstring(self.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        return [Path(source.get("file", "")) for source in tree.findall("./devices/disk/source[@file]")]

    def destroy(self) -> None:
        """Pull the plug, unless it is off."""
        if self.domain.isActive():
            self.domain.destroy()

    def undefine(self) -> None:
        """Forget the definition with everything libvirt keeps for it; images stay."""
        self.domain.undefineFlags(
            libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
            | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
            | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
            | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
        )

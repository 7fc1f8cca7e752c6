# SPDX-License-Identifier: Apache-2.0
"""What may a guest have that is only booted to see whether it can? Named here; all else of its definition is left out.

No network, no device of the host, no shared directory, no display: what is started is a copy of a machine that may be
running, and must meet nobody. Its disks are images of ours.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass

from karbor.virt import libvirt_nvram, libvirt_xml

_KIB = {"b": 1 / 1024, "bytes": 1 / 1024, "KB": 1000 / 1024, "k": 1, "KiB": 1, "": 1}
_KIB |= {"M": 1 << 10, "MiB": 1 << 10, "MB": 10**6 / 1024, "G": 1 << 20, "GiB": 1 << 20, "GB": 10**9 / 1024}
_KIB |= {"T": 1 << 30, "TiB": 1 << 30, "TB": 10**12 / 1024}
_FEATURES = ("acpi", "apic", "pae", "smm", "gic", "hyperv", "ioapic", "vmport")
_OF_CPU = ("model", "vendor", "feature")
_OF_DISK = ("target", "serial", "boot", "blockio")
_OF_OS = ("type", "loader", "boot", "kernel", "initrd", "cmdline", "firmware")


@dataclass(frozen=True)
class Bounds:
    """What a trial may take of the host."""

    memory_mib: int = 2048
    cpus: int = 2


def trial_xml(
    definition: str, *, name: str, uuid: str, disks: Mapping[str, str], bounds: Bounds
) -> tuple[ET.Element, bytes | None]:
    """A definition over ``disks`` (target to a qcow2 image), and the saved firmware variables where there are any."""
    saved = libvirt_xml.parse(definition)
    variables = libvirt_nvram.take_out(saved)
    root = ET.Element("domain", type=saved.get("type", "kvm"))
    _add(root, "name", name)
    _add(root, "uuid", uuid)
    _add(root, "memory", str(min(_memory(saved), bounds.memory_mib << 10)), unit="KiB")
    _add(root, "vcpu", str(max(1, min(_number(saved.findtext("vcpu")), bounds.cpus))))
    root.append(_os(saved))
    root.append(_chosen(saved.find("features"), "features", _FEATURES))
    if (cpu := saved.find("cpu")) is not None:
        root.append(_chosen(cpu, "cpu", _OF_CPU))
    if (clock := saved.find("clock")) is not None:
        root.append(clock)
    for event, action in (("on_poweroff", "destroy"), ("on_reboot", "restart"), ("on_crash", "destroy")):
        _add(root, event, action)
    root.append(_devices(saved, disks))
    return root, variables


def _os(saved: ET.Element) -> ET.Element:
    old, made = saved.find("os"), ET.Element("os")
    if old is None:
        return made
    made.attrib.update(old.attrib)
    for child in old:
        if child.tag in _OF_OS:
            made.append(child)
    if old.find("nvram") is not None:
        _add(made, "nvram")
    return made


def _chosen(old: ET.Element | None, tag: str, wanted: tuple[str, ...]) -> ET.Element:
    made = ET.Element(tag, old.attrib if old is not None else {})
    for child in old if old is not None else ():
        if child.tag in wanted:
            made.append(child)
    return made


def _devices(saved: ET.Element, disks: Mapping[str, str]) -> ET.Element:
    devices = ET.Element("devices")
    for target, element in libvirt_xml.disk_elements(saved).items():
        if target in disks:
            devices.append(_disk(element, disks[target]))
    for controller in saved.findall("./devices/controller[@type='scsi']"):
        chosen = {name: value for name, value in controller.attrib.items() if name in ("type", "index", "model")}
        ET.SubElement(devices, "controller", chosen)
    _add(devices, "controller", type="usb", model="none")
    _add(_add(devices, "serial", type="pty"), "target", port="0")
    _add(_add(devices, "console", type="pty"), "target", type="serial", port="0")
    _add(_add(devices, "channel", type="unix"), "target", type="virtio", name="org.qemu.guest_agent.0")
    _add(_add(devices, "rng", model="virtio"), "backend", "/dev/urandom", model="random")
    _add(devices, "memballoon", model="none")
    kind = saved.find("./os/type")
    if kind is not None and kind.get("arch") in ("x86_64", "i686"):
        _add(_add(devices, "video"), "model", type="vga")  # some systems do not boot without one; nobody sees it
    return devices


def _disk(old: ET.Element, path: str) -> ET.Element:
    made = ET.Element("disk", type="file", device="disk")
    policy = {"error_policy": "stop", "rerror_policy": "stop", "discard": "unmap", "cache": "unsafe"}
    _add(made, "driver", name="qemu", type="qcow2", **policy)
    _add(made, "source", file=path)
    for child in old:
        if child.tag in _OF_DISK:
            made.append(child)
    return made


def _memory(saved: ET.Element) -> int:
    """In KiB."""
    element = saved.find("memory")
    if element is None:
        return 1 << 20
    return int(_number(element.text) * _KIB.get(element.get("unit", ""), 1))


def _number(text: str | None) -> int:
    return int(text) if text and text.strip().isdecimal() else 1


def _add(parent: ET.Element, tag: str, text: str | None = None, **attributes: str) -> ET.Element:
    element = ET.SubElement(parent, tag, attributes)
    element.text = text
    return element

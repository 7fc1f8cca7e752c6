# SPDX-License-Identifier: Apache-2.0
"""How does a test get a private libvirt, a small guest with three disks, and something to compare a capture with?"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from karbor.plugins.hypervisors.libvirt import LibvirtHypervisor
from karbor.sdk.streams import Extent, Kind, StreamReader
from tools.lab import guest, libvirtd

MIB = 1 << 20
TARGETS = ("vda", "vdb", "vdc")


def guest_files(directory):
    """The directory with vmlinuz and initrd.img, built where KARBOR_GUEST_DIR does not name one that is ready."""
    ready = os.environ.get("KARBOR_GUEST_DIR")
    if ready and (Path(ready) / "initrd.img").exists():
        return ready
    script = Path(guest.__file__).with_name("mkguest.sh")
    subprocess.run(["bash", str(script), str(directory)], check=True, stdout=subprocess.DEVNULL)
    return str(directory)


def start_libvirt(directory):
    """The URI of a private libvirt. Started by a process of its own, because the daemon outlives its starter."""
    program = Path(libvirtd.__file__)
    found = subprocess.run([sys.executable, str(program), "start", str(directory)], check=True, stdout=subprocess.PIPE)
    return found.stdout.decode().strip()


def qemu_img(*arguments):
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def make_disks(directory, *, mib=48):
    """vda: qcow2 with ext4 on a base image; vdb: qcow2; vdc: raw. Returns the guest.Disk of each."""
    directory.mkdir(parents=True, exist_ok=True)
    base = directory / "base.img"
    with base.open("wb") as image:
        image.truncate(mib * MIB)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", str(base)], check=True)
    vda, vdb, vdc = directory / "vda.qcow2", directory / "vdb.qcow2", directory / "vdc.img"
    qemu_img("create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", vda)
    qemu_img("create", "-q", "-f", "qcow2", vdb, f"{mib}M")
    qemu_img("create", "-q", "-f", "raw", vdc, f"{mib}M")
    formats = ("qcow2", "qcow2", "raw")
    return tuple(
        guest.Disk(target, str(path), form)
        for target, path, form in zip(TARGETS, (vda, vdb, vdc), formats, strict=True)
    )


def driver(uri, state_dir, **settings):
    """A driver on that libvirt with its scratch directory below ``state_dir``."""
    parsed = LibvirtHypervisor.Settings.parse({"uri": uri, **settings})
    return LibvirtHypervisor(parsed, state_dir=str(state_dir))


def read_full(hypervisor, capture, target):
    """The whole frozen view of a disk."""
    with hypervisor.source(capture, target, full=True) as source:
        return _read(source, bytearray(source.size))


def read_increment(hypervisor, capture, target, base):
    """``base`` with what the capture says has changed; and how many bytes were read."""
    with hypervisor.source(capture, target) as source:
        found = bytearray(base)
        read = sum(extent.length for extent in source.extents() if extent.kind is Kind.DATA)
        return _read(source, found), read


def _read(source, found):
    at = 0
    for extent in source.extents():
        assert extent.offset == at, "extents have no gaps"
        at = extent.offset + extent.length
        if extent.kind is Kind.ZERO:
            found[extent.offset : at] = bytes(extent.length)
        elif extent.kind is Kind.DATA:
            for start in range(extent.offset, at, MIB):
                length = min(MIB, at - start)
                found[start : start + length] = source.read(start, length)
    assert at == source.size == len(found)
    return bytes(found)


def sha(data):
    return hashlib.sha256(data).hexdigest()


class BytesReader(StreamReader):
    """A stream in memory, as the vault would give it."""

    def __init__(self, data):
        self._data = data
        self.size = len(data)

    def extents(self):
        step, kinds = 65536, []
        for offset in range(0, self.size, step):
            block = self._data[offset : offset + step]
            kinds.append(Extent(offset, len(block), Kind.DATA if any(block) else Kind.ZERO))
        return kinds

    def read(self, offset, length):
        return self._data[offset : offset + length]

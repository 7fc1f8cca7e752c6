# SPDX-License-Identifier: Apache-2.0
"""How does a test write to the disks of a real QEMU without a guest system, and know what they must hold?

A domain without a kernel runs under a libvirt of the test's own; "the guest writes" is QEMU's monitor writing through
the virtual disk itself, so through everything that hangs above the image (backup filters, overlays). Each completed
write goes into a model of the disk too.

A QEMU that is killed takes with it what it had not flushed: data is in the host's page cache by then, but a qcow2 image
may not know of it yet. Such clusters may fall back to what they were; the model then takes over what the image has.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import libvirt
import libvirt_qemu

from karbor.virt import qemuimg
from karbor.virt.libvirt_connection import ensure_event_loop
from tests.support.content import CLUSTER, Content
from tools.lab import libvirtd

WAIT_SECONDS = 30
MIB = 1 << 20


class Host:
    """A libvirt of the test's own, in a short directory: sockets lie in it."""

    def __init__(self, qemu_user: str = "root") -> None:
        self.root = Path(tempfile.mkdtemp(prefix="kbl-", dir="/tmp"))
        self.qemu_user = qemu_user
        self._lab("start", qemu_user)
        self.uri = libvirtd.uri(self.root)
        ensure_event_loop()
        self._open: libvirt.virConnect | None = None

    def connection(self) -> libvirt.virConnect:
        if self._open is None or not self._open.isAlive():
            self._open = libvirt.open(self.uri)
        return self._open

    def qemu(self, name: str) -> int:
        """The process id of a guest."""
        return libvirtd.qemu_processes(self.root)[name]

    def restart_daemon(self) -> None:
        """Kill libvirtd and start it again; guests and their backup jobs go on meanwhile."""
        os.kill(libvirtd.running(self.root), signal.SIGKILL)
        self._open = None
        self._lab("start", self.qemu_user)

    def stop(self) -> None:
        if self._open is not None:
            self._open.close()
        self._lab("stop")
        shutil.rmtree(self.root)

    def _lab(self, action: str, *more: str) -> None:
        """In a process of its own, so that the daemon is no child of ours that somebody must wait for."""
        program = [sys.executable, libvirtd.__file__, action, str(self.root), *more]
        subprocess.run(program, check=True, timeout=120, stdout=subprocess.DEVNULL)


@dataclass(frozen=True)
class DiskKind:
    """``version`` of qcow2; ``based``: an overlay on a base image with content."""

    name: str
    format: str
    size: int
    version: str = "1.1"
    based: bool = False

    @property
    def tracked(self) -> bool:
        return self.format == "qcow2" and self.version == "1.1"


QCOW2 = DiskKind("qcow2", "qcow2", 12 * MIB)
BASED = DiskKind("qcow2 on a base", "qcow2", 8 * MIB, based=True)
RAW = DiskKind("raw", "raw", 6 * MIB)
OLD = DiskKind("qcow2 v2", "qcow2", 6 * MIB, version="0.10")
LARGE = DiskKind("large qcow2", "qcow2", 5 << 30)


class Guest:
    """A domain with disks and the model of what they hold. Everything is done when a method returns."""

    def __init__(self, host: Host, directory: Path, disks: dict[str, DiskKind]) -> None:
        self.host = host
        self.kinds = disks
        self.paths = {target: str(directory / f"{target}.img") for target in disks}
        self.content = {target: Content(kind.size) for target, kind in disks.items()}
        for target, kind in disks.items():
            self._make(target, kind)
        self.id = str(uuid.uuid4())
        self.name = f"writer-{self.id[:8]}"
        host.connection().defineXML(self._xml())
        self._unflushed: set[tuple[str, int]] = set()

    @property
    def domain(self) -> libvirt.virDomain:
        return self.host.connection().lookupByUUIDString(self.id)

    @property
    def active(self) -> bool:
        return bool(self.domain.isActive())

    def write(self, target: str, offset: int, length: int, byte: int) -> bool:
        """Write ``length`` times ``byte``, in the guest or, where it is off, by another QEMU tool."""
        done = self._io(target, f"write -P {byte} {offset} {length}")
        if done:
            self._note(target, offset, length)
            self.content[target].put(offset, bytes([byte]) * length)
        return done

    def zero(self, target: str, offset: int, length: int, *, unmap: bool) -> bool:
        """Write zeroes; the image may or may not keep room for them."""
        done = self._io(target, f"write -z {'-u ' if unmap else ''}{offset} {length}")
        if done:
            self._note(target, offset, length)
            self.content[target].zero(offset, length)
        return done

    def trim(self, target: str, offset: int, length: int) -> bool:
        """Discard a range, then write zeroes to it: a discard alone is a hint that a backup filter does not pass on."""
        self._io(target, f"discard {offset} {length}")
        return self.zero(target, offset, length, unmap=True)

    def grow(self, target: str, size: int) -> bool:
        """Make a disk larger; False where that is not possible now."""
        if self.active:
            try:
                self.domain.blockResize(target, size, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
            except libvirt.libvirtError:
                return False
        elif not _tool("qemu-img", "resize", "-q", "-f", self._format_now(target), self._path_now(target), str(size)):
            return False
        self.content[target].size = size
        return True

    def start(self, *, paused: bool = True) -> None:
        self.domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED if paused else 0)

    def stop(self) -> None:
        """QEMU ends in order, as after a shutdown of the guest: it stores what it knows in the images."""
        self.domain.destroy()
        self._unflushed.clear()

    def flush(self) -> None:
        """As a guest's fsync: a kill loses nothing of what was written before."""
        for target in self.kinds:
            assert self._io(target, "flush")
        self._unflushed.clear()

    def reset(self) -> None:
        self.domain.reset()

    def kill(self) -> None:
        """SIGKILL to QEMU; returns when libvirt has noticed. The model then holds what is left."""
        os.kill(self.host.qemu(self.name), signal.SIGKILL)
        self._wait_until_off()
        self._take_what_is_left()

    @contextmanager
    def killed_after(self, seconds: float) -> Iterator[None]:
        """SIGKILL to QEMU while the block runs or after it; nothing is lost by it."""
        self.flush()
        killer = threading.Timer(seconds, os.kill, (self.host.qemu(self.name), signal.SIGKILL))
        killer.start()
        try:
            yield
        finally:
            killer.join()
            self._wait_until_off()

    def _wait_until_off(self) -> None:
        pause = threading.Event()
        for _ in range(WAIT_SECONDS * 50):
            if not self.active:
                return
            pause.wait(0.02)
        raise AssertionError("libvirt did not notice that QEMU is gone")

    def settle(self) -> bool:
        """After a restart of libvirtd: wait until it found QEMU again. False where it gave the guest up instead."""
        pause = threading.Event()
        for _ in range(WAIT_SECONDS * 50):
            if not self.active:
                self._take_what_is_left()
                return False
            try:
                libvirt_qemu.qemuMonitorCommand(self.domain, '{"execute": "query-status"}', 0)
                return True
            except libvirt.libvirtError:
                pause.wait(0.02)
        raise AssertionError("libvirtd does not find its guest again")

    def _take_what_is_left(self) -> None:
        for target, content in self.content.items():
            left = self.actual(target)
            lost = {(target, index) for index in left.clusters_unlike(content)}
            assert lost <= self._unflushed, f"{target}: the kill took flushed clusters {sorted(lost - self._unflushed)}"
            self.content[target] = left
        self._unflushed.clear()

    def snapshot(self) -> dict[str, Content]:
        """What all disks must hold now."""
        return {target: content.copy() for target, content in self.content.items()}

    def actual(self, target: str) -> Content:
        """What a disk of the stopped guest holds, read from the image that its definition names."""
        assert not self.active
        with tempfile.TemporaryDirectory(dir=self.host.root) as directory:
            plain = Path(directory) / "plain"
            image = self._path_now(target)
            assert _tool("qemu-img", "convert", "-f", self._format_now(target), "-O", "raw", image, str(plain))
            found = Content(plain.stat().st_size)
            with plain.open("rb") as file:
                offset = 0
                while (start := _seek(file.fileno(), offset, os.SEEK_DATA)) is not None:
                    offset = _seek(file.fileno(), start, os.SEEK_HOLE) or found.size
                    for at in range(start, offset, MIB):
                        found.put(at, os.pread(file.fileno(), min(MIB, offset - at), at))
            return found

    def toggle_pause(self) -> None:
        if self.domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
            self.domain.resume()
        else:
            self.domain.suspend()

    def bitmaps(self) -> list[str]:
        """The names of all bitmaps in the images of the stopped guest."""
        qcow2 = [target for target, kind in self.kinds.items() if kind.format == "qcow2"]
        return [bitmap.name for target in qcow2 for bitmap in qemuimg.info(self._path_now(target), "qcow2").bitmaps]

    def remove(self) -> None:
        if self.active:
            self.domain.destroy()
        self.domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA)
        for path in self.paths.values():
            Path(path).unlink()

    def defined_paths(self) -> dict[str, str]:
        """Target -> path as the persistent definition has it."""
        return {target: self._source_now(target)[0] for target in self.kinds}

    def _note(self, target: str, offset: int, length: int) -> None:
        if self.active:
            last = (offset + length - 1) // CLUSTER
            self._unflushed.update((target, index) for index in range(offset // CLUSTER, last + 1))

    def _path_now(self, target: str) -> str:
        return self._source_now(target)[0]

    def _format_now(self, target: str) -> str:
        return self._source_now(target)[1]

    def _source_now(self, target: str) -> tuple[str, str]:
        root = ET.fromstring(self.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        for disk in root.iter("disk"):
            if disk.find("target").get("dev") == target:
                return disk.find("source").get("file"), disk.find("driver").get("type")
        raise AssertionError(f"no disk {target}")

    def _io(self, target: str, command: str) -> bool:
        if not self.active:
            return _tool(
                "qemu-io", "-f", self._format_now(target), "-d", "unmap", "-c", command, self._path_now(target)
            )
        device = f"/machine/peripheral/ua-{target}/virtio-backend"
        said = libvirt_qemu.qemuMonitorCommand(
            self.domain, f'qemu-io -d {device} "{command}"', libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
        )
        assert not said.strip(), said
        return True

    def _make(self, target: str, kind: DiskKind) -> None:
        path = self.paths[target]
        options = ["-o", f"compat={kind.version}"] if kind.format == "qcow2" else []
        if kind.based:
            base = f"{path}.base"
            assert _tool("qemu-img", "create", "-q", "-f", "qcow2", base, str(kind.size))
            for at in range(0, kind.size, 3 * MIB):
                assert _tool("qemu-io", "-f", "qcow2", "-c", f"write -P 177 {at} {MIB}", base)
                self.content[target].put(at, b"\xb1" * MIB)
            options += ["-b", base, "-F", "qcow2"]
        assert _tool("qemu-img", "create", "-q", "-f", kind.format, *options, path, str(kind.size))

    def _xml(self) -> str:
        disks = "".join(
            f"<disk type='file' device='disk'><driver name='qemu' type='{kind.format}' cache='writeback'"
            f" discard='unmap'/><source file='{self.paths[target]}'/><target dev='{target}' bus='virtio'/>"
            f"<alias name='ua-{target}'/></disk>"
            for target, kind in sorted(self.kinds.items())
        )
        return (
            f"<domain type='qemu'><name>{self.name}</name><uuid>{self.id}</uuid><memory unit='MiB'>16</memory>"
            f"<vcpu>1</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os><devices>"
            f"<emulator>/usr/bin/qemu-system-x86_64</emulator>{disks}<controller type='usb' model='none'/>"
            f"<memballoon model='none'/></devices></domain>"
        )


def _tool(*arguments: str) -> bool:
    """Whether a tool of QEMU did it; it refuses an image that somebody has open."""
    return subprocess.run(arguments, capture_output=True, timeout=60, check=False).returncode == 0


def _seek(handle: int, offset: int, whence: int) -> int | None:
    try:
        return os.lseek(handle, offset, whence)
    except OSError:
        return None

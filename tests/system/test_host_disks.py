# SPDX-License-Identifier: Apache-2.0
"""Are root and ephemeral disk and a volume of a guest of Nova read by a real QEMU in one view, and later only what
changed?

The guest has no system: what it would write is written from QEMU's side. Nova is the one in memory; it reboots the
server hard as the real one does: the domain is destroyed, undefined, and defined anew.
"""

import os
import re
import signal
import subprocess
from pathlib import Path, PurePath

import libvirt
import libvirt_qemu
import pytest

from karbor.virt.libvirt_connection import Connection
from tests.support import guestlab
from tests.support.hostdisks import HostDisks, points
from tools.lab import libvirtd

pytestmark = pytest.mark.libvirt
BLOCK = 65536
SIZE = 8 << 20
_NOVA = "http://openstack.org/xmlns/libvirt/nova/1.1"
_AS_NOVA = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
_HMP = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
_DISK = (
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{path}'/>"
    "<target dev='{target}' bus='virtio'/></disk>"
)
_VOLUME = (
    "<disk type='{kind}' device='disk'><driver name='qemu' type='{form}'/>{source}"
    "<target dev='vda' bus='virtio'/><serial>{serial}</serial></disk>"
)
_FILE = "<source file='{path}'/>"
_NETWORK = "<source protocol='nbd'><host transport='unix' socket='{path}.sock'/></source>"


class QemuHost(HostDisks):
    """A host with a real hypervisor. The images are made over a base, as Nova makes them. The volume is a file of that
    format, or where the server boots from it, on the network."""

    serving = None

    def __init__(self, root, uri, form, **given):
        self.form = form
        self.directory, self.connection = root, Connection(uri).get()
        self._uri = uri
        super().__init__(disks={"vdc": ("disk.eph0", b"")}, ephemeral=1, **given)

    def host(self, disks, driver):
        guestlab.qemu_img("create", "-q", "-f", "raw", f"{self.directory}/base", str(SIZE))
        self.paths = {target: f"{self.directory}/{PurePath(path).name}" for target, (path, _data) in disks.items()}
        for target, path in self.paths.items():
            base = () if target == "vda" else ("-b", f"{self.directory}/base", "-F", "raw")
            guestlab.qemu_img("create", "-q", "-f", "qcow2" if base else self.form, *base, path, str(SIZE))
        if self.from_volume:
            self.serve(self.paths["vda"])
        self.start()
        return guestlab.driver(self._uri, f"{self.directory}/state", scratch_dir=f"{self.directory}/s")

    def serve(self, path):
        """The volume on the network."""
        order = [
            "qemu-nbd",
            "--persistent",
            "--fork",
            "--format=raw",
            f"--socket={path}.sock",
            f"--pid-file={path}.pid",
        ]
        subprocess.run([*order, f"--pid-file={path}.pid", path], check=True)
        self.serving = int(Path(f"{path}.pid").read_text())

    def start(self):
        devices = "".join(
            _DISK.format(path=path, target=target) for target, path in self.paths.items() if target != "vda"
        )
        source = (_NETWORK if self.from_volume else _FILE).format(path=self.paths["vda"])
        kind = "network" if self.from_volume else "file"
        devices += _VOLUME.format(kind=kind, source=source, serial=self.serials["vda"], form=self.form)
        self.domain = self.connection.defineXML(
            f"<domain type='qemu'><name>{self.id[:8]}</name><uuid>{self.id}</uuid><memory>65536</memory><metadata>"
            f"<nova:instance xmlns:nova='{_NOVA}'><nova:name>web</nova:name></nova:instance></metadata>"
            f"<os><type arch='x86_64'>hvm</type></os><devices>{devices}</devices></domain>"
        )
        self.domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)

    def reboot_hard(self):
        self.domain.destroy()
        self.domain.undefineFlags(_AS_NOVA)
        self.start()

    def fill(self, target, number, byte):
        """A block of a disk."""
        told = libvirt_qemu.qemuMonitorCommand(self.domain, "info block", _HMP)
        devices = re.findall(r"Attached to: +(\S+)", told)
        order = f'qemu-io -d {devices[sorted(self.paths).index(target)]} "write -P {byte} {number * BLOCK} {BLOCK}"'
        said = libvirt_qemu.qemuMonitorCommand(self.domain, order, _HMP)
        assert "rror" not in said, said

    def remove(self):
        if self.domain.isActive():
            self.domain.destroy()
        self.domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA)
        if self.serving is not None:
            os.kill(self.serving, signal.SIGTERM)


def image(**blocks):
    """What a disk holds with these blocks filled: ``b3=7`` is the third with sevens."""
    found = bytearray(SIZE)
    for name, byte in blocks.items():
        at = int(name[1:]) * BLOCK
        found[at : at + BLOCK] = bytes([byte]) * BLOCK
    return bytes(found)


def stored(world, found):
    return {
        stream: world.stored[id_]
        for _done, point, _work in found.values()
        for stream, id_ in point.saved.streams.items()
    }


@pytest.fixture(scope="module")
def lab():
    """A libvirt that really runs QEMU, in a place of its own."""
    root = subprocess.check_output(["mktemp", "-d", "/tmp/khd.XXXXXX"], text=True).strip()
    try:
        yield root, guestlab.start_libvirt(f"{root}/lab")
    finally:
        libvirtd.stop(f"{root}/lab")
        subprocess.run(["rm", "-rf", root], check=True)


@pytest.fixture(
    params=[(False, "raw"), (False, "qcow2"), (True, "raw")], ids=["image", "image-and-qcow2-volume", "volume"]
)
def world(request, lab):
    root, uri = lab
    place = Path(root) / request.node.callspec.id
    place.mkdir()
    from_volume, form = request.param
    found = QemuHost(place, uri, form, from_volume=from_volume)
    try:
        yield found
    finally:
        found.remove()


def test_disks_on_the_host_are_read_at_once_and_then_by_what_changed(world):
    names = ["eph0"] if world.from_volume else ["eph0", "image"]
    names.append("volume")
    disks, by = {"eph0": "vdc", "image": "vdb", "volume": "vda"}, {"read": "host"}
    for number, name in enumerate(names, 1):
        world.fill(disks[name], number, number)
    world.fill("vdz", 1, 9)  # swap
    first = world.protected(meanwhile=lambda: [world.fill(disks[name], 7, 7) for name in names], volume=by)
    assert stored(world, first) == {name: image(**{f"b{number}": number}) for number, name in enumerate(names, 1)}

    world.reboot_hard()
    for name in names:
        world.fill(disks[name], 11, 11)
    second = world.protected("t-2", points(first), volume=by)
    assert stored(world, second) == {
        name: image(**{f"b{number}": number, "b7": 7, "b11": 11}) for number, name in enumerate(names, 1)
    }
    assert second.pop("volume")[0].mode == "full"
    told = subprocess.check_output(["qemu-img", "info", "-U", "--output=json", world.paths["vda"]], text=True)
    assert "bitmap" not in told, "nothing of ours stays in a volume"
    assert {done.mode for done, _point, _work in second.values()} == {"incremental"}
    assert {work.done for _done, _point, work in second.values()} == {2 * BLOCK}
    assert world.domain.listAllCheckpoints(0) == []


@pytest.mark.parametrize("world", [(True, "raw")], indirect=True, ids=["alone"])
def test_a_view_of_a_volume_on_the_network_alone(world):
    by = {"volume": {"read": "host"}, "server": {"ephemeral_disks": "no"}}
    world.fill("vda", 1, 1)
    first = world.protected(meanwhile=lambda: world.fill("vda", 7, 7), **by)
    assert stored(world, first) == {"volume": image(b1=1)}
    second = world.protected("t-2", points(first), **by)
    assert stored(world, second) == {"volume": image(b1=1, b7=7)}
    assert world.domain.jobInfo()[0] == libvirt.VIR_DOMAIN_JOB_NONE == len(world.domain.listAllCheckpoints(0))

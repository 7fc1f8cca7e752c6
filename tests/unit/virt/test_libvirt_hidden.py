# SPDX-License-Identifier: Apache-2.0
"""Do increments of a guest of Nova go on, although libvirt knows of no tracker in between? (Real images and QEMU.)

Nova deletes a domain as here: destroyed, then undefined without a word about checkpoints.
"""

import os
import re
import signal
import subprocess
import threading
import time
import uuid

import libvirt
import libvirt_qemu
import pytest

from karbor.sdk.hypervisor import CaptureRequest
from karbor.virt import qemuimg
from karbor.virt.libvirt_connection import Connection
from tests.support import guestlab
from tools.lab import libvirtd

pytestmark = pytest.mark.libvirt
SCOPE = "22222222-bbbb-4000-8000-000000000002"
MIB = 1 << 20
_NOVA = "http://openstack.org/xmlns/libvirt/nova/1.1"
_AS_NOVA = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
_HMP = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP


@pytest.fixture(scope="module")
def lab():
    """A libvirt that really runs QEMU, in a place of its own."""
    root = subprocess.check_output(["mktemp", "-d", "/tmp/klh.XXXXXX"], text=True).strip()
    try:
        yield root, guestlab.start_libvirt(f"{root}/lab")
    finally:
        libvirtd.stop(f"{root}/lab")
        subprocess.run(["rm", "-rf", root], check=True)


class Bench:
    """A guest as Nova makes them: an image over a base. What it does is done to its disk from QEMU's side."""

    def __init__(self, root, uri, directory):
        self.root, self.directory, self.disk = root, directory, directory / "disk"
        guestlab.qemu_img("create", "-q", "-f", "raw", directory / "base", "8M")
        guestlab.qemu_img("create", "-q", "-f", "qcow2", "-b", directory / "base", "-F", "raw", self.disk)
        self.id, self.tokens = str(uuid.uuid4()), iter(f"t-{number}" for number in range(1, 99))
        self.connection = Connection(uri).get()
        self.driver = guestlab.driver(uri, directory / "state", scratch_dir=f"{root}/s")
        self.domain = None
        self.define()

    def define(self):
        self.domain = self.connection.defineXML(
            f"<domain type='qemu'><name>{self.id[:8]}</name><uuid>{self.id}</uuid><memory>65536</memory><metadata>"
            f"<nova:instance xmlns:nova='{_NOVA}'><nova:name>web</nova:name></nova:instance></metadata>"
            "<os><type arch='x86_64'>hvm</type></os><devices><disk type='file' device='disk'>"
            f"<driver name='qemu' type='qcow2'/><source file='{self.disk}'/><target dev='vda' bus='virtio'/>"
            "</disk></devices></domain>"
        )
        self.domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)

    def undefine_as_nova(self):
        self.domain.destroy()
        self.domain.undefineFlags(_AS_NOVA)

    def write(self, offset, byte):
        """64 KiB as the guest would write them."""
        (device,) = re.findall(r"Attached to: +(\S+)", libvirt_qemu.qemuMonitorCommand(self.domain, "info block", _HMP))
        order = f'qemu-io -d {device} "write -P {byte} {offset} 65536"'
        said = libvirt_qemu.qemuMonitorCommand(self.domain, order, _HMP)
        assert "rror" not in said, said

    def kill_qemu(self):
        os.kill(libvirtd.qemu_processes(f"{self.root}/lab")[self.domain.name()], signal.SIGKILL)
        deadline = time.monotonic() + 60
        while self.domain.isActive():
            assert time.monotonic() < deadline
            threading.Event().wait(0.05)

    def known(self):
        return [checkpoint.getName() for checkpoint in self.domain.listAllCheckpoints(0)]

    def bitmaps(self):
        """In the image of a guest that is off."""
        return [bitmap.name for bitmap in qemuimg.info(str(self.disk), "qcow2").bitmaps]

    def notes(self):
        return [path.name for path in (self.directory / "state" / "trackers").glob("*")]

    def backup(self, since=None, base=None):
        """One backup: its token, what the disk holds by the increment, and how much of it was read."""
        token = next(self.tokens)
        found = self.driver.begin(CaptureRequest(self.id, SCOPE, token, ("vda",), {"vda": since} if since else {}))
        assert self.known() == [], "libvirt knows nothing, even while it stands"
        whole, read = guestlab.read_full(self.driver, found, "vda"), None
        if base is not None and found.disk("vda").since is not None:
            merged, read = guestlab.read_increment(self.driver, found, "vda", base)
            assert merged == whole
        self.driver.end(found)
        self.driver.keep(self.id, SCOPE, token)
        assert self.known() == [] and len(self.notes()) == 1
        return token, whole, read


@pytest.fixture
def bench(lab, tmp_path):
    found = Bench(*lab, tmp_path)
    yield found
    for domain in found.connection.listAllDomains():
        if domain.isActive():
            domain.destroy()
        domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA)


def test_increments_go_on_through_a_hard_reboot_and_the_server_can_be_deleted(bench):
    first, base, _read = bench.backup()
    bench.write(MIB, 1)
    second, base, read = bench.backup(first, base)
    assert read == 65536 and base[MIB] == 1
    bench.write(2 * MIB, 2)
    bench.undefine_as_nova()
    bench.define()
    bench.write(3 * MIB, 3)
    third, base, read = bench.backup(second, base)
    assert read == 2 * 65536 and (base[2 * MIB], base[3 * MIB]) == (2, 3)
    bench.domain.destroy()
    assert bench.bitmaps() == [f"karbor-22222222-{third}"]
    _token, _whole, read = bench.backup(third, base)  # of the stopped guest
    assert read == 0
    bench.domain.undefineFlags(_AS_NOVA)


def test_a_server_that_is_deleted_in_a_backup_is_gone(bench):
    bench.driver.begin(CaptureRequest(bench.id, SCOPE, "t-0", ("vda",)))
    bench.undefine_as_nova()
    bench.driver.discard(bench.id, SCOPE, "t-0")
    bench.disk.unlink()
    assert any("forgotten" in line for line in bench.driver.recover(lambda *_: False))
    assert bench.notes() == []


def test_bitmaps_of_a_qemu_that_was_killed_are_not_trusted_and_go(bench):
    first, base, _read = bench.backup()
    bench.domain.destroy()
    bench.domain.create()
    bench.kill_qemu()
    bench.domain.create()
    second, base, read = bench.backup(first, base)
    assert read is None
    bench.domain.destroy()
    assert bench.bitmaps() == [f"karbor-22222222-{second}"]


def test_a_backup_that_failed_leaves_the_older_tracker(bench):
    first, base, _read = bench.backup()
    bench.write(MIB, 1)
    bench.driver.begin(CaptureRequest(bench.id, SCOPE, "t-0", ("vda",), {"vda": first}))
    bench.driver.discard(bench.id, SCOPE, "t-0")
    assert bench.known() == [] and len(bench.notes()) == 1
    _token, _whole, read = bench.backup(first, base)
    assert read == 65536


def test_a_start_hides_what_a_dead_worker_left_to_be_seen(bench):
    order = "<domaincheckpoint><name>karbor-22222222-t-0</name></domaincheckpoint>"
    bench.domain.checkpointCreateXML(order, 0)
    assert any("hidden" in line for line in bench.driver.recover(lambda *_: True))
    assert bench.known() == []
    bench.driver.discard(bench.id, SCOPE, "t-0")
    assert bench.notes() == []
    bench.domain.destroy()
    assert bench.bitmaps() == []

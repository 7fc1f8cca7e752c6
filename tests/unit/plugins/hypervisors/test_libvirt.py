# SPDX-License-Identifier: Apache-2.0
"""Does the driver keep its contract for stopped guests? (Real images; a private libvirt keeps the domains.)"""

import subprocess
import uuid

import libvirt
import pytest

from karbor.model import errors
from karbor.sdk.hypervisor import Capture, CaptureRequest, NewDomain
from karbor.virt import qemuimg
from karbor.virt.libvirt_connection import Connection
from tests.support import guestlab

pytestmark = pytest.mark.libvirt
SCOPE = "22222222-bbbb-4000-8000-000000000002"
MIB = 1 << 20


def write(path, offset, byte):
    """64 KiB of one byte, through QEMU, so that bitmaps take note."""
    subprocess.run(
        ["qemu-io", "-f", "qcow2", "-c", f"write -q -P {byte} {offset} 64k", str(path)], check=True, capture_output=True
    )


class Bench:
    def __init__(self, uri, directory):
        self.uri, self.directory = uri, directory
        self.qcow2, self.raw, self.old = directory / "a.qcow2", directory / "b.img", directory / "c.qcow2"
        guestlab.qemu_img("create", "-q", "-f", "qcow2", self.qcow2, "4M")
        guestlab.qemu_img("create", "-q", "-f", "raw", self.raw, "1M")
        guestlab.qemu_img("create", "-q", "-f", "qcow2", "-o", "compat=0.10", self.old, "1M")
        self.driver = self.new_driver()
        self.connection = Connection(self.uri).get()
        self.domain = self.connection.defineXML(self.xml())
        self.id = self.domain.UUIDString()

    def new_driver(self):
        return guestlab.driver(self.uri, self.directory / "state", scratch_dir=str(self.directory / "s"))

    def xml(self):
        disks = "".join(
            f"<disk type='file' device='disk'><driver name='qemu' type='{form}'/><source file='{path}'/>"
            f"<target dev='{target}'/></disk>"
            for target, path, form in (
                ("vda", self.qcow2, "qcow2"),
                ("vdb", self.raw, "raw"),
                ("vdc", self.old, "qcow2"),
            )
        )
        return (
            f"<domain type='qemu'><name>off</name><uuid>{uuid.uuid4()}</uuid><memory>65536</memory>"
            f"<os><type arch='x86_64'>hvm</type></os><devices>{disks}</devices></domain>"
        )

    def begin(self, token, since=None, targets=("vda", "vdb", "vdc"), driver=None):
        every = dict.fromkeys(targets, since) if since else {}
        return (driver or self.driver).begin(CaptureRequest(self.id, SCOPE, token, targets, every))

    def finish(self, capture):
        self.driver.end(capture)
        self.driver.keep(self.id, SCOPE, capture.token)

    def bitmaps(self):
        return [bitmap.name for bitmap in qemuimg.info(str(self.qcow2), "qcow2").bitmaps]

    def checkpoints(self):
        return [checkpoint.getName() for checkpoint in self.domain.listAllCheckpoints(0)]

    def scratch(self):
        return list((self.directory / "s").iterdir())


@pytest.fixture
def bench(private_libvirt, tmp_path):
    found = Bench(private_libvirt, tmp_path)
    yield found
    for domain in found.connection.listAllDomains():
        domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA)


def test_a_domain_tells_its_disks_and_what_can_be_tracked(bench):
    info = bench.driver.domain(bench.id)
    assert (info.name, info.state) == ("off", "shut off")
    assert [(disk.target, disk.format, disk.tracked) for disk in info.disks] == [
        ("vda", "qcow2", True),
        ("vdb", "raw", False),
        ("vdc", "qcow2", False),
    ]
    assert bench.id in [found.id for found in bench.driver.domains()]


def test_increments_of_a_stopped_guest_hold_what_was_written(bench):
    write(bench.qcow2, 0, 1)
    first = bench.begin("t-1")
    assert Capture.from_dict(first.to_dict()) == first
    base = guestlab.read_full(bench.driver, first, "vda")
    bench.finish(first)
    write(bench.qcow2, MIB, 2)
    second = bench.begin("t-2", "t-1")
    assert (second.disk("vda").since, second.disk("vda").since_view) == ("t-1", first.view)
    assert second.disk("vdb").since is None and second.disk("vdc").since is None
    merged, read = guestlab.read_increment(bench.driver, second, "vda", base)
    assert (read, merged) == (65536, guestlab.read_full(bench.driver, second, "vda"))
    assert merged[MIB] == 2 and merged[0] == 1
    bench.finish(second)
    assert bench.checkpoints() == bench.bitmaps() == ["karbor-22222222-t-2"]
    bench.driver.discard(bench.id, SCOPE, "t-2")
    assert bench.checkpoints() == bench.bitmaps() == bench.scratch() == []


def test_a_bitmap_that_is_gone_or_a_tracker_that_is_gone_means_a_full_read(bench):
    bench.finish(bench.begin("t-1"))
    qemuimg.remove_bitmap(str(bench.qcow2), "karbor-22222222-t-1")
    second = bench.begin("t-2", "t-1")
    assert second.disk("vda").since is None and "unusable" in second.disk("vda").why_full
    bench.finish(second)
    bench.domain.listAllCheckpoints(0)[0].delete(libvirt.VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY)
    third = bench.begin("t-3", "t-2")
    assert third.disk("vda").since is None and "missing" in third.disk("vda").why_full
    bench.driver.discard(bench.id, SCOPE, "t-3")


def test_an_image_that_is_written_to_while_it_is_read_loses_the_capture(bench):
    capture = bench.begin("t-1")
    with pytest.raises(errors.CaptureLost), bench.driver.source(capture, "vda") as source:
        write(bench.qcow2, 0, 7)
        source.read(0, 4096)
    with pytest.raises(errors.CaptureLost), bench.driver.source(capture, "vda"):
        raise AssertionError("a lost view must not open")
    again = bench.begin("t-1")
    assert again.view != capture.view
    assert guestlab.read_full(bench.driver, again, "vda")[0] == 7
    bench.driver.discard(bench.id, SCOPE, "t-1")


def test_another_process_finds_the_capture_or_clears_it_away(bench):
    capture = bench.begin("t-1")
    other = bench.new_driver()
    assert other.recover(lambda scope, token: (scope, token) == (SCOPE, "t-1")) == []
    assert bench.begin("t-1", driver=other) == capture
    lines = bench.new_driver().recover(lambda _scope, _token: False)
    assert lines and bench.scratch() == bench.checkpoints() == bench.bitmaps() == []
    assert bench.new_driver().recover(lambda _scope, _token: False) == []


def test_a_wanted_capture_of_another_plan_is_a_conflict_and_a_dead_one_is_not(bench):
    bench.begin("t-1")
    other = bench.new_driver()
    other.recover(lambda _scope, token: token == "t-1")
    with pytest.raises(errors.Conflict):
        bench.begin("t-2", driver=other)
    other = bench.new_driver()
    assert bench.begin("t-2", driver=other).token == "t-2"
    assert bench.checkpoints() == ["karbor-22222222-t-2"]
    other.discard(bench.id, SCOPE, "t-2")


def test_everything_may_be_called_for_what_is_not_there(bench):
    gone = str(uuid.uuid4())
    capture = bench.begin("t-1")
    for _ in range(2):
        bench.driver.end(capture)
        bench.driver.keep(gone, SCOPE, "t-1")
        bench.driver.discard(gone, SCOPE, "t-1")
        bench.driver.undefine(gone)
        bench.driver.remove_disk(str(bench.directory / "none.img"))
    with pytest.raises(errors.ResourceNotFound):
        bench.driver.begin(CaptureRequest(gone, SCOPE, "t-1", ("vda",)))


def test_no_room_no_disk_and_a_missing_image_are_said_clearly(bench):
    poor = guestlab.driver(
        bench.uri, bench.directory / "state", scratch_dir=str(bench.directory / "s"), scratch_reserve_mib=1 << 40
    )
    with pytest.raises(errors.Unavailable, match="no room"):
        bench.begin("t-1", driver=poor)
    with pytest.raises(errors.InvalidInput, match="vdz"):
        bench.begin("t-1", targets=("vdz",))
    with pytest.raises(errors.InvalidInput):
        bench.begin("t-1", targets=())
    assert bench.scratch() == bench.checkpoints() == bench.bitmaps() == []
    blocked = guestlab.driver(bench.uri, bench.directory, scratch_dir=str(bench.raw / "s"))
    with pytest.raises(errors.ConfigurationError):
        bench.begin("t-1", driver=blocked)


def test_restored_disks_become_a_domain(bench):
    write(bench.qcow2, 0, 9)
    capture = bench.begin("t-1", targets=("vda",))
    data = guestlab.read_full(bench.driver, capture, "vda")
    bench.driver.discard(bench.id, SCOPE, "t-1")
    path = bench.driver.target_path(directory=str(bench.directory), pool=None, name="new.qcow2")
    done = []
    for _ in range(2):
        bench.driver.write_disk(path, "qcow2", guestlab.BytesReader(data), done.append)
    assert sum(done) == 2 * len(data)
    new = NewDomain({"vda": (path, "qcow2")}, name="copy", uuid=str(uuid.uuid4()))
    assert bench.driver.define(capture.definition, new) == new.uuid
    assert [(disk.target, disk.path) for disk in bench.driver.domain(new.uuid).disks] == [("vda", path)]
    changed = data[:4096] + b"set back" + data[4104:]
    bench.driver.overwrite_disk(path, "qcow2", guestlab.BytesReader(changed), done.append)
    assert qemuimg.info(path, "qcow2").virtual_size == len(changed) and sum(done) == 3 * len(data)
    for _ in range(2):
        bench.driver.start(new.uuid)
    assert bench.driver.domain(new.uuid).state == "running"
    with pytest.raises(errors.Conflict, match="in use"):
        bench.driver.overwrite_disk(path, "qcow2", guestlab.BytesReader(data), done.append)
    bench.connection.lookupByUUIDString(new.uuid).destroy()
    bench.connection.lookupByUUIDString(new.uuid).undefine()
    bench.driver.remove_disk(path)
    assert not (bench.directory / "new.qcow2").exists()


def test_the_settings_say_what_they_are():
    schema = type(guestlab.driver("qemu:///system", "/nonexistent")).Settings.schema()
    assert all(entry["description"] for entry in schema["properties"].values())
    assert schema["properties"]["uri"]["default"] == "qemu:///system"

# SPDX-License-Identifier: Apache-2.0
"""Does the libvirt driver keep its contract with a real libvirt, a real QEMU and a real guest?

One guest with three disks (qcow2 with ext4 on a base image, qcow2, raw) serves all tests; each uses a scope of its
own, so trackers do not mix. A full read of the same frozen view is what every increment is compared with, and for disks
that the guest does not write to, the hash taken inside it.
"""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import libvirt
import libvirt_qemu
import pytest

from karbor.model import errors
from karbor.sdk.hypervisor import CaptureRequest, NewDomain
from karbor.virt import qemuimg
from tests.support import guestlab
from tests.support.guestlab import TARGETS
from tools.lab import guest, libvirtd

pytestmark = pytest.mark.libvirt
SMALL_MIB = 32


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A private libvirt with one running guest; a small file system for scratch; all gone afterwards."""
    root = Path(subprocess.check_output(["mktemp", "-d", "/tmp/kl.XXXXXX"], text=True).strip())
    small = root / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_MIB}M", "tmpfs", str(small)], check=True)
    try:
        uri = guestlab.start_libvirt(root / "lab")
        yield Bench(root, uri)
    finally:
        libvirtd.stop(root / "lab")
        subprocess.run(["umount", "-l", str(small)], check=False)
        subprocess.run(["rm", "-rf", str(root)], check=False)


class Bench:
    def __init__(self, root, uri):
        self.root, self.uri = root, uri
        self.guest_dir = guestlab.guest_files(root / "guest")
        self.connection = guest.connect(uri)
        self.driver = guestlab.driver(uri, root / "state")
        self._guest = None

    @property
    def guest(self):
        """The guest, booted and answering."""
        if self._guest is None:
            disks = guestlab.make_disks(self.root / "disks")
            machine = guest.Machine("g1", self.guest_dir, disks)
            self._guest = guest.define(self.connection, machine)
        self._guest.start()
        self._guest.wait_ready()
        return self._guest

    def request(self, scope, token, since=(), *, targets=TARGETS, **rest):
        return CaptureRequest(self.guest.id, scope, token, targets, dict(since), **rest)

    def begin(self, scope, token, since=None, **rest):
        every = dict.fromkeys(TARGETS, since) if since else {}
        return self.driver.begin(self.request(scope, token, every, **rest))

    def reconnect(self):
        self.connection = guest.connect(self.uri)
        self._guest = guest.find(self.connection, "g1")

    def paths(self):
        return [str(path) for path in self.guest.image_paths()]

    def kill_qemu(self):
        """As if the host had lost it: no chance to save bitmaps."""
        os.kill(libvirtd.qemu_processes(self.root / "lab")["g1"], signal.SIGKILL)
        wait_for(lambda: not self.guest_domain().isActive())

    def guest_domain(self):
        return self.connection.lookupByName("g1")

    def leftovers(self):
        return sorted(path.name for path in self.driver._host.scratch_dir.glob("*"))


def wait_for(done, seconds=30):
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


def answers(domain):
    """Whether the agent says something within a second."""
    try:
        libvirt_qemu.qemuAgentCommand(domain, '{"execute": "guest-ping"}', 1, 0)
    except libvirt.libvirtError:
        return False
    return True


def hash_inside(the_guest, target):
    return the_guest.run(f"sha256sum /dev/{target}").split()[0]


def write_in_background(the_guest):
    """Keep writing to the mounted disk; returns a way to stop."""
    the_guest.run(
        "rm -f /tmp/stop; (while [ ! -e /tmp/stop ]; do dd if=/dev/urandom of=/mnt/vda/w bs=64k count=4 conv=fsync;"
        " usleep 100000; done) >/dev/null 2>&1 </dev/null & echo started"
    )
    return lambda: the_guest.run("touch /tmp/stop; sleep 0.3; sync")


def test_increments_of_three_disks_equal_the_frozen_view_while_the_guest_writes(bench):
    stop = write_in_background(bench.guest)
    bench.guest.run("dd if=/dev/urandom of=/dev/vdb bs=1M count=4 seek=3 conv=fsync")
    bench.guest.run("dd if=/dev/urandom of=/dev/vdc bs=1M count=4 seek=5 conv=fsync")
    views, since, last = {}, None, None
    for turn in range(3):
        token = f"inc-{turn}"
        bench.guest.run(f"dd if=/dev/urandom of=/dev/vdb bs=64k count=8 seek={turn * 9} conv=fsync")
        bench.guest.run(f"dd if=/dev/urandom of=/dev/vdc bs=64k count=8 seek={turn * 7} conv=fsync")
        expected = {target: hash_inside(bench.guest, target) for target in ("vdb", "vdc")}
        capture = bench.begin("scope-increments", token, since)
        assert capture.method == "bitmap"
        for target in TARGETS:
            full = guestlab.read_full(bench.driver, capture, target)
            if turn and target != "vdc":
                assert (capture.disk(target).since, capture.disk(target).since_view) == (since, last.view)
                merged, read = guestlab.read_increment(bench.driver, capture, target, views[target])
                assert guestlab.sha(merged) == guestlab.sha(full)
                assert read < len(full) // 4
            else:
                assert capture.disk(target).since is None
            if target in expected:
                assert guestlab.sha(full) == expected[target]
            views[target] = full
        bench.driver.end(capture)
        bench.driver.keep(bench.guest.id, "scope-increments", token)
        since, last = token, capture
    stop()
    assert bench.leftovers() == []
    bench.driver.keep(bench.guest.id, "scope-increments", "none")
    assert bench.guest_domain().listAllCheckpoints() == []


def test_begin_again_with_the_same_token_finds_the_same_capture(bench):
    first = bench.begin("scope-again", "again-1")
    assert bench.begin("scope-again", "again-1") == first
    with pytest.raises(errors.Conflict):
        bench.begin("scope-again", "again-2")
    with pytest.raises(errors.Conflict):
        bench.begin("scope-other", "again-3")
    bench.driver.discard(bench.guest.id, "scope-again", "again-1")
    bench.driver.discard(bench.guest.id, "scope-again", "again-1")
    with pytest.raises(errors.CaptureLost):
        guestlab.read_full(bench.driver, first, "vda")
    assert bench.leftovers() == [] and bench.guest_domain().listAllCheckpoints() == []


def test_a_freeze_is_recorded_and_the_guest_is_thawed(bench):
    bench.guest.run("rm -f /run/hook.log")
    capture = bench.begin("scope-freeze", "frozen-1", quiesce="required")
    assert capture.consistency == "filesystem"
    bench.driver.discard(bench.guest.id, "scope-freeze", "frozen-1")
    assert [line.split()[0] for line in bench.guest.run("cat /run/hook.log").splitlines()] == ["freeze", "thaw"]
    capture = bench.begin("scope-freeze", "frozen-2", quiesce="no")
    assert capture.consistency == "crash"
    bench.driver.discard(bench.guest.id, "scope-freeze", "frozen-2")
    assert len(bench.guest.run("cat /run/hook.log").splitlines()) == 2


def test_a_guest_is_held_for_one_at_a_time_and_thawed_in_time_by_the_watchdog(bench):
    holder, other = bench.driver, guestlab.driver(bench.uri, bench.root / "other", hold_seconds=1)
    guest_id = bench.guest.id
    assert holder.freeze(guest_id, "hold-1").held
    assert bench.guest.agent("guest-fsfreeze-status") == "frozen"
    second = other.freeze(guest_id, "hold-2")
    assert not second.held and "frozen" in second.reason
    assert not other.thaw(guest_id, "hold-2").held
    assert bench.guest.agent("guest-fsfreeze-status") == "frozen"
    assert holder.thaw(guest_id, "hold-1").held

    assert other.freeze(guest_id, "hold-3").held
    wait_for(lambda: bench.guest.agent("guest-fsfreeze-status") == "thawed")
    found = other.thaw(guest_id, "hold-3")
    assert not found.held and "held for 1 s at most" in found.reason
    assert bench.leftovers() == []


def test_a_required_freeze_that_is_not_possible_fails_and_leaves_nothing(bench):
    bench.guest.run(
        "(sleep 1; kill -STOP $(cat /run/qga.pid); sleep 8; kill -CONT $(cat /run/qga.pid))"
        " >/dev/null 2>&1 </dev/null &"
    )
    wait_for(lambda: not answers(bench.guest_domain()))
    quick = guestlab.driver(bench.uri, bench.root / "state", freeze_seconds=2)
    with pytest.raises(errors.StepFailed) as caught:
        quick.begin(CaptureRequest(bench.guest_domain().UUIDString(), "scope-f", "f-1", TARGETS, quiesce="required"))
    assert "frozen" in caught.value.message
    assert bench.leftovers() == [] and bench.guest_domain().listAllCheckpoints() == []
    bench.guest.run("true")


def test_after_qemu_was_killed_the_disks_are_read_in_full_and_the_next_increment_works(bench):
    capture = bench.begin("scope-killed", "k-1")
    bench.driver.end(capture)
    bench.driver.keep(bench.guest.id, "scope-killed", "k-1")
    bench.kill_qemu()
    expected = hash_inside(bench.guest, "vdb")
    capture = bench.begin("scope-killed", "k-2", "k-1")
    for target in TARGETS:
        assert capture.disk(target).since is None and capture.disk(target).why_full
    assert guestlab.sha(guestlab.read_full(bench.driver, capture, "vdb")) == expected
    views = {target: guestlab.read_full(bench.driver, capture, target) for target in ("vda", "vdb")}
    bench.driver.end(capture)
    bench.driver.keep(bench.guest.id, "scope-killed", "k-2")
    bench.guest.run("dd if=/dev/urandom of=/dev/vdb bs=64k count=8 conv=fsync; sync")
    capture = bench.begin("scope-killed", "k-3", "k-2")
    for target, base in views.items():
        merged, _read = guestlab.read_increment(bench.driver, capture, target, base)
        assert guestlab.sha(merged) == guestlab.sha(guestlab.read_full(bench.driver, capture, target))
    bench.driver.discard(bench.guest.id, "scope-killed", "k-3")
    bench.driver.discard(bench.guest.id, "scope-killed", "k-2")
    assert bench.guest_domain().listAllCheckpoints() == []


def test_a_snapshot_capture_puts_the_guest_back_on_its_own_images(bench):
    before = bench.paths()
    bench.guest.run("dd if=/dev/urandom of=/dev/vdc bs=1M count=3 conv=fsync; sync")
    expected = {target: hash_inside(bench.guest, target) for target in ("vdb", "vdc")}
    capture = bench.begin("scope-snap", "s-1", method="snapshot")
    assert capture.method == "snapshot"
    assert bench.begin("scope-snap", "s-1", method="snapshot") == capture
    bench.guest.run("dd if=/dev/urandom of=/dev/vdb bs=1M count=2 conv=fsync; echo new > /mnt/vda/new; sync")
    for target, digest in expected.items():
        assert guestlab.sha(guestlab.read_full(bench.driver, capture, target)) == digest
    after = hash_inside(bench.guest, "vdb")
    bench.driver.end(capture)
    bench.driver.end(capture)
    assert bench.paths() == before and bench.leftovers() == []
    assert hash_inside(bench.guest, "vdb") == after
    assert bench.guest.run("cat /mnt/vda/new") == "new\n"


def test_bitmaps_stay_right_across_a_snapshot_capture(bench):
    capture = bench.begin("scope-mixed", "m-1")
    views = {target: guestlab.read_full(bench.driver, capture, target) for target in ("vda", "vdb")}
    bench.driver.end(capture)
    capture = bench.begin("scope-snap", "s-2", method="snapshot")
    bench.guest.run("dd if=/dev/urandom of=/dev/vdb bs=64k count=4 seek=70 conv=fsync")
    bench.driver.end(capture)
    capture = bench.begin("scope-mixed", "m-2", "m-1")
    for target, base in views.items():
        assert capture.disk(target).since == "m-1"
        merged, _read = guestlab.read_increment(bench.driver, capture, target, base)
        assert guestlab.sha(merged) == guestlab.sha(guestlab.read_full(bench.driver, capture, target))
    bench.driver.discard(bench.guest.id, "scope-mixed", "m-2")
    bench.driver.discard(bench.guest.id, "scope-mixed", "m-1")


def test_scratch_that_runs_full_costs_the_capture_and_not_the_guest(bench):
    small = guestlab.driver(
        bench.uri, bench.root / "state2", scratch_dir=str(bench.root / "small" / "s"), scratch_reserve_mib=16
    )
    fill = "yes {} | dd of=/dev/vdb bs=1M count=44 iflag=fullblock conv=fsync"
    bench.guest.run(fill.format("old"))  # only blocks that hold something must be kept when they are overwritten
    for method in ("bitmap", "snapshot"):
        token = f"full-{method}"
        capture = small.begin(bench.request("scope-small", token, method=method))
        bench.guest.run(fill.format(method) + "; echo alive > /mnt/vda/alive; sync")
        assert bench.guest.run("cat /mnt/vda/alive") == "alive\n"
        wait_for(lambda token=token: not small._captures.guard._watched)
        with pytest.raises(errors.CaptureLost) as caught:
            guestlab.read_full(small, capture, "vdb")
        assert "scratch" in caught.value.detail
        small.discard(bench.guest.id, "scope-small", token)
        assert list((bench.root / "small" / "s").iterdir()) == []
    assert bench.guest_domain().listAllCheckpoints() == []


CHILD = """
    import sys, threading
    from karbor.sdk.hypervisor import CaptureRequest
    from tests.support import guestlab
    uri, state_dir, domain_id, method, token = sys.argv[1:]
    driver = guestlab.driver(uri, state_dir)
    driver.begin(CaptureRequest(domain_id, "scope-dead", token, guestlab.TARGETS, method=method))
    print("standing", flush=True)
    threading.Event().wait()
"""


@pytest.mark.parametrize("method", ["bitmap", "snapshot"])
def test_what_a_killed_process_left_is_cleaned_up_or_used_again(bench, method):
    before, state_dir = bench.paths(), bench.root / f"dead-{method}"
    arguments = [bench.uri, str(state_dir), bench.guest.id, method, "dead-1"]
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), *arguments], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "standing\n"
    child.kill()
    child.wait()
    child.stdout.close()
    second = guestlab.driver(bench.uri, state_dir)
    assert second.recover(lambda scope, token: (scope, token) == ("scope-dead", "dead-1")) == []
    capture = second.begin(CaptureRequest(bench.guest.id, "scope-dead", "dead-1", TARGETS, method=method))
    assert guestlab.sha(guestlab.read_full(second, capture, "vdb")) == hash_inside(bench.guest, "vdb")
    third = guestlab.driver(bench.uri, state_dir)
    (state_dir / "scratch" / f"karbor-{bench.guest.id}.frozen").write_text("")
    lines = third.recover(lambda _scope, _token: False)
    assert any("thawed" in line for line in lines) and any("capture removed" in line for line in lines)
    assert list((state_dir / "scratch").iterdir()) == []
    assert bench.paths() == before and bench.guest_domain().listAllCheckpoints() == []
    with pytest.raises(errors.CaptureLost):
        guestlab.read_full(second, capture, "vdb")


def test_a_restored_domain_boots_beside_the_old_one(bench):
    bench.guest.run("echo kept > /mnt/vda/kept; sync")
    capture = bench.begin("scope-restore", "r-1", quiesce="required")
    views = {target: guestlab.read_full(bench.driver, capture, target) for target in TARGETS}
    bench.driver.end(capture)
    bench.driver.discard(bench.guest.id, "scope-restore", "r-1")
    place = bench.root / "restored"
    place.mkdir()
    disks = {}
    for target, image_format in (("vda", "qcow2"), ("vdb", "raw"), ("vdc", "qcow2")):
        path = bench.driver.target_path(directory=str(place), pool=None, name=f"copy-{target}.{image_format}")
        bench.driver.write_disk(path, image_format, guestlab.BytesReader(views[target]), lambda _nbytes: None)
        disks[target] = (path, image_format)
    with pytest.raises(errors.Conflict):
        bench.driver.target_path(directory=str(place), pool=None, name="copy-vda.qcow2")
    new = NewDomain(disks, name="copy", uuid="6f0c2f5e-26ac-4f7d-9a3b-6cc0f2d0a001", new_macs=True, start=True)
    with pytest.raises(errors.Conflict):
        bench.driver.define(capture.definition, NewDomain(disks, name="g1", uuid=new.uuid))
    assert bench.driver.define(capture.definition, new) == new.uuid
    assert bench.driver.define(capture.definition, new) == new.uuid
    copy = guest.find(bench.connection, "copy")
    copy.wait_ready()
    assert copy.run("cat /mnt/vda/kept") == "kept\n"
    assert hash_inside(copy, "vdb") == guestlab.sha(views["vdb"])
    bench.driver.undefine(new.uuid)
    bench.driver.undefine(new.uuid)
    assert guest.find(bench.connection, "copy") is None and Path(disks["vda"][0]).exists()


def test_a_stopped_guest_is_read_from_its_images_and_increments_go_on_across_starts(bench):
    bench.guest.run("sync")
    bench.guest.destroy()
    domain_id = bench.guest_domain().UUIDString()

    def begin(token, since=None):
        every = dict.fromkeys(TARGETS, since) if since else {}
        return bench.driver.begin(CaptureRequest(domain_id, "scope-off", token, TARGETS, every))

    capture = begin("o-1")
    assert (capture.method, capture.consistency) == ("offline", "crash")
    assert begin("o-1") == capture
    views = {target: guestlab.read_full(bench.driver, capture, target) for target in TARGETS}
    bench.driver.end(capture)
    bench.driver.keep(domain_id, "scope-off", "o-1")
    capture = begin("o-2", "o-1")
    merged, read = guestlab.read_increment(bench.driver, capture, "vdb", views["vdb"])
    assert (merged, read, capture.disk("vdb").since) == (views["vdb"], 0, "o-1")
    bench.driver.end(capture)
    bench.driver.keep(domain_id, "scope-off", "o-2")
    bench.guest.run("dd if=/dev/urandom of=/dev/vdb bs=64k count=8 seek=100 conv=fsync; sync")
    capture = begin("o-3", "o-2")
    assert (capture.method, capture.disk("vda").since) == ("bitmap", "o-2")
    for target in ("vda", "vdb"):
        merged, _read = guestlab.read_increment(bench.driver, capture, target, views[target])
        views[target] = guestlab.read_full(bench.driver, capture, target)
        assert guestlab.sha(merged) == guestlab.sha(views[target])
    bench.driver.end(capture)
    bench.driver.keep(domain_id, "scope-off", "o-3")
    bench.guest.destroy()
    capture = begin("o-4", "o-3")
    merged, _read = guestlab.read_increment(bench.driver, capture, "vdb", views["vdb"])
    assert guestlab.sha(merged) == guestlab.sha(guestlab.read_full(bench.driver, capture, "vdb"))
    bench.driver.discard(domain_id, "scope-off", "o-4")
    bench.driver.discard(domain_id, "scope-off", "o-3")
    assert qemuimg.info(str(bench.root / "disks" / "vdb.qcow2"), "qcow2").bitmaps == ()
    assert bench.leftovers() == []


def test_a_stopped_guest_that_is_started_while_it_is_read_costs_the_capture_and_not_the_guest(bench):
    bench.guest.run("sync")
    bench.guest.destroy()
    domain_id = bench.guest_domain().UUIDString()
    capture = bench.driver.begin(CaptureRequest(domain_id, "scope-start", "t-1", TARGETS))
    with pytest.raises(errors.CaptureLost):
        with bench.driver.source(capture, "vdb") as source:
            source.read(0, 65536)
            bench.guest.run("dd if=/dev/urandom of=/dev/vdb bs=1M count=1 conv=fsync")
            source.read(0, 65536)
    bench.driver.discard(domain_id, "scope-start", "t-1")
    assert bench.guest_domain().listAllCheckpoints() == []


def test_qemu_killed_under_a_snapshot_capture_leaves_the_guest_whole(bench):
    before = bench.paths()
    capture = bench.begin("scope-snapkill", "sk-1", method="snapshot")
    bench.guest.run("dd if=/dev/urandom of=/dev/vdb bs=1M count=2 conv=fsync; echo late > /mnt/vda/late; sync")
    expected = hash_inside(bench.guest, "vdb")
    bench.kill_qemu()
    bench.driver.end(capture)
    assert bench.paths() == before and bench.leftovers() == []
    assert hash_inside(bench.guest, "vdb") == expected
    assert bench.guest.run("cat /mnt/vda/late") == "late\n"


def test_a_libvirt_that_is_restarted_costs_no_capture(bench):
    capture = bench.begin("scope-daemon", "d-1")
    expected = hash_inside(bench.guest, "vdb")
    with bench.driver.source(capture, "vdb") as source:
        source.read(0, 65536)
        os.kill(libvirtd.running(bench.root / "lab"), signal.SIGKILL)
        guestlab.start_libvirt(bench.root / "lab")
        source.read(65536, 65536)
    assert guestlab.sha(guestlab.read_full(bench.driver, capture, "vdb")) == expected
    bench.driver.end(capture)
    bench.reconnect()
    bench.driver.discard(bench.guest.id, "scope-daemon", "d-1")
    assert bench.leftovers() == [] and bench.guest_domain().listAllCheckpoints() == []


def test_a_domain_or_disk_that_is_not_there_is_said_clearly(bench):
    with pytest.raises(errors.ResourceNotFound):
        bench.driver.domain("6f0c2f5e-26ac-4f7d-9a3b-6cc0f2d0affe")
    with pytest.raises(errors.ResourceNotFound):
        bench.driver.domain("no uuid")
    with pytest.raises(errors.InvalidInput):
        bench.driver.begin(bench.request("scope-x", "x-1", targets=("vdz",)))
    with pytest.raises(errors.HypervisorUnavailable):
        guestlab.driver("qemu+unix:///system?socket=/nonexistent/sock", bench.root / "state").domains()

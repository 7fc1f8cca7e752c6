# SPDX-License-Identifier: Apache-2.0
"""What is still asked of libvirt after it said no, and whose is a backup job?"""

from pathlib import Path

import libvirt
import pytest

from karbor.model import errors
from karbor.sdk.hypervisor import DiskInfo
from karbor.virt import libvirt_bitmap
from karbor.virt.libvirt_bitmap import Job, PullPlan
from karbor.virt.libvirt_names import CaptureFiles

DISKS = [DiskInfo(target, f"/d/{target}", "qcow2", 4096, tracked=True) for target in ("vda", "vdb")]
FILES = CaptureFiles(Path("/s"), "6f0c2f5e-26ac-4f7d-9a3b-6cc0f2d0a001", "22222222-bbbb", "t-2")


class Refusing:
    """A domain that refuses the first orders with the given faults and keeps the orders."""

    def __init__(self, *faults):
        self.faults, self.orders = list(faults), []

    def backupBegin(self, order, checkpoint, _flags):
        self.orders.append((order, checkpoint))
        if self.faults:
            raise self.faults.pop(0)


def fault(code, text):
    found = libvirt.libvirtError(text)
    found.err = (code, libvirt.VIR_FROM_QEMU, text, 2, text, "", "", -1, -1)
    return found


def plan():
    since, views = {"vda": "t-1", "vdb": "t-1"}, {"vda": "v-1", "vdb": "v-1"}
    return PullPlan("v-2", DISKS, [], since, views, {}, {"vda", "vdb"})


def captured(wanted):
    return {disk.target: (disk.since, disk.tracked, disk.since_view) for disk in wanted.captured()}


def test_a_disk_that_libvirt_names_is_read_in_full_and_the_others_are_not():
    wanted = plan()
    domain = Refusing(fault(109, "checkpoint inconsistent: missing or broken bitmap 'karbor-x-t-1' for disk 'vdb'"))
    assert libvirt_bitmap.begin(domain, FILES, wanted) == frozenset()
    assert captured(wanted) == {"vda": ("t-1", True, "v-1"), "vdb": (None, True, "")}
    assert "unusable" in wanted.captured()[1].why_full and wanted.captured()[0].why_full == ""


def test_where_no_disk_is_named_all_are_read_in_full_and_the_tracker_counts_as_broken():
    wanted = plan()
    domain = Refusing(fault(103, "no domain checkpoint with matching name"))
    assert libvirt_bitmap.begin(domain, FILES, wanted) == {"t-1"}
    assert captured(wanted) == {"vda": (None, True, ""), "vdb": (None, True, "")}
    assert 'backupmode="full"' in domain.orders[-1][0] and "incremental=" not in domain.orders[-1][0]


def test_an_image_that_can_hold_no_bitmap_is_left_out_of_the_checkpoint():
    wanted = plan()
    domain = Refusing(
        fault(67, "checkpoint for disk vda: Cannot store dirty bitmaps in qcow2 v2 files, disk 'vda'"),
        fault(67, "Cannot store dirty bitmaps"),
    )
    libvirt_bitmap.begin(domain, FILES, wanted)
    assert captured(wanted) == {"vda": (None, False, ""), "vdb": (None, False, "")}
    assert domain.orders[-1][1] is None


def test_what_asking_for_less_cannot_mend_is_a_failure_at_once():
    domain = Refusing(fault(68, "cannot acquire state change lock"))
    with pytest.raises(errors.StepFailed):
        libvirt_bitmap.begin(domain, FILES, plan())
    assert len(domain.orders) == 1


def test_a_libvirt_that_always_says_no_is_not_asked_for_ever():
    domain = Refusing(*[fault(109, "broken bitmap")] * 100)
    with pytest.raises(errors.StepFailed):
        libvirt_bitmap.begin(domain, FILES, plan())
    assert len(domain.orders) < 5


def test_a_job_is_ours_by_its_socket_and_its_scratch_files():
    ours = Job(str(FILES.socket), (str(FILES.scratch("vda")),))
    assert ours.belongs_to(FILES)
    assert not Job("/other.sock", ours.scratch).belongs_to(FILES)
    assert not Job(ours.socket, ("/elsewhere/x",)).belongs_to(FILES)
    assert not ours.belongs_to(CaptureFiles(Path("/s"), FILES.domain_id, FILES.scope, "t-3"))

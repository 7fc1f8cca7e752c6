# SPDX-License-Identifier: Apache-2.0
"""Does a record survive its writer, and is what it leaves found without it?"""

import pytest

from karbor.model import errors
from karbor.sdk.hypervisor import Capture, CapturedDisk
from karbor.virt import libvirt_record
from karbor.virt.libvirt_names import CaptureFiles
from karbor.virt.libvirt_record import STANDING, CaptureRecord

DOMAIN = "6f0c2f5e-26ac-4f7d-9a3b-6cc0f2d0a001"
SCOPE = "22222222-bbbb-4000-8000-000000000002"


@pytest.fixture
def files(tmp_path):
    return CaptureFiles(tmp_path, DOMAIN, SCOPE, "t-1")


def record_of(files):
    disk = CapturedDisk("vda", 4096, "qcow2", "t-0", "", tracked=True, since_view="v-0")
    capture = Capture(DOMAIN, SCOPE, "t-1", "bitmap", "crash", (disk,), "<domain/>", {"a": [1]}, "v-1")
    return CaptureRecord(files, STANDING, "bitmap", {"vda": ("/d/a", "qcow2")}, capture)


def test_a_record_comes_back_as_it_was(files):
    record = record_of(files)
    record.save()
    record.save()
    assert libvirt_record.load(files) == record


@pytest.mark.parametrize("rest", [b"", b"{", b"[]", b'{"scope": 1}'])
def test_a_rest_of_a_record_is_none(files, rest):
    files.record.write_bytes(rest)
    assert libvirt_record.load(files) is None


def test_captures_are_found_by_any_file_and_with_their_full_scope_by_the_record(files, tmp_path):
    record_of(files).save()
    files.scratch("vda").touch()
    lone = CaptureFiles(tmp_path, DOMAIN, SCOPE, "t-2")
    lone.overlay("vdb").touch()
    (tmp_path / "other").touch()
    assert [(found.token, found.scope) for found in libvirt_record.found(tmp_path)] == [
        ("t-1", SCOPE),
        ("t-2", "22222222"),
    ]
    libvirt_record.remove(files)
    libvirt_record.remove(files)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["other", lone.overlay("vdb").name])


def test_a_directory_that_takes_no_files_is_unavailable(files, tmp_path):
    gone = CaptureFiles(tmp_path / "gone", DOMAIN, SCOPE, "t-1")
    with pytest.raises(errors.Unavailable):
        record_of(gone).save()

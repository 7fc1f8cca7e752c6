# SPDX-License-Identifier: Apache-2.0
"""What can a domain's images hold, and what is told of a domain? (libvirt's own test driver answers.)"""

import pytest

from karbor.virt import libvirt_inspect
from karbor.virt.libvirt_connection import Connection
from tests.support.guestlab import qemu_img

TEST_DOMAIN = "6695eb01-f6a4-8304-79aa-97f2502e193f"


@pytest.mark.parametrize(("compat", "kept"), [("0.10", False), ("1.1", True)])
def test_only_qcow2_of_version_3_keeps_bitmaps(tmp_path, compat, kept):
    path = tmp_path / "a"
    qemu_img("create", "-q", "-f", "qcow2", "-o", f"compat={compat}", path, "1M")
    assert libvirt_inspect.keeps_bitmaps(str(path)) is kept


def test_an_image_that_is_none_or_cannot_be_read(tmp_path):
    (tmp_path / "raw").write_bytes(bytes(512))
    (tmp_path / "short").write_bytes(b"QFI")
    assert not libvirt_inspect.keeps_bitmaps(str(tmp_path / "raw"))
    assert not libvirt_inspect.keeps_bitmaps(str(tmp_path / "short"))
    assert libvirt_inspect.keeps_bitmaps(str(tmp_path / "gone"))  # libvirt will say


def test_a_domain_is_told_with_its_state():
    connection = Connection("test:///default")
    domain = connection.domain(TEST_DOMAIN)
    info = libvirt_inspect.inspect(connection, domain)
    assert (info.id, info.name, info.state, info.project_id) == (TEST_DOMAIN, "test", "running", "")
    assert TEST_DOMAIN in [found.id for found in libvirt_inspect.all_domains(connection)]
    assert libvirt_inspect.is_active(domain) and not libvirt_inspect.resume_if_out_of_space(domain)

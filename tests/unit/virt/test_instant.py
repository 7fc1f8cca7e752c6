# SPDX-License-Identifier: Apache-2.0
"""What is changed in the definition of a guest whose disks may be away for a while?"""

import pytest

from karbor.model import errors
from karbor.virt import libvirt_xml
from karbor.virt.instant import InstantGuest, make_overlay, stopping_on_errors

DEFINITION = """<domain><devices>
<disk device="disk"><driver name="qemu" type="qcow2" error_policy="report"/><target dev="vda"/></disk>
<disk device="disk"><target dev="vdb"/></disk>
<disk device="cdrom"><target dev="sda"/></disk>
</devices></domain>"""


def test_every_disk_pauses_the_guest_where_it_cannot_be_read_or_written():
    root = libvirt_xml.parse(stopping_on_errors(DEFINITION))
    drivers = [element.find("driver") for element in libvirt_xml.disk_elements(root).values()]
    assert [(driver.get("error_policy"), driver.get("rerror_policy")) for driver in drivers] == [("stop", "stop")] * 2
    assert root.find(".//disk[@device='cdrom']/driver") is None


def test_an_overlay_that_is_there_is_left_as_it_is(tmp_path):
    place = tmp_path / "vda.qcow2"
    place.write_bytes(b"what the guest wrote")
    make_overlay(str(place), "/nowhere.sock", "vda")
    assert place.read_bytes() == b"what the guest wrote"


def test_only_plain_paths_become_disks():
    with pytest.raises(errors.InvalidInput):
        InstantGuest(None, "u", {"vda": "nbd:127.0.0.1:1"})

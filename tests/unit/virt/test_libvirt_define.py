# SPDX-License-Identifier: Apache-2.0
"""Does a saved definition become the domain that was asked for? (libvirt's own test driver keeps the domains.)"""

import uuid

import pytest

from karbor.model import errors
from karbor.sdk.hypervisor import NewDomain
from karbor.virt import libvirt_nvram, libvirt_xml
from karbor.virt.libvirt_connection import Connection
from karbor.virt.libvirt_define import Definer, edited, new_mac

OLD_ID = "6f0c2f5e-26ac-4f7d-9a3b-6cc0f2d0a001"
SAVED = f"""
<domain type='test' id='7'><name>web</name><uuid>{OLD_ID}</uuid><memory>65536</memory><vcpu>1</vcpu>
 <sysinfo type='smbios'><system><entry name='uuid'>{OLD_ID}</entry><entry name='serial'>s</entry></system></sysinfo>
 <os><type>hvm</type><loader readonly='yes' type='pflash'>/t</loader><nvram template='/t'>/nvram/web</nvram></os>
 <devices>
  <disk type='file' device='disk'><driver name='qemu' type='qcow2' discard='unmap'/><source file='/old/a.qcow2'/>
   <backingStore type='file'><source file='/base'/></backingStore><target dev='vda'/><alias name='d0'/></disk>
  <disk type='file' device='disk'><source file='/old/b.img'/><target dev='vdb' bus='virtio'/></disk>
  <disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>
  <interface type='network'><mac address='52:54:00:00:00:01'/><source network='n'/><target dev='vnet3'/></interface>
  <channel type='unix'><source mode='bind' path='/run/old'/><target type='virtio' name='a'/></channel>
  <serial type='pty'><source path='/dev/pts/4'/><target port='0'/></serial>
 </devices><seclabel type='dynamic' model='dac'/><seclabel type='static' model='x'><label>y</label></seclabel></domain>
"""
DISKS = {"vda": ("/new/a.img", "raw")}


@pytest.fixture
def definer(tmp_path):
    connection = Connection("test:///default")
    yield Definer(connection, tmp_path / "replaced")
    for domain in connection.get().listAllDomains():
        if domain.name() != "test":
            if domain.isActive():
                domain.destroy()
            domain.undefine()


def test_a_new_domain_shares_nothing_with_the_old_one():
    new_id = str(uuid.uuid4())
    root = edited(SAVED, NewDomain(DISKS, name="copy", uuid=new_id, new_macs=True))
    text = libvirt_xml.text_of(root)
    for old in (
        OLD_ID,
        "/old/",
        "/nvram/web",
        "52:54:00:00:00:01",
        "/run/old",
        "/dev/pts/4",
        "vnet3",
        "alias",
        "/base",
        "web",
    ):
        assert old not in text, old
    assert root.findtext("name") == "copy" and root.findtext("uuid") == new_id and root.get("id") is None
    assert [disk.target for disk in libvirt_xml.disks(root)] == ["vda"]
    assert libvirt_xml.disks(root)[0].path == "/new/a.img"
    assert root.find("./devices/disk/driver").get("discard") == "unmap"
    assert root.find("./devices/disk[@device='cdrom']") is not None
    assert [label.get("type") for label in root.findall("seclabel")] == ["static"]


def test_a_domain_in_place_keeps_what_is_its_own():
    root = edited(SAVED, NewDomain(DISKS))
    assert (root.findtext("name"), root.findtext("uuid")) == ("web", OLD_ID)
    assert root.findtext("./os/nvram") == "/nvram/web"
    assert root.find("./devices/interface/mac").get("address") == "52:54:00:00:00:01"


def test_fresh_macs_differ_and_are_in_libvirts_range():
    macs = {new_mac() for _ in range(20)}
    assert len(macs) > 15 and all(mac.startswith("52:54:00:") for mac in macs)


def test_firmware_variables_travel_with_the_definition(definer, tmp_path):
    old, place = tmp_path / "web_VARS.fd", tmp_path / "new"
    place.mkdir()
    old.write_bytes(b"\xff" * 5000 + b"boot")
    root = libvirt_xml.parse(SAVED)
    root.find("./os/nvram").text = str(old)
    libvirt_nvram.put_in(root)
    saved = libvirt_xml.text_of(root)
    new = NewDomain({"vda": (str(place / "a.img"), "raw")}, name="copy", uuid=str(uuid.uuid4()))
    for _ in range(2):
        definer.define(saved, new)
    assert (place / "copy-vars.fd").read_bytes() == old.read_bytes()
    defined = Connection("test:///default").domain(new.uuid).XMLDesc(0)
    assert str(place / "copy-vars.fd") in defined and str(old) not in defined
    again = libvirt_xml.parse(saved)
    assert libvirt_nvram.take_out(again) == old.read_bytes() and libvirt_nvram.take_out(again) is None
    old.unlink()
    libvirt_nvram.put_in(again)
    assert libvirt_nvram.take_out(again) is None


def plain(name, domain_id, *paths):
    disks = "".join(
        f"<disk type='file' device='disk'><source file='{path}'/><target dev='vd{letter}'/></disk>"
        for letter, path in zip("abc", paths, strict=False)
    )
    return (
        f"<domain type='test'><name>{name}</name><uuid>{domain_id}</uuid><memory>65536</memory>"
        "<os><type>hvm</type></os>"
        f"<devices>{disks}</devices></domain>"
    )


def test_defining_twice_is_one_domain(definer):
    new = NewDomain(DISKS, name="copy", uuid=str(uuid.uuid4()), start=True)
    saved = plain("web", OLD_ID, "/old/a")
    assert definer.define(saved, new) == definer.define(saved, new) == new.uuid
    definer.undefine(str(uuid.uuid4()))
    with pytest.raises(errors.Conflict):
        definer.define(saved, NewDomain(DISKS, name="test", uuid=new.uuid))


def test_a_restore_in_place_replaces_a_stopped_domain_and_can_be_taken_back(definer):
    connection = Connection("test:///default").get()
    old = connection.defineXML(plain("web", OLD_ID, "/old/a", "/old/b"))
    old.create()
    saved = old.XMLDesc(0)
    with pytest.raises(errors.Conflict, match="running"):
        definer.define(saved, NewDomain(DISKS))
    old.destroy()
    for _ in range(2):
        assert definer.define(saved, NewDomain(DISKS)) == OLD_ID
    assert "/new/a.img" in connection.lookupByName("web").XMLDesc(0)
    definer.undefine(OLD_ID)
    assert "/old/b" in connection.lookupByName("web").XMLDesc(0)
    with pytest.raises(errors.Conflict):
        definer.define(saved, NewDomain(DISKS, name="other", uuid=OLD_ID))

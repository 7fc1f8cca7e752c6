# SPDX-License-Identifier: Apache-2.0
"""Is a definition read right, and are orders to libvirt spelled as it wants them?"""

from pathlib import Path

import pytest

from karbor.model import errors
from karbor.virt import libvirt_xml as xml

DOMAIN = """
<domain type='qemu'><name>g</name><devices>
 <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/d/top.qcow2'/>
  <backingStore type='file'><format type='raw'/><source file='/d/base.img'/><backingStore/></backingStore>
  <target dev='vda'/></disk>
 <disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='/dev/vg/x'/><target dev='vdb'/></disk>
 <disk type='network' device='disk'><driver type='raw'/><source protocol='rbd' name='p/i'/><target dev='vdc'/></disk>
 <disk type='volume' device='disk'><source pool='p' volume='v'/><target dev='vdd'/></disk>
 <disk type='file' device='cdrom'><target dev='sda'/></disk>
</devices></domain>
"""
NOVA = (
    "<domain><metadata><n:instance xmlns:n='http://openstack.org/xmlns/libvirt/nova/1.1'><n:owner>"
    "<n:user uuid='u'>x</n:user><n:project uuid='p-1'>demo</n:project></n:owner></n:instance></metadata></domain>"
)
OURS = (
    "<domain><metadata><k:owner xmlns:k='https://docs.openstack.org/karbor/xmlns/owner/1.0' project='p-2'/>"
    "</metadata></domain>"
)


def test_real_disks_are_found_with_path_and_format():
    found = {disk.target: disk for disk in xml.disks(xml.parse(DOMAIN))}
    assert list(found) == ["vda", "vdb", "vdc", "vdd"]
    assert (found["vda"].path, found["vda"].format) == ("/d/top.qcow2", "qcow2")
    assert (found["vdb"].kind, found["vdb"].path) == ("block", "/dev/vg/x")
    assert (found["vdc"].path, found["vdc"].kind) == ("", "network")
    assert (found["vdd"].pool, found["vdd"].volume, found["vdd"].format) == ("p", "v", "raw")


@pytest.mark.parametrize("mark", ["<readonly/>", "<shareable/>", "<encryption format='luks'/>"])
def test_a_disk_says_whose_it_is_and_whether_it_is_like_others(mark):
    text = DOMAIN.replace("<target dev='vdc'/>", "<target dev='vdc'/><serial>volume-1</serial>")
    marked = text.replace("<target dev='vdb'/>", f"{mark}<target dev='vdb'/>")
    found = {disk.target: disk for disk in xml.disks(xml.parse(marked))}
    assert found["vdc"].serial == "volume-1"
    assert {target for target, disk in found.items() if not disk.plain} == {"vdb"}
    inside = text.replace("name='p/i'/>", f"name='p/i'>{mark}</source>")
    hidden = [disk.target for disk in xml.disks(xml.parse(inside)) if not disk.plain]
    assert hidden == (["vdc"] if "encryption" in mark else [])


def test_a_chain_is_read_from_the_top_down():
    root = xml.parse(DOMAIN)
    assert xml.backing_paths(root, "vda") == ("/d/top.qcow2", "/d/base.img")
    assert xml.backing_paths(root, "vdz") == ()


@pytest.mark.parametrize(("text", "project"), [(NOVA, "p-1"), (OURS, "p-2"), (DOMAIN, "")])
def test_the_owner_is_the_project_that_the_metadata_names(text, project):
    assert xml.owner(xml.parse(text)) == project


def test_a_pull_backup_names_full_and_incremental_disks():
    disks = [xml.BackupDisk("vda", Path("/s/a"), "karbor-1"), xml.BackupDisk("vdb", Path("/s/b"), None)]
    text = xml.backup_xml(Path("/s/x.sock"), disks, ["vdc"])
    assert xml.job_files(text) == ("/s/x.sock", ("/s/a", "/s/b"))
    vda, vdb, vdc = xml.parse(text).findall("./disks/disk")
    assert (vda.get("incremental"), vda.get("exportbitmap")) == ("karbor-1", xml.bitmap_export("vda"))
    assert (vdb.get("backupmode"), vdb.get("incremental"), vdc.get("backup")) == ("full", None, "no")


def test_a_checkpoint_tells_its_view_and_its_disks():
    text = xml.checkpoint_xml("karbor-1", "view-1", ["vda"], ["vdb"])
    assert xml.checkpoint_content(text) == ("view-1", frozenset(["vda"]))
    root = xml.parse(DOMAIN)
    text = xml.redefine_checkpoint_xml("karbor-2", "view-2", root, ["vda", "vdb"], created=7)
    assert xml.checkpoint_content(text) == ("view-2", frozenset(["vda", "vdb"]))
    assert xml.parse(text).findtext("creationTime") == "7"
    assert xml.parse(text).find("./disks/disk[@name='vda']").get("bitmap") == "karbor-2"


def test_a_disk_that_gets_another_image_loses_its_chain(tmp_path):
    root = xml.parse(DOMAIN)
    for target in ("vda", "vdc"):
        xml.set_source(xml.disk_elements(root)[target], str(tmp_path / "n.img"), "raw")
    found = {disk.target: disk for disk in xml.disks(xml.parse(xml.text_of(root)))}
    for target in ("vda", "vdc"):
        assert (found[target].kind, found[target].path, found[target].format) == (
            "file",
            str(tmp_path / "n.img"),
            "raw",
        )
        assert xml.disk_elements(root)[target].find("backingStore") is None


def test_what_is_no_xml_fails_the_step():
    with pytest.raises(errors.StepFailed):
        xml.parse("<domain>")


def test_guests_of_nova_are_told_from_others():
    of_nova = (
        "<domain><metadata><n:instance xmlns:n='http://openstack.org/xmlns/libvirt/nova/1.1'/></metadata></domain>"
    )
    assert xml.is_of_nova(xml.parse(of_nova))
    assert not xml.is_of_nova(xml.parse("<domain><metadata/></domain>"))


def test_a_checkpoint_tells_when_it_was_made():
    assert xml.checkpoint_created("<domaincheckpoint><creationTime>7</creationTime></domaincheckpoint>") == 7
    assert xml.checkpoint_created("<domaincheckpoint/>") == 0

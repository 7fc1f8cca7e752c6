# SPDX-License-Identifier: Apache-2.0
"""Does a guest that is only tried have nothing but what is allowed, whatever its definition had?"""

import base64
import zlib

import pytest

from karbor.virt.trial_xml import Bounds, trial_xml

DEFINITION = """<domain type="kvm" xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0">
  <name>web</name><uuid>11111111-1111-4111-8111-111111111111</uuid>
  <metadata><nvram xmlns="https://docs.openstack.org/karbor/xmlns/nvram/1.0">{variables}</nvram></metadata>
  <memory unit="GiB">16</memory><currentMemory unit="GiB">16</currentMemory>
  <memoryBacking><source type="memfd"/></memoryBacking>
  <vcpu placement="static">8</vcpu><cputune><vcpupin vcpu="0" cpuset="1"/></cputune>
  <os firmware="efi"><type arch="x86_64" machine="pc-q35-7.2">hvm</type><loader readonly="yes">/fw.fd</loader>
    <nvram>/var/vars.fd</nvram><boot dev="hd"/></os>
  <features><acpi/><smm state="on"/></features>
  <cpu mode="custom"><model>Nehalem</model><topology sockets="8" cores="1" threads="1"/><numa/></cpu>
  <on_crash>restart</on_crash>
  <devices>
    <emulator>/usr/bin/other</emulator>
    <disk type="file" device="disk"><driver name="qemu" type="raw"/><source file="/old/a"/>
      <backingStore/><target dev="sda" bus="scsi"/><serial>s1</serial><address type="drive"/></disk>
    <disk type="file" device="disk"><source file="/old/b"/><target dev="vdb" bus="virtio"/></disk>
    <disk type="file" device="cdrom"><source file="/old/c"/><target dev="sdb"/></disk>
    <controller type="scsi" index="0" model="virtio-scsi"><address type="pci"/></controller>
    <interface type="bridge"><source bridge="br0"/></interface>
    <filesystem type="mount"><source dir="/srv"/><target dir="x"/></filesystem>
    <hostdev mode="subsystem" type="pci"/><graphics type="vnc"/><redirdev bus="usb" type="tcp"/>
    <channel type="unix"><source path="/old.sock"/><target name="org.qemu.guest_agent.0"/></channel>
    <tpm model="tpm-tis"/><shmem name="s"/><vsock model="virtio"/><serial type="tcp"/>
  </devices>
  <qemu:commandline><qemu:arg value="-incoming"/></qemu:commandline>
  <seclabel type="none"/>
</domain>"""
VARIABLES = b"boot entries"
ALLOWED = {"disk", "controller", "serial", "console", "channel", "rng", "memballoon", "video"}


@pytest.fixture(scope="module")
def made():
    packed = base64.b64encode(zlib.compress(VARIABLES)).decode()
    bounds = Bounds(memory_mib=512, cpus=2)
    return trial_xml(
        DEFINITION.format(variables=packed), name="trial", uuid="u", disks={"sda": "/new/a"}, bounds=bounds
    )


def test_only_what_is_allowed_is_there(made):
    root, _variables = made
    assert {child.tag for child in root.find("devices")} == ALLOWED
    assert {child.tag for child in root} == {
        *("name", "uuid", "memory", "vcpu", "os", "features", "cpu", "on_poweroff", "on_reboot", "on_crash", "devices"),
    }
    assert {child.tag for child in root.find("cpu")} == {"model"}
    assert [element.get("type") for element in root.findall("./devices/serial")] == ["pty"]
    text = "".join(part for element in root.iter() for part in (element.text or "", *element.attrib.values()))
    assert not any(word in text for word in ("br0", "/old", "/srv", "-incoming", "other", "tcp"))


def test_it_is_bounded_and_another_one(made):
    root, _variables = made
    assert (root.findtext("name"), root.findtext("uuid")) == ("trial", "u")
    assert (root.findtext("memory"), root.find("memory").get("unit"), root.findtext("vcpu")) == (
        str(512 << 10),
        "KiB",
        "2",
    )
    assert (root.findtext("on_crash"), root.findtext("on_reboot")) == ("destroy", "restart")


def test_its_disks_are_ours_as_the_guest_knows_them(made):
    [disk] = made[0].findall("./devices/disk")
    assert (disk.find("source").get("file"), disk.find("driver").get("type")) == ("/new/a", "qcow2")
    assert (disk.find("target").get("bus"), disk.findtext("serial")) == ("scsi", "s1")
    assert disk.find("driver").get("rerror_policy") == "stop"
    [controller] = made[0].findall("./devices/controller[@type='scsi']")
    assert (controller.get("model"), len(controller)) == ("virtio-scsi", 0)


def test_firmware_comes_with_its_variables_and_without_their_old_place(made):
    root, variables = made
    assert variables == VARIABLES
    assert (root.find("os").get("firmware"), root.findtext("./os/loader")) == ("efi", "/fw.fd")
    assert root.find("./os/nvram").text is None


@pytest.mark.parametrize(
    ("memory", "kib"),
    [("<memory>4096</memory>", 4096), ("<memory unit='MiB'>64</memory>", 65536), ("", 512 << 10),
     ("<memory unit='TB'>1</memory>", 512 << 10)],
)  # fmt: skip
def test_small_guests_get_no_more_than_they_had(memory, kib):
    text = f"<domain>{memory}<os><type>hvm</type></os><devices/></domain>"
    root, variables = trial_xml(text, name="n", uuid="u", disks={}, bounds=Bounds(memory_mib=512))
    assert (int(root.findtext("memory")), root.findtext("vcpu"), variables) == (kib, "1", None)

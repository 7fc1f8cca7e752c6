# SPDX-License-Identifier: Apache-2.0
"""What tests expect to find, created once as admin.

seed.py types NAME... | sharetypes NAME... | network | flavors | image DISK VMLINUZ INITRD
"""

import sys

import openstack

what, *rest = sys.argv[1:]
cloud = openstack.connect()


def types():
    known = {t.name for t in cloud.block_storage.types()}
    for name in set(rest) - known:
        cloud.block_storage.create_type(name=name, extra_specs={"volume_backend_name": name})


def sharetypes():
    api = cloud.session.get_endpoint(service_type="sharev2")
    version = {"X-OpenStack-Manila-API-Version": "2.51"}
    for name in rest:
        extra = {"driver_handles_share_servers": "False", "share_backend_name": name, "snapshot_support": "True",
                 "create_share_from_snapshot_support": "True"}  # fmt: skip
        cloud.session.post(f"{api}/types", headers=version, json={"share_type": {"name": name, "extra_specs": extra}})


def network():
    if not cloud.network.find_network("private"):
        net = cloud.network.create_network(name="private", is_shared=True)
        cloud.network.create_subnet(
            name="private", network_id=net.id, ip_version=4, cidr="10.77.0.0/24", is_dhcp_enabled=False, gateway_ip=None
        )


def flavors():
    for name, ram in (("m1.nano", 64), ("m1.micro", 128), ("m1.tiny", 256)):
        if not cloud.compute.find_flavor(name):
            cloud.compute.create_flavor(name=name, ram=ram, disk=1, vcpus=1)


def image():
    """`ministack` boots by its own GRUB; `ministack-fast` is the same disk with the kernel handed over by nova."""
    disk, kernel, initrd = rest
    common = {"hw_qemu_guest_agent": "yes", "hw_cdrom_bus": "virtio", "hw_rng_model": "virtio", "os_type": "linux"}

    def put(name, path, kind, **properties):
        found = cloud.image.find_image(name)
        return found or cloud.create_image(
            name,
            filename=path,
            disk_format=kind,
            wait=True,
            visibility="public",
            container_format="bare" if kind == "qcow2" else kind,
            **properties,
        )

    put("ministack", disk, "qcow2", **common)
    aki = put("ministack-kernel", kernel, "aki")
    ari = put("ministack-initrd", initrd, "ari")
    put(
        "ministack-fast",
        disk,
        "qcow2",
        kernel_id=aki.id,
        ramdisk_id=ari.id,
        os_command_line="console=ttyS0 quiet panic=5 net.ifnames=0",
        **common,
    )


{"types": types, "sharetypes": sharetypes, "network": network, "flavors": flavors, "image": image}[what]()

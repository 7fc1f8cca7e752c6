# SPDX-License-Identifier: Apache-2.0
"""Which parts make a template that has everything in it that plug-ins can put into one?"""

from karbor.sdk.template import HeatParameter, HeatResource, reference

ADDRESS = "203.0.113.9"


def parts(memory, *, project="alpha"):
    """The parts; what they need of others is made in the cloud: a snapshot, an image, an outer network, an address."""
    outer = memory.networks.add("admin", "networks", name="outer", **{"router:external": True})
    memory.networks.add("admin", "subnets", network_id=outer["id"], cidr="203.0.113.0/24")
    address = memory.networks.add(
        project, "floatingips", floating_network_id=outer["id"], floating_ip_address=ADDRESS, description="front door"
    )
    return [*_networks(outer["id"], address["id"]), *_groups(), *_machines(memory, project)]


def _networks(outer_id, address_id):
    fixed = [{"subnet": reference("sub"), "ip_address": "10.3.0.9"}]
    return [
        HeatResource("net", "OS::Neutron::Net", {"name": "inner", "tags": ["shop"],
                                                 "value_specs": {"description": "of the shop"}}),
        HeatResource("sub", "OS::Neutron::Subnet", {"name": "near", "network": reference("net"),
                                                    "cidr": "10.3.0.0/24", "gateway_ip": "10.3.0.1"}),
        HeatResource("far", "OS::Neutron::Subnet", {"network": reference("net"), "cidr": "10.4.0.0/24",
                                                    "gateway_ip": ""}),
        HeatResource("router", "OS::Neutron::Router", {"external_gateway_info": {"network": outer_id}}),
        HeatResource("door", "OS::Neutron::RouterInterface", {"router": reference("router"),
                                                              "subnet": reference("sub")}, shown=False),
        HeatResource("leg:port", "OS::Neutron::Port", {"network": reference("net"),
                                                       "fixed_ips": [{"subnet": reference("far")}]}, shown=False),
        HeatResource("leg", "OS::Neutron::RouterInterface", {"router": reference("router"),
                                                             "port": reference("leg:port")}, shown=False),
        HeatResource("routes", "OS::Neutron::ExtraRouteSet", {
            "router": reference("router"), "routes": [{"destination": "10.9.0.0/24", "nexthop": "10.3.0.20"}],
        }, ("door",), shown=False),
        HeatResource("port", "OS::Neutron::Port", {"name": "one", "network": reference("net"), "fixed_ips": fixed,
                                                   "security_groups": [reference("web")]}, shown=False),
        HeatResource("outside", "OS::Neutron::FloatingIP", {"floating_network": outer_id}, ("door",)),
        HeatResource("leads", "OS::Neutron::FloatingIPAssociation", {
            "floatingip_id": reference(address_id, or_else=address_id), "port_id": reference("port")},
            shown=False),
    ]  # fmt: skip


def _groups():
    ingress = {"direction": "ingress", "ethertype": "IPv4"}
    return [
        HeatResource("web", "OS::Neutron::SecurityGroup", {"name": "web", "description": "front", "rules": [
            {**ingress, "protocol": "tcp", "port_range_min": 443, "port_range_max": 443},
            {**ingress, "remote_mode": "remote_group_id"},
            {"direction": "egress", "remote_ip_prefix": "127.0.0.1/32"},
        ]}),
        HeatResource("data", "OS::Neutron::SecurityGroup", {"name": "data", "rules": [
            {**ingress, "remote_mode": "remote_group_id", "remote_group_id": reference("web")},
        ]}),
        HeatResource("web:data", "OS::Neutron::SecurityGroupRule", {
            **ingress, "protocol": "0", "security_group": reference("web"), "remote_group": reference("data"),
        }, shown=False),
    ]  # fmt: skip


def _machines(memory, project):
    kept = memory.volumes.add(project, "kept", b"given")
    image = memory.images.add(project, "root", b"root disk")
    flavor = memory.compute.flavor("small")["id"]
    return [
        HeatParameter("kept", kept["id"], "a volume that was filled"),
        HeatParameter("image", image["id"], "an image that was uploaded"),
        HeatResource("new", "OS::Cinder::Volume", {"name": "new", "size": 1, "metadata": {"app": "shop"}}),
        HeatResource("server", "OS::Nova::Server", {
            "name": "web", "flavor": flavor, "image": reference("image"), "metadata": {"role": "front"},
            "networks": [{"port": reference("port")}], "user_data": "#!/bin/sh\n", "user_data_format": "RAW",
        }),
        HeatResource("second", "OS::Nova::Server", {
            "name": "db", "flavor": flavor, "block_device_mapping_v2": [
                {"volume_id": reference("new"), "boot_index": 0, "delete_on_termination": False}],
        }),
        HeatResource("server:kept", "OS::Cinder::VolumeAttachment", {
            "instance_uuid": reference("server"), "volume_id": reference("kept"), "mountpoint": "/dev/vdb"},
            shown=False),
        HeatResource("share", "OS::Manila::Share", {
            "name": "files", "share_protocol": "NFS", "size": 1, "metadata": {"app": "shop"},
            "access_rules": [{"access_type": "ip", "access_to": "10.3.0.0/24", "access_level": "rw"},
                             {"access_type": "ip", "access_to": "10.4.0.0/24", "access_level": "ro"}]}),
        HeatResource("database", "OS::Trove::Instance", {
            "name": "orders", "flavor": "1", "size": 2, "datastore_type": "mysql", "datastore_version": "8.0",
            "restore_point": "backup", "networks": [{"network": reference("net")}]}),
    ]  # fmt: skip

# SPDX-License-Identifier: Apache-2.0
"""Of which parts of a template does a server that comes back consist?"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from karbor.plugins.resources.cloudtypes import SERVER, VOLUME
from karbor.plugins.resources.ephemeral import volume_of
from karbor.plugins.resources.image_data import root_disk_id
from karbor.sdk.protection import Work
from karbor.sdk.template import HeatResource, reference


def parts(work: Work, old: Mapping[str, Any], decided: Mapping[str, Any]) -> Sequence[HeatResource]:
    """The server, its ports, its volumes and its floating addresses. ``decided`` is what ``restore_prepare`` chose."""
    ports = _ports(work, decided)
    server = HeatResource(work.key.id, SERVER, _server(work, old, decided))
    return [*ports, server, *_volumes(work, old, decided), *_floating(decided)]


def _server(work: Work, old: Mapping[str, Any], decided: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": decided["name"],
        "flavor": decided["flavor_id"],
        "networks": [{"port": reference(_port_id(work, port))} for port in decided["ports"]],
        "metadata": old["metadata"],
        "tags": old["tags"],
        "availability_zone": work.mapped("availability_zone", old["availability_zone"]),
        "key_name": decided["key_name"],
        "config_drive": old["config_drive"] or None,
        "user_data": user_data_text(old["user_data"]),
        "user_data_format": "RAW" if user_data_text(old["user_data"]) else None,
    }
    if old["group"] and decided["group_id"]:
        found["scheduler_hints"] = {"group": decided["group_id"]}
    root = root_volume(old)
    if root is None:
        found["image"] = reference(root_disk_id(old["image_id"], work.key.id))
    else:
        found["block_device_mapping_v2"] = [
            {
                "volume_id": reference(root["volume_id"]),
                "boot_index": 0,
                "delete_on_termination": root["delete_on_termination"],
            }
        ]
    return {key: value for key, value in found.items() if value not in (None, "", [], {})}


def user_data_text(kept: str | None) -> str:
    """User data as a template takes it: Nova tells it in base64, and whatever is in a template is put into that again.
    Empty where there is none, or it is no text, which a template cannot hold."""
    try:
        return base64.b64decode(kept or "").decode()
    except ValueError:
        return ""


def root_volume(old: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The volume a server boots from: it has no image then, and the first disk is that volume."""
    if old["image_id"] or not old["volumes"]:
        return None
    found: Mapping[str, Any] = min(old["volumes"], key=lambda one: (len(one["device"]), one["device"]))
    return found


def _volumes(work: Work, old: Mapping[str, Any], decided: Mapping[str, Any]) -> list[HeatResource]:
    """Those that the checkpoint holds are attached, and behind them those with what was on ephemeral disks; others stay
    with whoever has them now. One comes after the other: Nova takes the device only for a wish, and names them in the
    order in which they come."""
    held = {child.id for key, child in work.children if key.type == VOLUME}
    root = root_volume(old)
    ordered = sorted(old["volumes"], key=lambda one: (not one["device"], len(one["device"]), one["device"]))
    attached = [(one["volume_id"], one["device"]) for one in ordered if one is not root and one["volume_id"] in held]
    attached += [(volume_of(work, disk), "") for disk in decided.get("ephemeral", ())]
    names = [f"{work.key.id}:{volume_id}" for volume_id, _device in attached]
    return [
        HeatResource(
            names[place],
            "OS::Cinder::VolumeAttachment",
            {
                "instance_uuid": reference(work.key.id),
                "volume_id": reference(volume_id),
                **({"mountpoint": device} if device else {}),
            },
            depends_on=names[:place][-1:],
            shown=False,
        )
        for place, (volume_id, device) in enumerate(attached)
    ]


def _port_id(work: Work, port: Mapping[str, Any]) -> str:
    return f"{work.key.id}:{port['id']}"


def _ports(work: Work, decided: Mapping[str, Any]) -> list[HeatResource]:
    return [
        HeatResource(_port_id(work, port), "OS::Neutron::Port", _port(work, port), shown=False)
        for port in decided["ports"]
    ]


def _port(work: Work, port: Mapping[str, Any]) -> dict[str, Any]:
    """``fixed_ips`` of a decided port are those that are wanted again; its ids are those of the old world."""
    chosen = work.options.restore_net_id  # says itself what to use here
    network = chosen or work.mapped("network", port["network_id"])
    found: dict[str, Any] = {"name": port["name"], "network": reference(port["network_id"], or_else=network)}
    if port["fixed_ips"]:
        found["fixed_ips"] = [
            {
                "ip_address": one["ip_address"],
                "subnet": reference(one["subnet_id"], or_else=work.mapped("subnet", one["subnet_id"])),
            }
            for one in port["fixed_ips"]
        ]
    if port["port_security_enabled"]:
        found["security_groups"] = [
            reference(group, or_else=work.mapped("security_group", group)) for group in port["security_groups"]
        ]
        found["allowed_address_pairs"] = port["allowed_address_pairs"]
    else:
        found["port_security_enabled"] = False
    if port["vnic_type"] != "normal":
        found["binding:vnic_type"] = port["vnic_type"]
    return {key: value for key, value in found.items() if key == "name" or value not in ("", [])}


def _floating(decided: Mapping[str, Any]) -> list[HeatResource]:
    """Addresses that are still the project's and lead nowhere now lead to the new port."""
    return [
        HeatResource(
            f"{one['id']}:{one['port_id']}",
            "OS::Neutron::FloatingIPAssociation",
            {"floatingip_id": reference(one["id"], or_else=one["id"]), "port_id": reference(one["port"])},
            shown=False,
        )
        for one in decided["floating"]
    ]

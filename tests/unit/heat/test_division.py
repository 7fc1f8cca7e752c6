# SPDX-License-Identifier: Apache-2.0
"""Is what a stack makes left to it, with all that only ties it together, and the rest built before or behind it?"""

from dataclasses import replace

from karbor.heat.division import divided
from karbor.sdk.template import HeatParameter, HeatResource, reference

IMAGE = HeatParameter("image", "new-image")
NET = HeatResource("net", "OS::Neutron::Net")
PORT = HeatResource("s:port", "OS::Neutron::Port", {"network": reference("net")}, shown=False)
SERVER = HeatResource(
    "s", "OS::Nova::Server", {"image": reference("image"), "networks": [{"port": reference("s:port")}]}
)
VOLUME = HeatParameter("v", "new-volume")
BY_HAND = HeatParameter("w", "another")
FLOATING = HeatResource("f", "OS::Neutron::FloatingIP", {"floating_network": "outer"})
LEADS = HeatResource(
    "f:port", "OS::Neutron::FloatingIPAssociation",
    {"floatingip_id": reference("f"), "port_id": reference("s:port")}, shown=False,
)  # fmt: skip


def attached(server, volume):
    properties = {"instance_uuid": reference(server), "volume_id": reference(volume)}
    return HeatResource(f"{server}:{volume}", "OS::Cinder::VolumeAttachment", properties, shown=False)


PARTS = [IMAGE, NET, PORT, SERVER, VOLUME, BY_HAND, FLOATING, LEADS, attached("s", "v"), attached("s", "w")]


def ids(parts):
    return {part.original_id for part in parts}


def test_a_server_of_a_stack_has_its_ports_and_attachments_from_the_template():
    found = divided(PARTS, {"s", "v", "unknown"}, {frozenset(("s", "v"))})
    assert ids(found.own.values()) == {"s", "v"}
    assert ids(found.before) == {"image", "net", "w", "f"}
    assert ids(found.after) == {"s:w"}


def test_what_only_comes_behind_an_attachment_of_the_template_is_made_again():
    behind = replace(attached("s", "w"), depends_on=("s:v",))
    parts = [part for part in PARTS if part.original_id != "s:w"]
    found = divided([*parts, behind], {"s", "v"}, {frozenset(("s", "v"))})
    assert ids(found.after) == {"s:w"}


def test_what_was_attached_by_hand_is_attached_again_although_both_are_of_the_stack():
    found = divided(PARTS, {"s", "v"}, set())
    assert ids(found.after) == {"s:v", "s:w"}


def test_what_stands_on_something_of_the_stack_comes_behind_it():
    found = divided(PARTS, {"net"}, set())
    assert ids(found.after) == {"s", "s:port", "s:v", "s:w", "f:port"}
    assert ids(found.before) == {"image", "v", "w", "f"}


def test_without_members_nothing_is_taken_away():
    found = divided(PARTS, set(), set())
    assert (ids(found.before), found.after, found.own) == (ids(PARTS), [], {})

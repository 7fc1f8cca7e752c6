# SPDX-License-Identifier: Apache-2.0
"""Is a template of a user changed only where its data comes from, and refused where that cannot be?"""

import pytest

from karbor.heat.original import brought_back, linked, rebuilt, refusals
from karbor.heat.origins import Member, Origin
from karbor.model import errors
from karbor.sdk.template import HeatParameter, HeatResource, reference

SERVER, VOLUME = "OS::Nova::Server", "OS::Cinder::Volume"


def stack(resources, members, **more):
    template = {"heat_template_version": "2018-08-31", "resources": resources, **more.pop("template", {})}
    return Origin(
        "id", "shop", template, tuple(Member(id_, type_, name) for name, (id_, type_) in members.items()), **more
    )


def one(resource, part, values=None, **more):
    """The properties of the only resource of a stack, made again."""
    member = {"it": (part.original_id, resource["type"])}
    template = rebuilt(stack({"it": resource}, member, **more), {part.original_id: part}, values or {}, {})
    return template.document["resources"]["it"]["properties"]


def test_a_volume_is_made_of_the_restored_one_and_stays_the_users_own_otherwise():
    resource = {"type": VOLUME, "properties": {"size": {"get_param": "s"}, "image": "old", "name": "mine"}}
    found = one(resource, HeatParameter("v", "restored"))
    assert found == {"size": {"get_param": "s"}, "name": "mine", "source_volid": "restored"}


def test_a_volume_is_made_of_its_snapshot():
    part = HeatResource("v", VOLUME, {"name": "other", "size": 9, "snapshot_id": "snap"})
    assert one({"type": VOLUME, "properties": {"size": 1}}, part) == {"size": 1, "snapshot_id": "snap"}


@pytest.mark.parametrize(
    ("type_", "given", "kept"),
    [
        ("OS::Manila::Share", {"snapshot": "s"}, {"size": 1}),
        ("OS::Trove::Instance", {"restore_point": "b"}, {"flavor": "1"}),
    ],
)
def test_shares_and_databases_are_made_of_what_was_kept(type_, given, kept):
    part = HeatResource("x", type_, {"name": "n", **given})
    assert one({"type": type_, "properties": {**kept}}, part) == {**kept, **given}


def test_a_server_boots_from_the_restored_image():
    part = HeatResource("s", SERVER, {"image": reference("image@s")})
    resource = {"type": SERVER, "properties": {"image": {"get_param": "i"}, "flavor": "mine"}}
    assert one(resource, part, {"image@s": "new"}) == {"image": "new", "flavor": "mine"}


def test_a_server_boots_from_the_restored_volume_that_nova_had_made_of_an_image():
    devices = [{"boot_index": 0, "volume_id": reference("root"), "delete_on_termination": True}]
    part = HeatResource("s", SERVER, {"block_device_mapping_v2": devices})
    own = [{"image": "base", "volume_size": 2, "boot_index": 0}, {"volume_id": "other", "boot_index": -1}]
    found = one({"type": SERVER, "properties": {"block_device_mapping_v2": own}}, part, {"root": "restored"})
    first = {"boot_index": 0, "volume_id": "restored", "delete_on_termination": True}
    assert found == {"block_device_mapping_v2": [first, own[1]]}


def test_a_server_that_boots_from_a_volume_of_the_stack_stays_as_it_is():
    devices = [{"boot_index": 0, "volume_id": reference("v")}]
    server = {"type": SERVER, "properties": {"block_device_mapping_v2": [{"volume_id": {"get_resource": "root"}}]}}
    origin = stack({"web": server, "root": {"type": VOLUME}}, {"web": ("s", SERVER), "root": ("v", VOLUME)})
    parts = {"s": HeatResource("s", SERVER, {"block_device_mapping_v2": devices}), "v": HeatParameter("v", "new")}
    found = rebuilt(origin, parts, {"v": "new"}, {}).document["resources"]
    assert found["web"] == server
    assert found["root"]["properties"] == {"source_volid": "new"}


def test_old_ids_of_what_comes_back_outside_become_new_ones():
    resources = {"web": {"type": SERVER, "properties": {"networks": [{"network": "old-net"}], "image": "old"}}}
    origin = stack(
        resources,
        {"web": ("s", SERVER)},
        template={"parameters": {"net": {}, "colour": {}}},
        parameters={"net": "old-net", "colour": "red"},
        environment={"parameter_defaults": {"also": "old-net"}},
    )
    part = HeatResource("s", SERVER, {"image": reference("i")})
    found = rebuilt(origin, {"s": part}, {"old-net": "new-net", "i": "new", "s": "never"}, {"colour": "blue"})
    assert found.document["resources"]["web"]["properties"]["networks"] == [{"network": "new-net"}]
    assert found.launch["parameters"] == {"net": "new-net", "colour": "blue"}
    assert found.launch["environment"] == {"parameter_defaults": {"also": "new-net"}}


def test_a_hidden_parameter_of_a_template_further_down_is_given_as_a_default():
    origin = stack({}, {}, hidden=("deep",), environment={"parameter_defaults": {"size": 1}})
    assert refusals(origin, set(), {"deep": "x"}) == []
    launch = rebuilt(origin, {}, {}, {"deep": "x"}).launch
    assert launch["parameters"] == {}
    assert launch["environment"] == {"parameter_defaults": {"size": 1, "deep": "x"}}


def test_data_from_what_is_not_there_is_refused():
    part = HeatResource("s", SERVER, {"image": reference("image@s")})
    with pytest.raises(errors.InvalidInput, match="image@s"):
        one({"type": SERVER, "properties": {}}, part)


def test_an_image_of_a_stack_is_left_to_it():
    resource = {"type": "OS::Glance::WebImage", "properties": {"location": "http://there"}}
    origin = stack({"it": resource}, {"it": ("i", "OS::Glance::WebImage")}, parameters={"used": "i"})
    assert brought_back(origin, {"i"}) == []
    found = rebuilt(origin, {}, {"i": "new"}, {})
    assert found.document["resources"] == {"it": resource}
    assert found.launch["parameters"] == {"used": "new"}


def test_the_kept_stack_is_not_changed():
    resource = {"type": VOLUME, "properties": {"size": 1}}
    origin = stack({"it": resource}, {"it": ("v", VOLUME)})
    rebuilt(origin, {"v": HeatParameter("v", "new")}, {}, {})
    assert origin.template["resources"]["it"]["properties"] == {"size": 1}


def deployment(server):
    return {"type": "OS::Heat::SoftwareDeployment", "properties": {"server": {"get_resource": server}}}


@pytest.mark.parametrize(
    ("origin", "given", "told"),
    [
        (Origin("id", "shop", {"AWSTemplateFormatVersion": "2010-09-09"}, (Member("s", SERVER, "a"),)), {}, "format"),
        (
            Origin("id", "shop", {"heat_template_version": "x"}, (Member("s", SERVER, "deep", True),)),
            {},
            "deep belongs",
        ),
        (stack({"web": {"type": SERVER}, "d": deployment("web")}, {"web": ("s", SERVER)}), {}, "d would configure"),
        (stack({}, {"web": ("s", SERVER)}, hidden=("key",)), {}, "hidden parameter key"),
        (stack({}, {"web": ("s", SERVER)}), {"colour": "red"}, "no parameter colour"),
    ],
)
def test_what_cannot_be_made_again_is_named(origin, given, told):
    (refusal,) = refusals(origin, {"s"}, given)
    assert told in refusal.message
    assert refusal.next_action


def test_what_is_not_restored_stands_in_nobodys_way():
    nested = Origin("id", "shop", {"heat_template_version": "x"}, (Member("s", SERVER, "deep", True),))
    configured = stack({"web": {"type": SERVER}, "d": deployment("other")}, {"web": ("s", SERVER)})
    assert refusals(nested, {"else"}, {}) == []
    assert refusals(configured, {"s"}, {}) == []


def test_it_is_known_what_a_template_ties_together():
    tie = {"properties": {"instance_uuid": {"get_resource": "web"}, "volume_id": {"get_resource": "data"}}}
    origin = stack({"web": {}, "data": {}, "tie": {"type": "A", **tie}}, {"web": ("s", SERVER), "data": ("v", VOLUME)})
    assert linked(origin, {"s", "v"}) == {frozenset(("s", "v"))}
    assert linked(origin, {"s"}) == set()

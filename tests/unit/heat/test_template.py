# SPDX-License-Identifier: Apache-2.0
"""Do parts of many plug-ins make one template that Heat can read and a person can launch?"""

import pytest
import yaml

from karbor.heat.template import assemble
from karbor.model import errors
from karbor.sdk.template import HeatParameter, HeatResource, reference

VOLUME = HeatParameter("vol-1", "new-vol", "volume data of vol-1")
SERVER = HeatResource(
    "srv-1",
    "OS::Nova::Server",
    {
        "name": "web",
        "networks": [{"port": reference("port-1")}],
        "block_device_mapping_v2": [{"volume_id": reference("vol-1"), "boot_index": 0}],
    },
    depends_on=("port-1", "gone"),
)
PORT = HeatResource("port-1", "OS::Neutron::Port", {"network": reference("net-1", or_else="net-here")})


def made(*parts):
    return assemble(parts, description="Restore of web").document


def test_references_become_heats_own_words():
    found = made(SERVER, PORT, VOLUME)["resources"]["server_srv_1"]
    assert found["properties"]["networks"] == [{"port": {"get_resource": "port_port_1"}}]
    assert found["properties"]["block_device_mapping_v2"][0]["volume_id"] == {"get_param": "given_vol_1"}
    assert found["depends_on"] == ["port_port_1"]


def test_what_is_not_restored_is_what_the_user_mapped_it_to():
    assert made(PORT)["resources"]["port_port_1"]["properties"] == {"network": "net-here"}


def test_what_is_restored_goes_before_the_mapping():
    net = HeatResource("net-1", "OS::Neutron::Net")
    assert made(PORT, net)["resources"]["port_port_1"]["properties"] == {"network": {"get_resource": "net_net_1"}}


def test_a_need_that_nothing_meets_is_told_by_both_names():
    with pytest.raises(errors.InvalidInput, match=r"OS::Nova::Server srv-1 needs port-1"):
        made(SERVER, VOLUME)


def test_an_attribute_of_a_resource_can_be_named():
    router = HeatResource("r", "OS::Neutron::Router", {"value": reference("port-1", attribute="mac_address")})
    found = made(router, PORT)["resources"]["router_r"]["properties"]
    assert found == {"value": {"get_attr": ["port_port_1", "mac_address"]}}


def test_the_order_of_the_parts_changes_nothing():
    assert made(SERVER, PORT, VOLUME) == made(VOLUME, PORT, SERVER)


def test_the_exported_text_says_the_same_and_holds_the_values():
    template = assemble([SERVER, PORT, VOLUME], description="Restore of web")
    read = yaml.safe_load(template.to_yaml())
    assert read == template.document
    assert read["parameters"]["given_vol_1"]["default"] == "new-vol"


def test_the_same_thing_twice_is_refused():
    with pytest.raises(errors.IntegrityError, match="vol-1 back twice"):
        made(VOLUME, VOLUME)


def test_two_ids_that_would_share_a_name_are_refused():
    with pytest.raises(errors.IntegrityError, match="have the name"):
        made(HeatResource("a-b", "OS::Neutron::Net"), HeatResource("a_b", "OS::Neutron::Net"))


def test_what_is_no_json_is_refused():
    with pytest.raises(TypeError):
        made(HeatResource("a", "OS::Neutron::Net", {"name": object()}))


def test_without_resources_there_is_nothing_for_heat():
    assert not assemble([VOLUME], description="")
    assert assemble([PORT], description="")

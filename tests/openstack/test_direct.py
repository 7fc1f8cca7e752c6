# SPDX-License-Identifier: Apache-2.0
"""Does the real cloud build a template without Heat, once; and does the real Heat take a stack of a user again?"""

import contextlib
import json
import uuid

import pytest

from karbor.clients.heat import HeatStacks
from karbor.common import faultpoints
from karbor.common.clock import Clock
from karbor.heat.direct import DirectBuilder
from karbor.heat.options import StackOptions
from karbor.heat.origins import Origin, origins
from karbor.heat.stack import StackBuilder
from karbor.heat.template import Template, assemble
from karbor.protection.originals import Originals
from karbor.protection.stackstep import StackStep, builder_for
from karbor.sdk.marks import MARK
from karbor.sdk.template import HeatParameter, HeatResource, reference

VOLUME = "OS::Cinder::Volume"
CREATE = {
    "heat_template_version": "2018-08-31",
    "parameters": {"name": {"type": "string"}, "key": {"type": "string", "hidden": True}},
    "resources": {
        "net": {"type": "OS::Neutron::Net", "properties": {"name": {"get_param": "name"}}},
        "data": {
            "type": VOLUME,
            "properties": {"size": 1, "name": {"get_param": "name"}, "metadata": {"key": {"get_param": "key"}}},
        },
    },
}


class Killed(BaseException):
    """The process is no more."""


def parts(name):
    rule = {"direction": "ingress", "ethertype": "IPv4", "protocol": "tcp", "port_range_min": 22, "port_range_max": 22}
    return [
        HeatResource("net", "OS::Neutron::Net", {"name": name, "value_specs": {"description": "inner"}}),
        HeatResource("sub", "OS::Neutron::Subnet", {"name": name, "network": reference("net"), "ip_version": 4,
                                                    "cidr": "10.97.0.0/24", "gateway_ip": "10.97.0.1"}),
        HeatResource("router", "OS::Neutron::Router", {"name": name}),
        HeatResource("door", "OS::Neutron::RouterInterface", {"router": reference("router"),
                                                              "subnet": reference("sub")}, shown=False),
        HeatResource("group", "OS::Neutron::SecurityGroup", {"name": name, "rules": [rule]}),
        HeatResource("port", "OS::Neutron::Port", {"name": name, "network": reference("net"),
                                                   "security_groups": [reference("group")]}),
        HeatResource("disk", VOLUME, {"name": name, "size": 1, "metadata": {"app": "shop"}}),
    ]  # fmt: skip


def marked(cloud):
    """Everything in the project that bears a mark."""
    kinds = ("networks", "subnets", "routers", "ports", "security_groups")
    found = []
    for kind in kinds:
        query = {"project_id": cloud.project_id}
        for one in cloud.network.get(f"/{kind.replace('_', '-')}", params=query).json()[kind]:
            if any(tag.startswith(MARK) for tag in one["tags"]) or one.get("description", "").startswith(MARK):
                found.append(one["id"])
    volumes = cloud.block_storage.get("/volumes/detail").json()["volumes"]
    return sorted([*found, *(one["id"] for one in volumes if "karbor_mark" in one["metadata"])])


def test_what_is_built_without_heat_is_built_once_and_removed_completely(tenant):
    cloud, restore_id = tenant("demo"), str(uuid.uuid4())
    template = assemble(parts(f"direct-{restore_id[:8]}"), description="direct")
    before, reached = marked(cloud), []

    def builder():
        return DirectBuilder(cloud, restore_id, Clock(), lambda: None)

    def build():
        return builder().build("direct", template, report=lambda _now: None, timeout_minutes=20)

    def die(name):
        reached.append(name)
        if len(reached) in (4, 13, 25):
            raise Killed(name)

    faultpoints.arm(die)
    try:
        with contextlib.ExitStack() as undo:
            undo.callback(builder().remove, "direct", template)
            undo.callback(faultpoints.disarm)
            ids, deaths = None, 0
            while ids is None:
                try:
                    ids = build()
                except Killed:
                    deaths += 1
            faultpoints.disarm()
            assert deaths == 3
            assert build() == ids
            made = set(marked(cloud)) - set(before)
            assert len(made) == 7  # the interface is a port of its own
            net = cloud.network.get(f"/networks/{ids['net_net']}").json()["network"]
            assert net["description"] == "inner"
            disk = cloud.block_storage.get(f"/volumes/{ids['volume_disk']}").json()["volume"]
            assert (disk["status"], disk["metadata"]["app"]) == ("available", "shop")
    finally:
        faultpoints.disarm()
    assert marked(cloud) == before


@pytest.fixture
def stack(tenant):
    """A stack of a user in Heat: its name, and its members."""
    cloud, name = tenant("demo"), f"own-{uuid.uuid4().hex[:8]}"
    builder = StackBuilder(HeatStacks(cloud), Clock(), lambda: None)
    launch = {"parameters": {"name": name, "key": "hunter2"}}
    HeatStacks(cloud).create(name, CREATE, tags=(), timeout_minutes=20, launch=launch)
    try:
        nothing = Template("")
        yield cloud, name, builder.build(name, nothing, report=lambda _now: None, timeout_minutes=20)
    finally:
        builder.remove(name, nothing)


def test_a_stack_of_a_user_is_made_again_with_the_restored_data(stack):
    cloud, name, made = stack
    (kept,) = origins(cloud, {made["data"]}, networks=False)
    assert (kept.name, kept.hidden, kept.parameters) == (name, ("key",), {"name": name})
    assert "hunter2" not in json.dumps(kept.to_dict())
    origin = Origin.from_dict(json.loads(json.dumps(kept.to_dict())))
    StackBuilder(HeatStacks(cloud), Clock(), lambda: None).remove(name, Template(""))
    body = {"volume": {"size": 1, "name": f"{name}-restored", "metadata": {"karbor": "restored"}}}
    restored = cloud.block_storage.post("/volumes", json=body).json()["volume"]["id"]
    cloud.wait(
        lambda: cloud.block_storage.get(f"/volumes/{restored}").json()["volume"],
        lambda one: one["status"] == "available",
        what="the restored volume",
        deadline=600,
    )
    options = StackOptions.parse({"stack_parameters": json.dumps({name: {"key": "hunter2"}})})
    rest = (options, str(uuid.uuid4()), Clock(), lambda: None)
    step = StackStep(
        builder_for(cloud, *rest),
        options,
        rest[1],
        show=lambda *_: None,
        put=lambda *_: None,
        originals=Originals(cloud, [origin], *rest),
    )
    results = {"T#v:restore": {"template": [HeatParameter(made["data"], restored).to_dict()]}}
    ids = step.build(results, description="again")["new_ids"]
    assert step.build(results, description="again")["new_ids"] == ids
    try:
        (now,) = origins(cloud, {ids[made["data"]]}, networks=False)
        assert {one.name for one in now.members} == {"net", "data"} and now.name == name
        volume = cloud.block_storage.get(f"/volumes/{ids[made['data']]}").json()["volume"]
        assert (volume["source_volid"], volume["metadata"]["key"]) == (restored, "hunter2")
        left = [one["id"] for one in cloud.block_storage.get("/volumes/detail").json()["volumes"]]
        assert restored not in left
    finally:
        step.remove(results, description="again")
    assert HeatStacks(cloud).find(name) is None

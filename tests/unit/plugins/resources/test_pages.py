# SPDX-License-Identifier: Apache-2.0
"""Is the same seen of a server and a volume, whether they are asked for one by one or taken from lists?"""

import pytest

from karbor.common.once import Once
from karbor.model import errors
from karbor.model.resource import Resource
from karbor.plugins.resources.nova import Nova, described
from karbor.plugins.resources.pages import Pages
from karbor.sdk.testing.memorycloud import MemoryCloud
from karbor.sdk.testing.work import TwinWork

SERVER, VOLUME = "OS::Nova::Server", "OS::Cinder::Volume"


@pytest.fixture
def memory():
    found = MemoryCloud()
    net = found.networks.add("alpha", "networks", name="net")
    found.networks.add("alpha", "subnets", network_id=net["id"], cidr="10.0.0.0/24")
    for number in range(10):
        server = found.compute.add("alpha", f"s{number}", metadata={"n": str(number)})
        found.volumes.add("alpha", f"v{number}", server=server)
        found.volumes.add("alpha", f"w{number}", server=server)
        found.networks.add("alpha", "ports", network_id=net["id"], device_id=server["id"])
    return found


def _work(memory, id_, *, type_=SERVER, many=True, once=None):
    ids = frozenset(memory.things["server" if type_ == SERVER else "volume"])
    together = {type_: ids} if many else {}
    cloud = memory.open("alpha", pause=lambda _seconds: None)
    return TwinWork("protect", Resource(type_, id_, id_), cloud=cloud, once=once, together=together)


def test_lists_tell_of_servers_what_single_questions_tell(memory):
    once = Once()
    for id_ in memory.things["server"]:
        alone = described(Nova(_work(memory, id_, many=False)), id_)
        assert described(Nova(_work(memory, id_, once=once)), id_) == alone
        assert len(alone["volumes"]) == 2 and all(one["device"] for one in alone["volumes"])
        assert len(alone["ports"]) == 1


def test_many_servers_and_volumes_cost_a_list_of_each_kind(memory):
    once = Once()
    before = sum(memory.calls.values())
    for id_ in memory.things["server"]:
        described(Nova(_work(memory, id_, once=once)), id_)
    for id_ in memory.things["volume"]:
        assert Pages(_work(memory, id_, type_=VOLUME, once=once)).volume(id_)["id"] == id_
    assert not memory.calls["compute", "GET", "/servers/{id_}"]
    assert not memory.calls["block-storage", "GET", "/volumes/{id_}"]
    lists = ("/servers/detail", "/volumes/detail", "/os-server-groups", "/{collection}")
    assert sum(amount for (_service, _method, path), amount in memory.calls.items() if path in lists) == 7
    assert before == 0


@pytest.mark.parametrize(("type_", "ask"), [(SERVER, "server"), (VOLUME, "volume")])
def test_what_came_after_the_list_is_found_and_what_went_is_not(memory, type_, ask):
    once = Once()
    some = next(iter(memory.things[ask]))
    getattr(Pages(_work(memory, some, type_=type_, once=once)), ask)(some)
    new = (memory.compute if type_ == SERVER else memory.volumes).add("alpha", "new")["id"]
    assert getattr(Pages(_work(memory, new, type_=type_, once=once)), ask)(new)["name"] == "new"
    with pytest.raises(errors.NotFound):
        getattr(Pages(_work(memory, "gone", type_=type_, once=once)), ask)("gone")

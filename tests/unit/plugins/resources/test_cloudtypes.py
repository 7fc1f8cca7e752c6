# SPDX-License-Identifier: Apache-2.0
"""Does each tenant find what is its own in a cloud, page by page, and with how many questions?"""

import math

import pytest

from karbor.clients.openstack import CloudSettings
from karbor.model import errors
from karbor.model.resource import Resource
from karbor.model.selection import Choice, Pattern
from karbor.plugins.resources.cloudtypes import DATABASE, IMAGE, NETWORK, PROJECT, SERVER, SHARE, VOLUME
from karbor.sdk.testing.memorycloud import MemoryCloud
from tests.support.clouds import application, protectables

LISTED = (SERVER, VOLUME, IMAGE, SHARE, DATABASE)


@pytest.fixture
def memory():
    return MemoryCloud()


def _seen(memory, project="alpha"):
    cloud = memory.open(project, pause=lambda _seconds: None)
    return protectables().for_caller(lambda: cloud), cloud


def _add(memory, type_, project, name, **more):
    adders = {
        SERVER: memory.compute.add,
        VOLUME: memory.volumes.add,
        IMAGE: memory.images.add,
        SHARE: memory.shares.add,
        DATABASE: memory.databases.add,
    }
    return adders[type_](project, name, **more)["id"]


def _ids(registry, project_id, type_, **more):
    asked = {"after": "", "limit": 1000, "parameters": None, **more}
    return [one["id"] for one in registry.list_instances(project_id, type_, **asked)]


def test_a_cloud_has_the_types_that_users_know():
    below = {entry["name"]: entry["dependent_types"] for entry in protectables().types()}
    everything = sorted([SERVER, VOLUME, IMAGE, NETWORK, SHARE, DATABASE])
    assert below == {**dict.fromkeys(everything, []), PROJECT: everything, SERVER: sorted([VOLUME, IMAGE])}


@pytest.mark.parametrize("type_", LISTED)
def test_a_tenant_sees_its_own_and_nobody_elses(memory, type_):
    mine, foreign = _add(memory, type_, "alpha", "mine"), _add(memory, type_, "beta", "theirs")
    registry, cloud = _seen(memory)
    assert _ids(registry, cloud.project_id, type_) == [mine]
    assert registry.show_instance(cloud.project_id, type_, mine, parameters=None)["name"] == "mine"
    for id_ in (foreign, "nothing", "..", "x?all_tenants=1", "x#y", "%2e%2e", ""):
        with pytest.raises(errors.ResourceNotFound):
            registry.show_instance(cloud.project_id, type_, id_, parameters=None)
        assert registry.why_not(cloud.project_id, [Resource(type_, id_ or "-", "n")])[0]


def test_somebody_with_rights_in_every_project_sees_one_of_them_as_well(memory):
    server = memory.compute.add("alpha", "mine")
    registry, cloud = _seen(memory)
    with pytest.raises(errors.ResourceNotFound):
        registry.show_instance(memory.project("beta"), SERVER, server["id"], parameters=None)
    assert _ids(registry, memory.project("beta"), SERVER) == []


@pytest.mark.parametrize("type_", LISTED)
@pytest.mark.parametrize("limit", [1, 3, 7, 50])
def test_pages_show_everything_once_in_order_of_id(memory, type_, limit):
    made = sorted(_add(memory, type_, "alpha", f"n{number}") for number in range(7))
    registry, cloud = _seen(memory)
    seen, after = [], ""
    while page := _ids(registry, cloud.project_id, type_, after=after, limit=limit):
        assert len(page) <= limit
        seen += page
        after = page[-1]
    assert seen == made


@pytest.mark.parametrize("type_", LISTED)
def test_a_page_goes_on_behind_what_was_deleted_meanwhile(memory, type_):
    made = sorted(_add(memory, type_, "alpha", f"n{number}") for number in range(4))
    registry, cloud = _seen(memory)
    kind = {SERVER: "server", VOLUME: "volume", IMAGE: "image", SHARE: "share", DATABASE: "instance"}[type_]
    del memory.things[kind][made[1]]
    assert _ids(registry, cloud.project_id, type_, after=made[1]) == made[2:]


@pytest.mark.parametrize(
    ("type_", "state"),
    [(SERVER, "ERROR"), (SERVER, "SOFT_DELETED"), (VOLUME, "error_deleting"), (IMAGE, "deactivated"),
     (SHARE, "reverting_error"), (DATABASE, "BUILD")],
)  # fmt: skip
def test_what_is_in_no_state_to_be_protected_is_hidden_and_a_page_is_full_all_the_same(memory, type_, state):
    made = sorted(_add(memory, type_, "alpha", f"n{number}") for number in range(6))
    registry, cloud = _seen(memory)
    for things in memory.things.values():
        if made[0] in things:
            things[made[0]]["status"] = things[made[2]]["status"] = state
    assert _ids(registry, cloud.project_id, type_, limit=3) == [made[1], made[3], made[4]]
    with pytest.raises(errors.ResourceNotFound):
        registry.show_instance(cloud.project_id, type_, made[0], parameters=None)


def test_below_a_server_lie_its_volumes_and_the_image_it_boots_from(memory):
    project_id = application(memory, servers=3, volumes=2)
    registry, _cloud = _seen(memory)
    shown = registry.list_instances(project_id, SERVER, after="", limit=10, parameters=None)
    below = {
        one["name"]: sorted((child["type"], child["name"]) for child in one["dependent_resources"]) for one in shown
    }
    volumes = {name: [(VOLUME, f"volume-{name[-4:]}-{place}") for place in range(2)] for name in below}
    assert below == {
        "server-0000": [*volumes["server-0000"], (IMAGE, "base")],
        "server-0001": [*volumes["server-0001"], (IMAGE, "own")],
        "server-0002": volumes["server-0002"],
    }
    image = next(one for one in shown[0]["dependent_resources"] if one["type"] == IMAGE)
    assert image["extra_info"] == {"server_id": shown[0]["id"], "disk": 1}


def test_a_root_disk_is_there_although_its_image_is_gone(memory):
    image = memory.images.add("alpha", "gone")
    server = memory.compute.add("alpha", "web", image=image)
    del memory.things["image"][image["id"]]
    registry, cloud = _seen(memory)
    (child,) = registry.show_instance(cloud.project_id, SERVER, server["id"], parameters=None)["dependent_resources"]
    assert (child["id"], child["name"]) == (image["id"], image["id"])


def test_a_volume_of_two_servers_is_one_and_lies_below_both(memory):
    volume = memory.volumes.add("alpha", "shared", multiattach=True)
    servers = [memory.compute.add("alpha", name) for name in ("one", "two")]
    for server in servers:
        memory.volumes.attach(volume, server)
    registry, cloud = _seen(memory)
    graph = registry.graph(cloud.project_id, [Resource(SERVER, one["id"], "") for one in servers])
    assert [node.resource.type for node in graph] == [VOLUME, SERVER, SERVER]
    assert len(graph.parents(next(iter(graph)).key)) == 2


def test_the_network_is_one_for_each_project(memory):
    registry, cloud = _seen(memory)
    assert _ids(registry, cloud.project_id, NETWORK) == [cloud.project_id]
    assert _ids(registry, cloud.project_id, NETWORK, after=cloud.project_id) == []
    found = registry.show_instance(cloud.project_id, NETWORK, cloud.project_id, parameters=None)
    assert found["name"] == "Network Topology"
    with pytest.raises(errors.ResourceNotFound):
        registry.show_instance(cloud.project_id, NETWORK, memory.project("beta"), parameters=None)


def test_a_project_is_the_callers_own(memory):
    registry, cloud = _seen(memory)
    assert _ids(registry, cloud.project_id, PROJECT) == [cloud.project_id]
    with pytest.raises(errors.ResourceNotFound):
        registry.show_instance(cloud.project_id, PROJECT, memory.project("beta"), parameters=None)


def test_a_plan_of_a_project_covers_all_that_is_in_it_today(memory):
    project_id = application(memory, servers=3, volumes=2)
    registry, _cloud = _seen(memory)
    graph = registry.graph(project_id, [Resource(PROJECT, project_id, "")])
    kinds = [node.resource.type for node in graph]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        SERVER: 3, VOLUME: 7, IMAGE: 3, NETWORK: 1, SHARE: 1, DATABASE: 1, PROJECT: 1,
    }  # fmt: skip  # of the images two are root disks of servers
    assert {graph[key].resource.name for key in graph.roots()} == {"alpha"}


def test_a_cloud_without_a_service_has_none_of_its_things(memory):
    poor = MemoryCloud(without=("shared-file-system", "database", "network"))
    project_id = application(poor)
    registry, _cloud = _seen(poor)
    assert [_ids(registry, project_id, type_) for type_ in (SHARE, DATABASE, NETWORK)] == [[], [], []]
    assert len(registry.graph(project_id, [Resource(PROJECT, project_id, "")])) > 5
    with pytest.raises(errors.ResourceNotFound):
        registry.show_instance(project_id, SHARE, "any", parameters=None)


def test_a_service_that_does_not_answer_is_told(memory):
    registry, cloud = _seen(memory)
    memory.fail("compute", "GET", "/servers", 503, times=100)
    with pytest.raises(errors.Unavailable, match="compute"):
        _ids(registry, cloud.project_id, SERVER)
    with pytest.raises(errors.Unavailable, match="compute"):
        registry.why_not(cloud.project_id, [Resource(SERVER, "some-id", "n")])


def test_another_region_shows_nothing(memory):
    project_id = application(memory)
    cloud = memory.open("alpha", settings=CloudSettings(region="Elsewhere"))
    assert _ids(protectables().for_caller(lambda: cloud), project_id, SERVER) == []


#: Questions of one kind: the first page of each list a page is made of, and what says how many images there are.
def _pages(number, size):
    return math.ceil((number + 1) / size)


@pytest.mark.parametrize("servers", [1, 10, 100, 1000])
def test_questions_grow_with_pages_and_not_with_resources(memory, servers):
    project_id = application(memory, servers=servers, volumes=2)
    registry, cloud = _seen(memory)
    cloud.has("compute")
    before = cloud.calls.total
    registry.list_instances(project_id, SERVER, after="", limit=1000, parameters=None)
    page = cloud.calls.total - before
    before = cloud.calls.total
    registry.graph(project_id, [Resource(PROJECT, project_id, "")])
    tree = cloud.calls.total - before
    before = cloud.calls.total
    named = [Resource(SERVER, id_, "") for id_ in memory.things["server"]]
    assert registry.why_not(project_id, named) == [None] * servers
    check = cloud.calls.total - before
    volumes = _pages(2 * servers + 1, 1000)
    # Three services say which versions they speak; each list is read once, those of a graph twice.
    assert page <= 3 + 2 * _pages(servers, 1000) + volumes + 1 + 7 * (servers < 8)
    assert tree <= 3 + 2 * (2 * _pages(servers, 1000) + 2 * volumes + 4) + 7 * (servers < 8)
    assert check <= _pages(servers, 1000) + 7 * (servers < 8)


def _select(registry, project_id, type_, **asked):
    plan = {"resources": [], "selection": [{"type": type_, **asked}]}
    return [one.name for one in registry.choose(project_id, plan).roots]


def test_servers_are_chosen_by_tags_metadata_and_names(memory):
    for name, tags, metadata in (("web-1", ["gold"], {"k": "v"}), ("web-2", ["gold", "db"], {}), ("x", ["db"], {})):
        _add(memory, SERVER, "alpha", name, tags=tags, metadata=metadata)
        _add(memory, SERVER, "beta", f"{name}-foreign", tags=tags, metadata=metadata)
    registry, cloud = _seen(memory)
    chosen = [
        _select(registry, cloud.project_id, SERVER, **asked)
        for asked in (
            {"tags": ["gold", "db"]},
            {"metadata": {"k": "v"}},
            {"name": "web-*", "exclude": {"tags": ["db"]}},
        )
    ]
    assert chosen == [["web-2"], ["web-1"], ["web-1"]]


def test_volumes_images_and_shares_are_chosen_by_what_they_have(memory):
    for name in ("one", "two"):
        _add(memory, VOLUME, "alpha", name, metadata={"tier": name})
        _add(memory, SHARE, "alpha", name, metadata={"tier": name})
        _add(memory, IMAGE, "alpha", name, tags=[name, "all"], tier=name)
    registry, cloud = _seen(memory)
    for type_ in (VOLUME, SHARE, IMAGE):
        assert _select(registry, cloud.project_id, type_, metadata={"tier": "two"}) == ["two"]
    assert _select(registry, cloud.project_id, IMAGE, tags=["one", "all"]) == ["one"]


def test_a_service_leaves_out_what_does_not_fit_where_it_can(memory):
    for number in range(5):
        _add(memory, SERVER, "alpha", f"s{number}", tags=["db"] if number == 3 else [])
        _add(memory, VOLUME, "alpha", f"v{number}", metadata={"k": "v"} if number == 3 else {})
    registry, cloud = _seen(memory)
    for type_, asked in ((SERVER, {"tags": ("db",)}), (VOLUME, {"metadata": {"k": "v"}})):
        choice = Choice(type_, Pattern(**asked))
        assert len(list(registry.plugin(type_).traits(cloud.project_id, choice))) == 1


def test_where_users_may_not_ask_so_the_volumes_are_looked_through(memory):
    for name in ("one", "two"):
        _add(memory, VOLUME, "alpha", name, metadata={"tier": name})
    registry, cloud = _seen(memory)
    memory.fail("block-storage", "GET", "/volumes/detail", 400)
    assert _select(registry, cloud.project_id, VOLUME, metadata={"tier": "two"}) == ["two"]


@pytest.mark.parametrize("asked", [{"name": "*"}, {"tags": ["db"]}])
def test_choosing_costs_one_question_for_each_page(memory, asked):
    for number in range(1200):
        _add(memory, SERVER, "alpha", f"s{number}", tags=["db"])
    registry, cloud = _seen(memory)
    choice = Choice.from_dict({"type": SERVER, **asked})
    assert len(registry.plugin(SERVER).select(cloud.project_id, choice, limit=2000)) == 1200
    assert memory.calls["compute", "GET", "/servers/detail"] == 2


def test_many_choices_of_a_type_cost_one_look_through_it(memory):
    for number in range(4):
        _add(memory, SERVER, "alpha", f"s{number}", tags=[f"t{number}"])
    registry, cloud = _seen(memory)
    choices = [{"type": SERVER, "tags": [f"t{number}"]} for number in range(5)]
    chosen = registry.choose(cloud.project_id, {"resources": [], "selection": choices})
    assert {one.name: reasons for one, reasons in chosen.resources} == {f"s{n}": [f"tag=t{n}"] for n in range(4)}
    assert chosen.empty == [f"{SERVER} with tag=t4"]
    assert memory.calls["compute", "GET", "/servers/detail"] == 1


def test_what_a_job_made_for_a_while_is_never_found(memory):
    passing = {"karbor": "passing", "karbor_job": "j"}
    _add(memory, VOLUME, "alpha", "copy", metadata=passing)
    _add(memory, IMAGE, "alpha", "karbor-passing-j-r")
    _add(memory, IMAGE, "alpha", "another name", tags=["karbor-passing-j-r"])
    _add(memory, IMAGE, "alpha", "made by Nova", karbor="passing")
    registry, cloud = _seen(memory)
    assert _ids(registry, cloud.project_id, VOLUME) == _ids(registry, cloud.project_id, IMAGE) == []

# SPDX-License-Identifier: Apache-2.0
"""Does a tenant of a real cloud find what is its own, page by page, and nobody else's?"""

import contextlib

import pytest

from karbor.model import errors
from karbor.model.resource import Resource
from karbor.plugins.resources.cloudtypes import DATABASE, IMAGE, NETWORK, PROJECT, SERVER, VOLUME
from tests.support.clouds import protectables


@pytest.fixture(scope="module")
def owned(tenant):
    """A cloud in which a tenant has three volumes, an image and a server with the first of them."""
    cloud = tenant("demo")
    block, compute, image = cloud.block_storage, cloud.compute, cloud.image
    with contextlib.ExitStack() as undo:
        volumes = []
        for number in range(3):
            made = block.create_volume(name=f"found-{number}", size=1)
            undo.callback(
                lambda id_=made.id: cloud.wait_gone(lambda: block.get_volume(id_), what="volume", deadline=600)
            )
            undo.callback(block.delete_volume, made.id)
            volumes.append(made.id)
        for id_ in volumes:
            cloud.wait_status(lambda id_=id_: block.get_volume(id_), "available", what="volume", deadline=600)
        own = image.post("/images", json={"name": "found", "disk_format": "raw", "container_format": "bare"}).json()
        undo.callback(image.delete_image, own["id"])
        server = compute.create_server(
            name="found",
            flavor_id=compute.find_flavor("m1.nano").id,
            image_id=image.find_image("ministack-fast").id,
            networks=[{"uuid": cloud.network.find_network("private").id}],
        )
        undo.callback(cloud.wait_gone, lambda: compute.get_server(server.id), what="server", deadline=600)
        undo.callback(compute.delete_server, server.id)
        cloud.wait_status(lambda: compute.get_server(server.id), "active", what="server", deadline=600)
        compute.create_volume_attachment(server.id, volumeId=volumes[0])
        cloud.wait_status(lambda: block.get_volume(volumes[0]), "in-use", what="attachment", deadline=600)
        yield cloud, server.id, volumes, own["id"]


def _listed(registry, project_id, type_, **more):
    asked = {"after": "", "limit": 1000, "parameters": None, **more}
    return registry.list_instances(project_id, type_, **asked)


def test_pages_show_every_volume_once_in_order_of_id(owned):
    cloud, _server, volumes, _image = owned
    registry, seen, after = protectables().for_caller(lambda: cloud), [], ""
    while page := _listed(registry, cloud.project_id, VOLUME, after=after, limit=2):
        seen += [one["id"] for one in page]
        after = seen[-1]
    assert seen == sorted(seen) and set(volumes) <= set(seen)
    lost = "00000000-0000-4000-8000-000000000000"
    assert [one["id"] for one in _listed(registry, cloud.project_id, VOLUME, after=lost)] == seen


def test_below_a_server_lie_its_volume_and_its_image(owned):
    cloud, server, volumes, _image = owned
    registry = protectables().for_caller(lambda: cloud)
    shown = registry.show_instance(cloud.project_id, SERVER, server, parameters=None)
    below = {child["type"]: (child["id"], child["name"]) for child in shown["dependent_resources"]}
    assert below[VOLUME] == (volumes[0], "found-0") and below[IMAGE][1] == "ministack-fast"


def test_the_project_covers_all_that_is_in_it(owned):
    cloud, server, volumes, image = owned
    registry = protectables().for_caller(lambda: cloud)
    graph = registry.graph(cloud.project_id, [Resource(PROJECT, cloud.project_id, "")])
    found = {(node.key.type, node.key.id) for node in graph}
    assert {(SERVER, server), (NETWORK, cloud.project_id), *((VOLUME, id_) for id_ in volumes)} <= found
    assert (IMAGE, image) in found  # it has no data yet, and is there all the same


def test_another_tenant_sees_nothing_of_it(owned, tenant):
    _cloud, server, volumes, image = owned
    other = tenant("other")
    registry = protectables().for_caller(lambda: other)
    named = [(SERVER, server), (IMAGE, image), *((VOLUME, id_) for id_ in volumes)]
    assert all(registry.why_not(other.project_id, [Resource(*one, "") for one in named]))
    for type_, id_ in named:
        assert id_ not in [one["id"] for one in _listed(registry, other.project_id, type_)]
        with pytest.raises(errors.ResourceNotFound):
            registry.show_instance(other.project_id, type_, id_, parameters=None)


def test_a_cloud_without_trove_has_no_databases(owned):
    cloud = owned[0]
    assert _listed(protectables().for_caller(lambda: cloud), cloud.project_id, DATABASE) == []

# SPDX-License-Identifier: Apache-2.0
"""Do the tree, its routing and its declarations agree?"""

import pecan
import pytest
import webob

from karbor.api.node import METHODS, Item, Node, walk
from karbor.api.operation import operation
from karbor.api.v1.tree import ENDPOINTS, Root
from karbor.schema.samples import sample
from tests.support.api import Api


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    made = Api(tmp_path_factory.mktemp("api"))
    yield made
    made.database.dispose()


def test_every_exposed_method_is_declared_as_an_operation():
    def nodes(node):
        yield node
        for below in [*node.below.values(), *([node.item.node] if node.item else [])]:
            yield from nodes(below)

    for node in nodes(Root):
        for name in dir(node):
            function = getattr(node, name)
            if getattr(function, "exposed", False) and name != "_route":
                assert name.upper() in METHODS
                assert hasattr(function, "operation"), (node, name)


def test_an_undeclared_method_is_found():
    class Sloppy(Node):
        @pecan.expose()
        def get(self, req, resp):
            return "x"

    with pytest.raises(TypeError, match="Sloppy.get is not declared"):
        list(walk(Sloppy))


def test_paths_come_from_the_tree():
    class Leaf(Node):
        @operation("leaf:get")
        def get(self, call):
            """Show."""

    class Top(Node):
        below = {"b": Leaf}
        item = Item("x_id", {"type": "string"}, Leaf)

    assert [(entry.method, entry.path) for entry in walk(Top)] == [("GET", "/b"), ("GET", "/{x_id}")]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda entry: entry.id)
def test_a_request_to_a_declared_path_reaches_an_operation(api, endpoint):
    path = endpoint.path.format(**{name: sample(schema) for name, schema in endpoint.path_parameters.items()})
    response = webob.Request.blank(path, method=endpoint.method).get_response(api.app)
    assert response.status_int != 405
    routed = response.status_int != 404 or "resource could not be found" not in response.text
    assert routed or "instances" in path


@pytest.mark.parametrize("path", ["/v2", "/v1/p/nope", "/v1/p", "/v1/p/plans/x/y", "//v1", "/v1//plans"])
def test_other_paths_are_not_found(api, path):
    response = webob.Request.blank(path).get_response(api.app)
    assert (response.status_int, next(iter(response.json))) in ((404, "itemNotFound"), (400, "badRequest"))


def test_a_method_that_is_not_there_is_told_with_those_that_are(api):
    response = webob.Request.blank("/v1/p/plans", method="DELETE").get_response(api.app)
    assert (response.status_int, next(iter(response.json))) == (405, "badMethod")
    assert response.headers["Allow"] == "GET, POST"


def test_a_method_cannot_be_smuggled_in_a_parameter(api):
    response = webob.Request.blank("/v1/p/plans?_method=delete").get_response(api.app)
    assert response.status_int == 200

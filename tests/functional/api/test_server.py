# SPDX-License-Identifier: Apache-2.0
"""Do answers reach a client over a real connection, also to a client that sends too much?"""

import http.client
import json
import threading

import pytest
from cheroot import wsgi

from tests.support.api import PROJECT


@pytest.fixture
def connection(api):
    server = wsgi.Server(("127.0.0.1", 0), api.app, numthreads=2)
    server.prepare()
    thread = threading.Thread(target=server.serve)
    thread.start()
    made = http.client.HTTPConnection("127.0.0.1", server.bind_addr[1], timeout=30)
    yield made
    made.close()
    server.stop()
    thread.join(10)


def answer(connection):
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def test_a_plain_request_is_answered(connection):
    connection.request("GET", f"/v1/{PROJECT}/plans")
    assert answer(connection) == (200, {"plans": []})


def test_a_type_with_colons_reaches_its_operation(connection):
    connection.request("GET", f"/v1/{PROJECT}/protectables/OS::Nova::Server")
    assert answer(connection)[0] == 200


def test_a_body_in_chunks_is_read(connection):
    connection.request("POST", f"/v1/{PROJECT}/plans", body=iter([b'{"pl', b'an": {}}']))
    status, body = answer(connection)
    assert (status, list(body)) == (400, ["badRequest"])
    assert "required" in body["badRequest"]["message"]


@pytest.mark.parametrize("path", [f"/v1/{PROJECT}/plans", f"/v1/{PROJECT}/restores"])
def test_ten_megabytes_are_refused_in_an_answer_that_arrives(connection, path):
    connection.request("POST", path, body=b"x" * 10_000_000)
    status, body = answer(connection)
    assert (status, list(body)) == (413, ["overLimit"])


def test_ten_megabytes_in_chunks_are_refused_in_an_answer_that_arrives(connection):
    connection.request("POST", f"/v1/{PROJECT}/plans", body=iter([b"x" * 100_000] * 100))
    assert answer(connection)[0] == 413

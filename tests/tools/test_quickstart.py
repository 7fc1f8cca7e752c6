# SPDX-License-Identifier: Apache-2.0
"""Does the quickstart tell the truth about what it saw?"""

import http.server
import threading

import pytest

from tools.quickstart import files, show
from tools.quickstart.client import Client, RestError
from tools.quickstart.story import Point, Story, StoryError


def _story(*points):
    story = Story(directory=None, client=None, connection=None, domain_type="qemu")
    story.points = list(points)
    return story


def _point(**rest):
    return Point({"id": "x"}, {"vda/a": "1", "vda/b": "2"}, 1.0, **rest)


def test_two_verified_points_make_the_verdict():
    story = _story(_point(), _point(verified=True), _point(verified=True))
    assert story.verdict() == "restored and verified: 2 checkpoints, 4 files, 0 differences"


def test_one_difference_is_no_success():
    story = _story(_point(), _point(verified=True), _point(differences=["different: vda/a"]))
    with pytest.raises(StoryError, match="1 differences.*vda/a"):
        story.verdict()


def test_a_point_that_was_not_restored_is_no_success():
    with pytest.raises(StoryError):
        _story(_point(), _point(verified=True), _point()).verdict()


def test_every_kind_of_difference_is_seen():
    expected, found = {"same": "1", "changed": "1", "gone": "1"}, {"same": "1", "changed": "2", "new": "1"}
    assert files.differences(expected, found) == ["missing: gone", "not there at that point: new", "different: changed"]


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1536, "1.5 KiB"), (3 << 20, "3.0 MiB"), (5 << 40, "5120.0 GiB")]
)
def test_sizes_are_for_people(count, text):
    assert show.size(count) == text


def test_the_reason_of_a_refused_request_is_shown():
    class Refuse(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(404)
            self.end_headers()
            self.wfile.write(b'{"itemNotFound": {"code": 404, "message": "no such plan"}}')

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Refuse) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(RestError, match=r"GET /plans/1: no such plan \(HTTP 404\)"):
            Client(f"http://127.0.0.1:{server.server_port}/v1/p").get("/plans/1")
        thread.join()


def test_a_service_that_is_not_there_is_a_plain_reason():
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        port = server.server_port
    with pytest.raises(RestError, match="refused"):
        Client(f"http://127.0.0.1:{port}").get("/")

# SPDX-License-Identifier: Apache-2.0
"""Does whoever may read a file of a checkpoint get exactly what is asked for, and no more than the operator allows?"""

import hashlib
import random

import pytest
import webob

from karbor.model import errors
from karbor.rpc.interface import FILE_PART
from tests.support.api import OTHER_PROJECT, PROJECT, PROVIDER, Api

BIG = random.Random(5).randbytes(2 * FILE_PART + 777)


def address(api, *, path="/etc/hosts", project=PROJECT, **more):
    checkpoint = api.checkpoint(**more)["id"]
    return f"/v1/{project}/providers/{PROVIDER}/checkpoints/{checkpoint}/files/content?path={path}"


def read(api, url, method="GET", **headers):
    return api.raw(method, url, headers={name.replace("_", "-"): text for name, text in headers.items()})


def test_a_small_file_comes_whole_with_its_name(api):
    url = address(api) + "&volume=p1"
    answer = read(api, url)
    assert (answer.status_int, answer.body, answer.content_length) == (200, api.workers.file, len(api.workers.file))
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment; filename=\"hosts\"; filename*=UTF-8''hosts"
    assert (answer.headers["X-Content-Type-Options"], answer.headers["Accept-Ranges"]) == ("nosniff", "bytes")
    assert api.workers.asked_with == {"resource": None, "stream": None, "volume": "p1", "path": "/etc/hosts"}


def test_a_large_file_comes_in_parts_of_bounded_size(api):
    api.workers.file = BIG
    answer = read(api, address(api))
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(BIG).digest()
    assert api.workers.parts == [(0, FILE_PART), (FILE_PART, FILE_PART), (2 * FILE_PART, 777)]


@pytest.mark.parametrize(
    ("asked", "begin", "end"),
    [("bytes=0-0", 0, 1), ("bytes=5-", 5, None), ("bytes=-7", -7, None), ("bytes=100-999999999", 100, None)],
)
def test_a_range_comes_alone(api, asked, begin, end):
    api.workers.file = BIG
    answer = read(api, address(api), Range=asked)
    assert answer.body == BIG[begin:end]
    start = begin % len(BIG)
    assert answer.status_int == 206
    assert answer.headers["Content-Range"] == f"bytes {start}-{start + len(answer.body) - 1}/{len(BIG)}"
    assert all(length <= FILE_PART for _offset, length in api.workers.parts)


@pytest.mark.parametrize("asked", ["bytes=1-2,4-5", "bytes=2-1", "lines=1-2", "bytes=a-b", "bytes=", "\xff"])
def test_what_is_no_single_range_counts_as_absent(api, asked):
    answer = read(api, address(api), Range=asked)
    assert (answer.status_int, answer.body) == (200, api.workers.file)


def test_a_range_behind_the_end_is_told_the_size(api):
    answer = read(api, address(api), Range="bytes=20-")
    assert (answer.status_int, answer.headers["Content-Range"]) == (416, "bytes */20")
    assert answer.json_body["badRange"]["code"] == 416


def test_a_range_of_another_content_is_all_of_the_new_one(api):
    url = address(api)
    tag = read(api, url).headers["ETag"]
    assert read(api, url, Range="bytes=1-2", If_Range=tag).body == api.workers.file[1:3]
    api.workers.file += b"more"
    assert read(api, url, Range="bytes=1-2", If_Range=tag).body == api.workers.file


def test_only_the_head_is_asked_for(api):
    answer = read(api, address(api), method="HEAD")
    assert (answer.status_int, answer.body, answer.content_length) == (200, b"", 20)
    assert api.workers.parts == [(0, 0)]


def test_an_empty_file_is_empty(api):
    api.workers.file = b""
    assert (read(api, address(api)).status_int, read(api, address(api)).body) == (200, b"")


@pytest.mark.parametrize("name", ['a"b\r\nSet-Cookie: x=1', "ümlaut", ".profile", "\U0001f600" * 300, "a/b", ";", ""])
def test_a_name_from_a_disk_never_breaks_a_header(api, name):
    api.workers.file_name = name
    told = read(api, address(api)).headers["Content-Disposition"]
    assert told.isascii() and told.isprintable() and len(told) < 4000
    assert told.startswith('attachment; filename="') and told.count('"') == 2


@pytest.mark.parametrize("path", ["", "etc", "/a%00b", "/nothing"])
def test_a_wrong_question_is_refused(api, path):
    assert read(api, address(api, path=path)).status_int == 400


def test_without_a_path_nothing_is_read(api):
    url = address(api).partition("?")[0]
    assert read(api, url).status_int == 400
    assert api.workers.parts == []


def test_only_what_is_available_is_read(api):
    assert read(api, address(api, status="error")).status_int == 409
    url = address(api)
    api.workers.silent = True
    assert read(api, url).status_int == 503


def test_of_a_read_that_breaks_off_the_client_sees_that_something_is_missing(api):
    api.workers.file, api.workers.breaks_at = BIG, 2
    url = address(api)
    answer = read(api, url)
    assert answer.content_length == len(BIG)
    with pytest.raises(errors.BankUnavailable):
        answer.body  # noqa: B018 - reading it is the point
    api.workers.breaks_at = 0
    assert read(api, url).body == BIG, "and its place is free again"


def test_a_file_that_is_larger_than_allowed_is_refused(tmp_path):
    api = Api(tmp_path)
    api.conf.set_override("file_max", 8, group="export")
    api.workers.file = BIG
    url = address(api)
    assert read(api, url).status_int == 413
    assert read(api, url, Range="bytes=0-5").status_int == 413
    api.conf.set_override("file_max", 9, group="export")
    assert read(api, url).status_int == 200
    api.database.dispose()


def test_a_project_has_so_many_downloads_at_a_time(api):
    url = address(api)
    running = [api.app(_environ(url), _ignore) for _ in range(api.conf.export.project_downloads)]
    refused = read(api, url)
    assert (refused.status_int, refused.headers["Retry-After"]) == (413, "1")
    for answer in running:
        answer.close()
    assert read(api, url).status_int == 200


def _environ(url):
    return webob.Request.blank(url).environ


def _ignore(_status, _headers, _exc_info=None):
    pass


def test_an_administrator_reads_those_of_other_projects(api):
    assert read(api, address(api, project=OTHER_PROJECT)).body == api.workers.file

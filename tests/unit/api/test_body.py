# SPDX-License-Identifier: Apache-2.0
"""Is a body read within bounds, and only as JSON that can be kept?"""

import io

import pytest

from karbor.api import body
from karbor.model import errors


def environ(data=b"", **more):
    return {"wsgi.input": io.BytesIO(data), **more}


def test_a_body_is_read_up_to_its_declared_length():
    assert body.read(environ(b"abcdef", CONTENT_LENGTH="3"), limit=10) == b"abc"


def test_without_a_length_there_is_no_body():
    assert body.read(environ(b"abcdef"), limit=10) == b""


def test_a_chunked_body_is_read_to_its_end():
    assert body.read(environ(b"abcdef", HTTP_TRANSFER_ENCODING="chunked"), limit=10) == b"abcdef"


@pytest.mark.parametrize("more", [{"CONTENT_LENGTH": "11"}, {"HTTP_TRANSFER_ENCODING": "chunked"}])
def test_a_body_over_the_limit_is_refused(more):
    with pytest.raises(errors.TooLarge, match="larger than 10 bytes"):
        body.read(environ(b"x" * 11, **more), limit=10)


@pytest.mark.parametrize("text", ["-1", "x", "1e3", "٣"])
def test_a_wrong_length_is_refused(text):
    with pytest.raises(errors.InvalidInput):
        body.declared_length({"CONTENT_LENGTH": text})


@pytest.mark.parametrize("data", [b"", b" \n "])
def test_an_empty_body_is_called_missing(data):
    with pytest.raises(errors.InvalidInput, match="Missing request body"):
        body.decode(data)


@pytest.mark.parametrize(
    "data", [b"{", b"\xff", b"[" * 100_000, b'{"a": NaN}', b'{"a": "\\ud800"}', b"1" * 10_000, b"{'a': 1}"]
)
def test_what_is_no_json_is_called_malformed(data):
    with pytest.raises(errors.InvalidInput, match="Malformed request body"):
        body.decode(data)


def test_letters_beyond_the_basic_plane_are_text():
    assert body.decode(b'{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}

# SPDX-License-Identifier: Apache-2.0
"""Are exactly the names allowed that no store can misunderstand?"""

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor.model import errors
from karbor.sdk.bank import MAX_NAME, valid_name

part = st.from_regex(r"[A-Za-z0-9_\-][A-Za-z0-9._\-]{0,10}", fullmatch=True)


@given(st.lists(part, min_size=1, max_size=5).map("/".join))
def test_names_of_plain_parts_are_allowed_and_come_back(name):
    assert valid_name(name) == name


@given(st.text(alphabet="aA0._-/ \\\n%é", max_size=8))
def test_an_allowed_name_is_a_plain_relative_path(name):
    try:
        valid_name(name)
    except errors.InvalidInput:
        return
    assert name.isascii() and name == posixpath.normpath(name) and not name.startswith(("/", "."))
    assert not any(part.startswith(".") for part in name.split("/"))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/..",
        "../a",
        "a/./b",
        ".hidden",
        "a/.tmp-1",
        "a b",
        "a\n",
        "a\x00",
        "é",
        "a\\b",
    ],
)
def test_other_names_are_refused(name):
    with pytest.raises(errors.InvalidInput):
        valid_name(name)


def test_a_name_has_a_bound():
    assert valid_name("a" * MAX_NAME)
    with pytest.raises(errors.InvalidInput) as caught:
        valid_name("a" * (MAX_NAME + 1))
    assert len(caught.value.detail) < 100

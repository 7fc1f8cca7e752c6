# SPDX-License-Identifier: Apache-2.0
"""Is JSON the same, whoever reads or writes it?"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor.common import jsontext

#: Half surrogate pairs and numbers beyond 64 bits among them.
texts = st.text(st.characters())
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=20)


@given(values)
def test_what_was_written_is_read_as_the_same_value(value):
    assert jsontext.decode(json.dumps(value)) == value
    assert json.loads(jsontext.encode(value)) == value


@given(st.integers(-(2**200), 2**200))
def test_a_whole_number_stays_whole(number):
    found = jsontext.decode(jsontext.encode(number).decode())
    assert (found, type(found)) == (number, int)


@pytest.mark.parametrize("text", ["\ud800", "a\x00b", "\u2028", "😀"])
def test_any_text_survives(text):
    assert jsontext.decode(json.dumps(text)) == text
    assert json.loads(jsontext.encode({"k": text})) == {"k": text}


@pytest.mark.parametrize("text", ["", "{", "nul", '{"a":}', "[1,]"])
def test_what_is_not_json_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        jsontext.decode(text)


def test_what_json_does_not_know_is_refused():
    with pytest.raises(TypeError):
        jsontext.encode({"a": object()})

# SPDX-License-Identifier: Apache-2.0
"""Do nodes encode and decode without loss, and share unchanged spans?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor.model import errors
from karbor.vault import recipe
from karbor.vault.recipe import LEAF_SPAN, Piece, between
from tests.support.vaults import GIB, KIB, MIB, TIB

ONE, TWO = b"1" * 16, b"2" * 16


@st.composite
def leaves(draw):
    unit = draw(st.sampled_from([1, 512, 4096]))
    start = draw(st.integers(0, 1000)) * LEAF_SPAN
    borders = draw(st.lists(st.integers(0, LEAF_SPAN // unit), unique=True, max_size=20).map(sorted))
    pieces = []
    for first, last in zip(borders[::2], borders[1::2], strict=False):
        chunk = draw(st.sampled_from([ONE, TWO]))
        within = draw(st.integers(0, 100)) * unit
        pieces.append(Piece(start + first * unit, (last - first) * unit, chunk, within))
    return start, pieces


@given(leaves())
def test_a_leaf_comes_back(leaf):
    start, pieces = leaf
    assert recipe.decode_leaf(recipe.encode_leaf(pieces, start), start) == pieces


def test_a_leaf_of_whole_pages_takes_twenty_bytes_a_piece():
    pieces = [Piece(at * 64 * KIB, 64 * KIB, at.to_bytes(16), 0) for at in range(16)]
    assert len(recipe.encode_leaf(pieces, 0)) <= 4 + 16 * 20


@given(st.dictionaries(st.integers(0, 31), st.binary(min_size=16, max_size=16)), st.integers(1, 6))
def test_an_inner_node_comes_back(children, level):
    ordered = dict(sorted(children.items()))
    assert recipe.decode_inner(recipe.encode_inner(level, ordered), level) == list(ordered.items())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x03\x00\x00\x00",  # an unknown kind
        b"\x01\x0d\x00\x00",  # units that no leaf has
        b"\x01\x00\x01" + ONE + b"\x01\x00\x05\x01\x00",  # names the second of one chunk
        b"\x01\x00\x01" + ONE + b"\x01\x00\x00\x00\x00",  # an empty piece
        b"\x01\x00\x00\x00\x00",  # a byte too many
        b"\x01\x0c\x01" + ONE + b"\x01\xff\x02\x02\x00\x00",  # longer than its span
    ],
)
def test_what_no_writer_makes_is_damage(data):
    with pytest.raises(errors.IntegrityError):
        recipe.decode_leaf(data, 0)


def test_a_node_of_another_level_is_damage():
    with pytest.raises(errors.IntegrityError):
        recipe.decode_inner(recipe.encode_inner(2, {0: ONE}), 1)


@pytest.mark.parametrize(
    ("size", "level"),
    [(0, 0), (1, 0), (MIB, 0), (MIB + 1, 1), (32 * MIB, 1), (GIB, 2), (32 * GIB, 3), (TIB, 4), (TIB + 1, 5)],
)
def test_the_height_follows_the_size(size, level):
    assert recipe.height(size) == level


def test_clipping_moves_the_place_in_the_chunk():
    assert list(between([Piece(100, 50, ONE, 7)], 110, 120)) == [Piece(110, 10, ONE, 17)]
    assert list(between([Piece(100, 50, ONE, 7)], 150, 200)) == []

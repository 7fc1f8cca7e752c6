# SPDX-License-Identifier: Apache-2.0
"""Do names and layouts stay what the format document says?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor.model import errors
from karbor.vault import format


@given(st.lists(st.integers(0, 2**62)))
def test_numbers_come_back(numbers):
    out = bytearray()
    for number in numbers:
        format.put_varint(out, number)
    cursor = format.Cursor(bytes(out))
    assert [cursor.varint() for _ in numbers] == numbers
    cursor.end()


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 20])
def test_a_number_without_an_end_is_damage(data):
    with pytest.raises(errors.IntegrityError):
        format.Cursor(data).varint()


def test_bytes_left_over_are_damage():
    with pytest.raises(errors.IntegrityError):
        format.Cursor(b"1").end()


def test_ids_past_the_end_are_damage():
    with pytest.raises(errors.IntegrityError):
        format.Cursor(bytes(31)).ids(2)


def test_the_name_of_a_pack_tells_its_id():
    pack_id = bytes(range(16))
    assert format.pack_name(pack_id) == "pack/00/000102030405060708090a0b0c0d0e0f"
    assert format.pack_id_of("d/x/" + format.pack_name(pack_id)) == pack_id


@pytest.mark.parametrize("name", ["pack/00/zz", "pack/01/000102030405060708090a0b0c0d0e0f", "pack/00/00", "index/a"])
def test_other_names_are_no_packs(name):
    with pytest.raises(errors.IntegrityError):
        format.pack_id_of(name)


@pytest.mark.parametrize("text", ["", "..", "../x", "a/b", ".a", "a b", "ä", "x" * 129, "a\n"])
def test_what_could_leave_its_place_is_no_part_of_a_name(text):
    for name in (format.stream_name, lambda word: format.record_name("checkpoint", word)):
        with pytest.raises(errors.InvalidInput):
            name(text)

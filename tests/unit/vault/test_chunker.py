# SPDX-License-Identifier: Apache-2.0
"""Are streams cut at the same places wherever the same content lies?"""

import random

from hypothesis import given
from hypothesis import strategies as st

from karbor.vault.chunker import MAXIMUM, changed_spans, cut_at_pages
from karbor.vault.format import PAGE

RANDOM = random.Random(1)
PAGES = [bytes(PAGE), RANDOM.randbytes(PAGE), RANDOM.randbytes(PAGE), b"\x00" * (PAGE - 1) + b"\x01"]
pages = st.lists(st.sampled_from(PAGES), max_size=200).map(b"".join)


@given(data=pages, tail=st.binary(max_size=100), offset=st.integers(0, 3 * PAGE))
def test_spans_cover_all_but_pages_of_zeroes(data, tail, offset):
    data += tail
    end = 0
    for start, stop in cut_at_pages(data, offset):
        assert end <= start < stop <= len(data)
        assert not any(data[end:start])
        assert stop - start <= MAXIMUM * PAGE
        assert stop == len(data) or (stop + offset) % PAGE == 0
        end = stop
    assert not any(data[end:])


def test_zeroes_are_left_out():
    data = bytes(2 * PAGE) + PAGES[1] + bytes(PAGE) + PAGES[2] + bytes(100)
    assert cut_at_pages(data, 0) == [(2 * PAGE, 3 * PAGE), (4 * PAGE, 5 * PAGE)]


def test_the_same_content_elsewhere_is_cut_alike():
    content = RANDOM.randbytes(4 << 20)
    moved = RANDOM.randbytes(37 * PAGE) + content
    here = {content[start:stop] for start, stop in cut_at_pages(content, 0)}
    there = {moved[start:stop] for start, stop in cut_at_pages(moved, 8 * PAGE)}
    assert sum(map(len, here & there)) > 0.9 * len(content)


def test_chunks_have_the_promised_sizes():
    data = RANDOM.randbytes(16 << 20)
    sizes = [stop - start for start, stop in cut_at_pages(data, 0)]
    assert min(sizes[:-1]) >= 16 << 10
    assert max(sizes) <= 256 << 10
    assert 64 << 10 <= sum(sizes) / len(sizes) <= 96 << 10


@given(old=pages, changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255))), offset=st.integers(0, PAGE))
def test_changed_spans_hold_every_difference_and_only_pages_that_differ(old, changes, offset):
    data = bytearray(old)
    for at, value in changes:
        if data:
            data[at % len(data)] = value
    spans = changed_spans(bytes(data), old, offset)
    restored = bytearray(old)
    for start, stop in spans:
        restored[start:stop] = data[start:stop]
        assert data[start:stop] != old[start:stop]
        assert start == 0 or (start + offset) % PAGE == 0
    assert restored == data

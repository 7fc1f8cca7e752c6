# SPDX-License-Identifier: Apache-2.0
"""Is all that differs from the base found, and little else?"""

import random
import threading
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor.sdk.streams import Kind
from karbor.vault.format import PAGE
from karbor.vault.narrower import Given, Narrower
from karbor.vault.recipe import Tree
from karbor.vault.session import Session
from karbor.vault.store import ChunkStore
from karbor.vault.writer import StreamWriter
from tests.support.vaults import KIB, MIB, BytesSource, memory_bank, nothing, open_vault, parts

NOISE = random.Random(5).randbytes(3 * MIB)
#: With zeroes that the recipe does not mention, some of them within a granule.
BASE = NOISE[:MIB] + bytes(300 * KIB) + NOISE[MIB : 2 * MIB] + bytes(12 * KIB) + NOISE[2 * MIB :]
BASE += b"an end that fills no page"


class Counting:
    """A bank that counts what is fetched of its packs."""

    def __init__(self, inner):
        self._inner = inner
        self.fetched = []

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def get(self, name, offset=0, length=None):
        if "/pack/" in name:
            self.fetched.append((name, offset))
        return self._inner.get(name, offset, length)


@pytest.fixture(scope="module")
def bank():
    return Counting(memory_bank())


@pytest.fixture(scope="module")
def stored(bank, tmp_path_factory):
    """(store, tree) of the base."""
    vault = open_vault(bank, tmp_path_factory.mktemp("cache"))
    store: ChunkStore = vault.domain("project")._for_writing().store
    with Session(store, still_wanted=lambda: None) as session:
        source = BytesSource(BASE, parts(len(BASE), [(0, len(BASE))], rest=Kind.ZERO))
        root = StreamWriter(store, session, source=source, base=None, threads=2).write(nothing)
        session.finish()
    yield store, Tree(store, root, len(BASE))
    vault.close()


def narrower(stored):
    return Narrower(*stored, threading.Semaphore(2))


def runs_of(data, ranges):
    return [Given(start, memoryview(data)[start:stop]) for start, stop in ranges]


RANGES = st.lists(st.integers(0, len(BASE)), min_size=2, max_size=12, unique=True).map(sorted)


@settings(deadline=None, max_examples=60)
@given(st.data(), RANGES, st.lists(st.tuples(st.integers(0, len(BASE) - 1), st.integers(1, 20_000)), max_size=12))
def test_every_difference_is_found_and_only_pages_that_differ(stored, choice, borders, changes):
    data = bytearray(BASE)
    for at, length in changes:
        length = min(length, len(data) - at)
        data[at : at + length] = choice.draw(st.sampled_from([bytes(length), NOISE[-length:], BASE[at : at + length]]))
    ranges = list(zip(borders[::2], borders[1::2], strict=False))
    for (start, stop), spans in zip(ranges, narrower(stored).changed(runs_of(data, ranges)), strict=True):
        if spans == [(0, stop - start)]:
            continue  # whole, for its beginning differs throughout
        found = {at // PAGE for first, last in spans for at, _ in pages(start + first, start + last)}
        assert found == {at // PAGE for at, end in pages(start, stop) if data[at:end] != BASE[at:end]}
        patched = bytearray(BASE[start:stop])
        for first, last in spans:  # which may end within a page, where the last byte of a range is an old one
            patched[first:last] = data[start + first : start + last]
        assert patched == data[start:stop]


def pages(start, stop):
    """(start, stop) of the pages between two offsets, cut to fit."""
    borders = [start, *range(start - start % PAGE + PAGE, stop, PAGE), stop]
    return list(pairwise(borders))


def test_what_a_window_touches_is_fetched_once(stored, bank):
    """Small writes side by side: neighbours lie in the same chunks."""
    data = bytearray(BASE)
    ranges = [(at, at + 16 * KIB) for at in range(0, MIB, 32 * KIB)]
    for start, _ in ranges:
        data[start] ^= 1
    bank.fetched.clear()
    assert narrower(stored).changed(runs_of(data, ranges)) == [[(0, 4 * KIB)]] * len(ranges)
    assert len(bank.fetched) == len(set(bank.fetched)) <= 2


def test_a_run_behind_the_end_of_the_base_is_all_new(stored):
    data = BASE + bytes(10)
    assert narrower(stored).changed(runs_of(data, [(len(BASE) - 5, len(BASE) + 5)])) == [[(0, 10)]]


def test_a_run_whose_beginning_differs_throughout_was_written_as_a_whole(stored):
    data = NOISE[::-1][: 512 * KIB] + BASE[512 * KIB :]
    assert narrower(stored).changed(runs_of(data, [(0, MIB)])) == [[(0, MIB)]]
    data = BASE[: 4 * KIB] + data[4 * KIB :]
    assert narrower(stored).changed(runs_of(data, [(0, MIB)])) == [[(4 * KIB, 512 * KIB)]]

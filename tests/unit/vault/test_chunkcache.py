# SPDX-License-Identifier: Apache-2.0
"""Is each chunk opened once, however many threads ask, and does a fault of one thread not become one of another?"""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from karbor.model import errors
from karbor.vault.chunkcache import ChunkCache
from karbor.vault.codec import Codec
from karbor.vault.keys import DomainKeys

PATIENCE = 60


class SlowStore:
    """Opens chunks when it is told to. ``opened`` says what it was asked for."""

    def __init__(self):
        self.codec = Codec(DomainKeys.from_data_key(b"k" * 32), compression_level=1)
        self.opened = []
        self.asked, self.go = threading.Event(), threading.Event()
        self.faults = []

    def chunks(self, ids):
        wanted = sorted(ids)
        self.opened += wanted
        self.asked.set()
        assert self.go.wait(PATIENCE)
        if self.faults:
            raise self.faults.pop()
        for chunk_id in wanted:
            yield chunk_id, chunk_id * 10


@pytest.fixture
def store():
    return SlowStore()


def test_what_was_opened_is_kept_up_to_the_limit(store):
    store.go.set()
    cache = ChunkCache(store, 25)
    assert dict(cache.chunks([b"a", b"b"])) == {b"a": b"a" * 10, b"b": b"b" * 10}
    assert dict(cache.chunks([b"a", b"b"])) == {b"a": b"a" * 10, b"b": b"b" * 10}
    assert store.opened == [b"a", b"b"]
    assert len(dict(cache.chunks([b"c", b"d"]))) == 2
    assert dict(cache.chunks([b"a"])) == {b"a": b"a" * 10}
    assert store.opened == [b"a", b"b", b"c", b"d", b"a"]


def test_two_threads_open_a_chunk_once(store):
    cache = ChunkCache(store, 1000)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: dict(cache.chunks([b"a", b"b"])))
        assert store.asked.wait(PATIENCE)
        second = pool.submit(lambda: dict(cache.chunks([b"b", b"a"])))
        store.go.set()
        assert first.result(PATIENCE) == second.result(PATIENCE)
    assert store.opened == [b"a", b"b"]


def test_who_waits_for_a_thread_that_fails_tries_itself(store):
    cache = ChunkCache(store, 1000)
    store.faults = [errors.BankUnavailable()]
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: dict(cache.chunks([b"a"])))
        assert store.asked.wait(PATIENCE)
        second = pool.submit(lambda: dict(cache.chunks([b"a"])))
        store.go.set()
        outcomes = [first.exception(PATIENCE), second.exception(PATIENCE)]
    assert sorted(type(fault) for fault in outcomes if fault) == [errors.BankUnavailable]
    assert dict(cache.chunks([b"a"])) == {b"a": b"a" * 10}


def test_what_was_opened_is_not_told_any_more_when_the_keys_are_gone(store):
    store.go.set()
    cache = ChunkCache(store, 1000)
    assert dict(cache.chunks([b"a"])) == {b"a": b"a" * 10}
    store.codec.forget()
    with pytest.raises(errors.KeyDestroyed):
        dict(cache.chunks([b"a"]))

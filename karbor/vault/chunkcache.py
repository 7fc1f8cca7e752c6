# SPDX-License-Identifier: Apache-2.0
"""How do several readers share chunks, so that each chunk is opened once?"""

import itertools
import threading
from collections.abc import Iterable, Iterator

from karbor.vault.store import ByteCache, ChunkStore

_AT_ONCE = 128  # chunks that are opened together: some 8 MiB as a rule, 32 MiB at most


class ChunkCache:
    """The chunks that were opened last, up to ``limit`` bytes. Thread-safe; one thread opens what several ask for."""

    def __init__(self, store: ChunkStore, limit: int) -> None:
        self._store = store
        self._kept = ByteCache(limit)
        self._lock = threading.Condition()
        self._under_way: set[bytes] = set()  # what some thread is opening; guarded by _lock

    def chunks(self, ids: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """(id, plain bytes) of all of these, in any order. Raises as ``ChunkStore.chunks`` does."""
        wanted = set(ids)
        self._store.codec.require_keys()  # what is kept here must not outlive them
        while wanted:
            found = {chunk_id: value for chunk_id in wanted if (value := self._kept.get(chunk_id)) is not None}
            yield from found.items()
            wanted -= found.keys()
            with self._lock:
                # Where another thread opens all that is left, wait. Where it fails, we try ourselves.
                while wanted and wanted <= self._under_way:
                    self._lock.wait()
                missing = (one for one in wanted - self._under_way if self._kept.get(one) is None)
                mine = set(itertools.islice(missing, _AT_ONCE))
                self._under_way |= mine
            if mine:
                yield from self._open(mine)
                wanted -= mine

    def _open(self, ids: set[bytes]) -> list[tuple[bytes, bytes]]:
        """All of these at once: whoever waits for them must not wait for our consumer."""
        try:
            opened = list(self._store.chunks(ids))
            for chunk_id, value in opened:
                self._kept.put(chunk_id, value)
            return opened
        finally:
            with self._lock:
                self._under_way -= ids
                self._lock.notify_all()

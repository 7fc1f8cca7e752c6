# SPDX-License-Identifier: Apache-2.0
"""How do new chunks get into packs, packs into the bank, and the index after them, while others still compress?

Order of writes: pack, then index object; the root of the stream comes after ``finish``. So whatever is visible is
whole. After a crash the packs stay as they are: the cache of this host knows them, and the next session that meets
their chunks takes them over into its own index object.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from karbor.model import errors
from karbor.vault import format
from karbor.vault.pack import Directory, PackBuilder
from karbor.vault.proof import EarlyProof, PackProof
from karbor.vault.store import ChunkStore

_UPLOADS = 2  # packs of one stream under way; of all together, the store says
_NODES_HELD = 2 << 20
TICK = 1.0  # seconds between two questions whether the work is still wanted


class NewChunk(NamedTuple):
    """A compressed chunk on its way into a pack. ``size`` is that of the plain bytes."""

    id: bytes
    flags: int
    size: int
    body: bytes | memoryview


class Session:
    """The writes of one stream. ``claim`` and ``store`` from any thread; the rest from the one that made it.

    Use as a context manager: leaving it ends the upload threads, whatever happened. ``confirm`` is called before each
    index object is put; it raises LeaseLost where the write lease is lost.
    """

    def __init__(
        self, store: ChunkStore, *, still_wanted: Callable[[], None], confirm: Callable[[], None] | None = None
    ) -> None:
        self._store = store
        self._still_wanted = still_wanted
        self._confirm = confirm
        self._pack_lock = threading.Lock()  # held while a full pack waits for room, so the uploader must never want it
        self._claim_lock = threading.Lock()
        self._claimed: set[bytes] = set()  # in packs that are not in the cache yet
        self._adopted: set[bytes] = set()  # packs of others that no index object lists
        self._pack: PackBuilder | None = None
        self._nodes: dict[bytes, bytes] = {}  # kept together: a recipe is then looked up and read in few requests
        self._nodes_size = 0
        self._uploader = ThreadPoolExecutor(_UPLOADS, thread_name_prefix="vault-upload")
        self._uploads: list[Future[None]] = []
        self._early = EarlyProof(PackProof(store.bank, prefix=store.prefix, codec=store.codec), store.proven)
        self._stored_lock = threading.Lock()  # guards what follows; held while an index object is put
        self._unlisted: list[Directory] = []
        self._entries = 0
        self._fault: BaseException | None = None
        self.stored = 0
        self.index_names: list[str] = []

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.abort()
        self._uploader.shutdown(wait=True, cancel_futures=True)
        for upload in self._uploads:
            if upload.cancelled():
                self._store.uploads.release()  # others wait for it
        self._early.end()

    def abort(self) -> None:
        """Make every further ``claim`` and ``store`` fail."""
        self._fault = self._fault or errors.Cancelled()

    def claim(self, ids: Sequence[bytes]) -> set[bytes]:
        """Those of ``ids`` that the caller must store; all others are stored, or somebody in this session does it."""
        known = self._store.index.known(set(ids))
        self.check()
        with self._claim_lock:
            self._adopted.update(place.pack_id for place in known.values() if not place.indexed)
            fresh = {chunk_id for chunk_id in ids if chunk_id not in known and chunk_id not in self._claimed}
            self._claimed |= fresh
        return fresh

    def store(self, chunks: Sequence[NewChunk]) -> None:
        """Seal claimed chunks into the open pack. Waits while too many packs are under way."""
        with self._pack_lock:
            for chunk in chunks:
                self.check()
                self._add(chunk)

    def put_node(self, data: bytes) -> bytes:
        """Store a node of a recipe, at the latest with ``finish``, and return its id."""
        node_id = self._store.codec.chunk_id(data, flags=format.NODE)
        if node_id not in self._nodes:
            self._nodes[node_id] = data
            self._nodes_size += len(data)
            if self._nodes_size >= _NODES_HELD:
                self._store_nodes()
        return node_id

    def finish(self) -> None:
        """All packs and the index objects that list them are durable when this returns."""
        self._store_nodes()
        with self._pack_lock:
            if self._pack is not None and self._pack.entries:
                self._send(early=False)  # nothing is left to do meanwhile
        while wait(self._uploads, timeout=TICK).not_done:
            self._still_wanted()
        self.check()
        self._adopt()
        if self._unlisted:
            self._put_index()

    def _store_nodes(self) -> None:
        nodes, self._nodes, self._nodes_size = self._nodes, {}, 0
        fresh = self.claim(list(nodes))
        chunks = []
        for node_id in (one for one in nodes if one in fresh):
            flags, body = self._store.codec.compressor.shrink(nodes[node_id])
            chunks.append(NewChunk(node_id, flags | format.NODE, len(nodes[node_id]), body))
        self.store(chunks)

    def _add(self, chunk: NewChunk) -> None:
        if self._pack is None:
            self._pack = PackBuilder(self._store.codec)
        self._pack.add(chunk.id, flags=chunk.flags, size=chunk.size, body=chunk.body)
        if self._pack.full:
            self._send(early=True)

    def _send(self, *, early: bool) -> None:
        """Hand the open pack to the uploader. The wait is the back-pressure of a slow bank."""
        pack, self._pack = self._pack, None
        if pack is None:
            return
        self._store.uploads.acquire()
        self._uploads = [upload for upload in self._uploads if not upload.done()]
        try:
            self._uploads.append(self._uploader.submit(self._upload, pack, early=early))
        except BaseException:
            self._store.uploads.release()
            raise

    def _upload(self, pack: PackBuilder, *, early: bool) -> None:
        try:
            self.check()
            directory, parts = pack.finish()
            size = sum(map(len, parts))
            name = self._store.prefix + format.pack_name(pack.pack_id)
            # The id is random: where the name is taken, an earlier try of this very call did take effect.
            if not self._store.bank.put_own_parts(name, parts) and self._store.bank.stat(name).size != size:
                raise errors.IntegrityError(detail=f"{name} is taken by something else")
            self._store.index.add([directory])
            with self._stored_lock:
                self.stored += size
                self._unlisted.append(directory)
                self._entries += len(directory.entries)
                if self._entries >= format.INDEX_ENTRIES:
                    self._put_index()
        except BaseException as fault:
            self._fault = self._fault or fault
            raise
        finally:
            self._store.uploads.release()
        with self._claim_lock:
            self._claimed.difference_update(entry.id for entry in directory.entries)
        if early:
            self._early.submit(pack.pack_id)

    def _adopt(self) -> None:
        """Take packs into our index that others wrote and did not list (yet): our recipe refers to them."""
        if not self._adopted:
            return
        ours = {directory.pack_id for directory in self._unlisted}
        for pack_id in sorted(self._adopted.intersection(self._store.index.pending()) - ours):
            try:
                self._unlisted.append(self._store.index_objects.directory(pack_id))
            except errors.ObjectNotFound as fault:
                self._store.index.forget(pack_id)
                raise errors.IntegrityError(detail=f"pack {pack_id.hex()} went away while it was used") from fault

    def _put_index(self) -> None:
        if self._confirm is not None:
            self._confirm()
        name, size = self._store.index_objects.put(self._unlisted)
        self.index_names.append(name)
        self.stored += size
        self._unlisted, self._entries = [], 0

    def check(self) -> None:
        """Raises what made this session fail, or Cancelled where it was aborted."""
        if self._fault is not None:
            raise self._fault

# SPDX-License-Identifier: Apache-2.0
"""Is what was just written really in the bank, and does every stream open from it to its last byte?"""

from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Protocol

from karbor.model import errors
from karbor.sdk.streams import Advance
from karbor.vault import format
from karbor.vault.pack import Directory
from karbor.vault.proof import PackProof
from karbor.vault.recipe import Tree, Walk
from karbor.vault.session import TICK
from karbor.vault.store import ChunkStore

_BATCH = 4096


class Written(Protocol):
    """What a write left behind: a StreamInfo, or the same read from a record."""

    @property
    def id(self) -> str: ...

    @property
    def packs(self) -> Sequence[str]: ...


class ReadBack:
    """One proof. Reads every new pack from the bank, opens and names every chunk anew; those of which that was done
    while the stream was written must still be there (``karbor/vault/proof.py``). Older packs must be there, too, and
    those that nobody ever read back are read now.

    What the base has at the same place is not followed: it was proven with the base, and the base stands.
    """

    def __init__(self, store: ChunkStore, *, advance: Advance, threads: int) -> None:
        self._store = store
        self._advance = advance
        self._threads = threads
        self._proof = PackProof(store.bank, prefix=store.prefix, codec=store.codec)
        self._proven: set[bytes] = set()  # packs that were read
        self._there: set[bytes] = set()  # packs that were seen
        self._waiting: dict[bytes, int] = {}  # chunks to look up in one go, and how long they must be

    def index_objects(self, names: Iterable[str]) -> None:
        """Read all packs that these index objects list; those that were read since they were put must be there.
        Raises IntegrityError, BankUnavailable."""
        for name in sorted(set(names)):
            directories = self._listed(name)
            early = [directory for directory in directories if self._store.proven.take(directory.pack_id)]
            for directory in early:
                self._advance(self._there_still(directory))
            self._packs(directory.pack_id for directory in directories)
            self._store.index_objects.prove(name)

    def _packs(self, pack_ids: Iterable[bytes]) -> None:
        with ThreadPoolExecutor(self._threads, thread_name_prefix="vault-prove") as pool:
            running: set[Future[int]] = set()
            try:
                for pack_id in pack_ids:
                    if pack_id not in self._proven:
                        self._proven.add(pack_id)
                        running.add(pool.submit(self._pack, pack_id))
                    while len(running) > self._threads:
                        running = self._collect(running)
                while running:
                    running = self._collect(running)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def stream(self, tree: Tree, base: Tree | None) -> None:
        """Every chunk that the stream names must have a place in a pack that is there."""
        if tree.root is not None:
            self._walk(tree, base and Walk(base), tree.level, 0, tree.root)
        self._flush()

    def _there_still(self, directory: Directory) -> int:
        """The bytes of a pack that was proven already. One that went away, or is another, is read to say so."""
        name = self._store.prefix + format.pack_name(directory.pack_id)
        try:
            size = self._store.bank.stat(name).size
        except errors.ObjectNotFound:
            return 0
        if size != directory.pack_size:
            return 0
        self._proven.add(directory.pack_id)
        return size

    def _listed(self, name: str) -> Sequence[Directory]:
        try:
            return self._store.index_objects.get(name)
        except errors.ObjectNotFound as fault:
            raise errors.IntegrityError(detail=f"index object {name} is missing in the bank") from fault

    def _collect(self, running: set[Future[int]]) -> set[Future[int]]:
        done, rest = wait(running, timeout=TICK, return_when=FIRST_COMPLETED)
        if not done:
            self._advance(0)
        for future in done:
            self._advance(future.result())
        return rest

    def _pack(self, pack_id: bytes) -> int:
        try:
            return self._proof.read(pack_id)
        except (errors.ObjectNotFound, errors.IntegrityError) as fault:
            self._distrust(pack_id, gone=isinstance(fault, errors.ObjectNotFound))
            raise errors.IntegrityError(detail=f"{format.pack_name(pack_id)}: {fault.detail}") from fault

    def _distrust(self, pack_id: bytes, *, gone: bool) -> None:
        """Let a new try, on whatever host, store what the pack holds elsewhere.

        A damaged pack stays known here: clean-up must find it, and the index objects that list it.
        """
        lost = [(chunk_id, pack_id) for chunk_id in self._store.index.chunks_of(pack_id)]
        self._store.index.distrust(lost)
        if gone:
            self._store.index.forget(pack_id)
        self._store.index_objects.note_damage(lost)

    def _walk(self, tree: Tree, base: Walk | None, level: int, index: int, node_id: bytes) -> None:
        self._need(node_id, 0)
        at_base = base.node_at(level, index) if base is not None else None
        if at_base == node_id:
            return
        if level:
            children = list(tree.children(level, index, node_id))
            below = level - 1
            tree.load(
                [child_id for child, child_id in children if base is None or base.node_at(below, child) != child_id]
            )
            for child, child_id in children:
                self._walk(tree, base, below, child, child_id)
            return
        shared = {piece.chunk for piece in base.leaf(index, at_base)} if base is not None and at_base else set()
        for piece in tree.leaf(index, node_id):
            if piece.chunk not in shared:
                self._need(piece.chunk, piece.within + piece.length)

    def _need(self, chunk_id: bytes, size: int) -> None:
        self._waiting[chunk_id] = max(size, self._waiting.get(chunk_id, 0))
        if len(self._waiting) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        places = self._store.locate(self._waiting)
        for chunk_id, size in self._waiting.items():
            if places[chunk_id].size < size:
                raise errors.IntegrityError(detail=f"chunk {chunk_id.hex()} is shorter than the recipe says")
        self._waiting.clear()
        packs = {place.pack_id for place in places.values()} - self._proven - self._there
        unread = {pack_id for pack_id in packs if not self._store.index.is_proven(pack_id)}
        for pack_id in packs - unread:
            if not self._store.index_objects.holds(pack_id):
                self._store.index.forget(pack_id)
                raise errors.IntegrityError(detail=f"{format.pack_name(pack_id)} is missing in the bank")
        self._there |= packs
        self._packs(sorted(unread))
        self._advance(0)

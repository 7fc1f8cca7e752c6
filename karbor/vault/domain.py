# SPDX-License-Identifier: Apache-2.0
"""What can a project store, and what can be asked of it?"""

import secrets
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from karbor.common.clock import iso
from karbor.model import errors
from karbor.model.lock import LOCK, Lock
from karbor.sdk.streams import Advance, Source, StreamInfo
from karbor.vault import format
from karbor.vault.borrowing import Borrowed
from karbor.vault.check import Check
from karbor.vault.cleanup import CleanUp, Report, Settings, is_due
from karbor.vault.copy import Pair, StreamCopy
from karbor.vault.leases import Lease
from karbor.vault.locking import Locking
from karbor.vault.opening import Means
from karbor.vault.readback import ReadBack, Written
from karbor.vault.reader import READER_CACHE, ChunkedReader
from karbor.vault.recipe import Tree
from karbor.vault.report import Flaw, StreamReport
from karbor.vault.root import Origin, StreamRoot
from karbor.vault.session import TICK, Session
from karbor.vault.store import ChunkStore
from karbor.vault.writer import StreamWriter

#: Whoever writes has a lease, or works for somebody who has.
Holding = Lease | Borrowed


class Domain(Locking):
    """What one project stores: its keys, its names, its chunks. Thread-safe.

    Every method may raise BankUnavailable (BankFull where it writes) and KeyUnavailable. A project that stored nothing
    yet leaves no trace in the bank by reading.
    """

    def __init__(self, vault: Means, project_id: str, *, sealed: str | None = None) -> None:
        """``sealed``: the name of a domain that was sealed for the project."""
        super().__init__(vault, project_id, sealed=sealed)
        self._copying = threading.Lock()  # held while a stream is copied into this domain

    def lease(self, job: str, *, fence: int, record: tuple[str, str]) -> Lease:
        """Begin to write for a job that will put ``record`` (kind, id): clean-up lets alone whatever it may need.

        Takes the lease over from earlier claims (fences) on the job. Raises Conflict where the record was deleted or
        given up meanwhile, LeaseLost where there is a later claim.
        """
        opened = self._for_writing()
        lease = opened.leases.begin(job, fence=fence, record=record)
        opened.store.follow()
        return lease

    def borrow(self, job: str, *, fence: int, pause: Callable[[float], object] | None = None) -> Borrowed:
        """Begin to write for a job that another worker has, under the lease that it holds. ``pause`` waits so long.

        Raises WriteLeaseLost where it holds none, LeaseLost where there is a later claim, Unavailable where lists of
        the bank are late.
        """
        opened = self._for_writing()
        lease = Borrowed(opened.leases, job, fence=fence, pause=pause)
        opened.store.follow()
        return lease

    def end_lease(self, job: str, record: tuple[str, str]) -> None:
        """The job ended without a commit: give its record up and remove its lease, where it has one."""
        opened = self._for_reading()
        if opened is not None and any(opened.leases.of_job(job)):
            opened.leases.end(job, record)

    def wants_clean_up(self, interval: float) -> bool:
        """Whether nobody finished a clean-up within so many seconds."""
        opened = self._for_reading()
        return opened is not None and is_due(opened.store, opened.leases, interval)

    def clean_up(self, settings: Settings, *, pause: Callable[[float], None], dry_run: bool = False) -> Report:
        """Give back the space of what nobody refers to; see karbor.vault.cleanup. ``pause`` waits that many seconds,
        or raises Cancelled to end the work. Raises Conflict where somebody else is cleaning up."""
        opened = self._for_reading()
        if opened is None:
            return Report()
        store, records, leases, _ = opened
        work = CleanUp(store, records, leases, settings=settings, scratch=self._vault.cache_dir, pause=pause)
        return work.estimate() if dry_run else work.run()

    def write_stream(
        self, source: Source, *, base_id: str | None = None, advance: Advance, lease: Holding | None = None
    ) -> StreamInfo:
        """Store ``source``; durable when this returns (packs, index, then the root).

        The caller keeps ``lease`` until the record that names the stream is put; without one, clean-up may take the
        stream and what it refers to for garbage.

        ``advance`` is called in this thread with the number of bytes read, and with 0 while it waits; what it raises
        ends the write. May be called again after any failure: what is stored already is found. ``packs`` of the answer
        names the index objects that list every pack this write made. Raises ObjectNotFound where the base is missing.
        """
        store = self._for_writing().store
        advance, confirm = _leased(advance, lease)
        store.follow()
        base = self._tree(store, base_id)[0] if base_id is not None else None
        if base_id is not None and _unfit(store, base_id, lease):
            raise errors.ObjectNotFound(detail=f"stream {base_id} is about to be cleaned up")
        with Session(store, still_wanted=lambda: advance(0), confirm=confirm) as session:
            writer = StreamWriter(store, session, source=source, base=base, threads=self._vault.threads)
            top = writer.write(advance)
            session.finish()
            advance(0)  # the last moment to be told that the job is lost
            confirm()
            root = StreamRoot(source.size, top, base_id, iso(self._vault.clock.now()))
            return self._put_root(store, session, root, bytes_read=writer.bytes_read)

    def copy_stream(
        self, stream_id: str, to: "Domain", advance: Advance, *, earlier: Sequence[str] = (), lease: Lease | None = None
    ) -> StreamInfo:
        """Store a stream of this domain in another one, which may lie in another bank; durable when this returns.

        Content that is known there is not sent; so after any failure it may be called again. ``earlier`` are ids of
        streams over there that may be copies of streams of this domain: what one of them has in common with this
        stream is not even read. ``advance`` is told how far in the stream we are (its sum is the size), and 0 while we
        wait. ``bytes_read`` of the answer counts the bytes opened here; all else is as in ``write_stream``. Streams are
        copied into a domain one after the other, so that what they share is sent once. ``lease`` is one of ``to``.
        """
        advance, confirm = _leased(advance, lease)
        here, there = self._existing(f"stream {stream_id}").store, to._for_writing().store
        while not to._copying.acquire(timeout=TICK):
            advance(0)
        try:
            there.follow()
            tree = self._tree(here, stream_id)[0]
            fit = [candidate for candidate in earlier if not _unfit(there, candidate, lease)]
            base_id, pair = self._earlier_copy(here, there, fit)
            with Session(there, still_wanted=lambda: advance(0), confirm=confirm) as session:
                copy = StreamCopy(here, there, session, tree=tree, pair=pair)
                top = copy.run(advance, threads=self._vault.threads)
                session.finish()
                advance(0)
                confirm()
                origin = self._origin(here, stream_id)
                root = StreamRoot(tree.size, top, base_id, iso(to._vault.clock.now()), origin)
                return to._put_root(there, session, root, bytes_read=copy.bytes_read)
        finally:
            to._copying.release()

    def _earlier_copy(
        self, here: ChunkStore, there: ChunkStore, candidates: Sequence[str]
    ) -> tuple[str | None, Pair | None]:
        """The first of the candidates that says it is a copy of a stream that is still here."""
        for candidate in candidates:
            try:
                root = _root(there, candidate)
                if root.copy_of is not None and root.copy_of == self._origin(here, root.copy_of.stream):
                    original = self._tree(here, root.copy_of.stream)[0]
                    return candidate, Pair(original, Tree(there, root.top, root.size))
            except (errors.ObjectNotFound, errors.IntegrityError):
                continue  # a candidate spares work; without it everything is looked at
        return None, None

    def _origin(self, here: ChunkStore, stream_id: str) -> Origin:
        return Origin(self._vault.bank.identity(), here.prefix.removeprefix(format.DOMAINS).rstrip("/"), stream_id)

    def _put_root(self, store: ChunkStore, session: Session, root: StreamRoot, *, bytes_read: int) -> StreamInfo:
        stream_id = secrets.token_hex(16)
        name = format.stream_name(stream_id)
        data = store.codec.seal_document(name, root.to_dict())
        store.bank.put_own(store.prefix + name, data)
        stored = session.stored + len(data)
        return StreamInfo(stream_id, root.size, bytes_read, stored, tuple(session.index_names))

    def has_stream(self, stream_id: str, *, lease: Holding | None = None) -> bool:
        """Whether the stream can be opened and can be a base for the holder of the lease."""
        opened = self._for_reading()
        if opened is None or _unfit(opened.store, stream_id, lease):
            return False
        try:
            self._vault.bank.stat(opened.store.prefix + format.stream_name(stream_id))
        except errors.ObjectNotFound:
            return False
        return True

    def open_stream(self, stream_id: str, *, cache: int = READER_CACHE) -> ChunkedReader:
        """Open a stream; every byte it returns was proven. Keeps up to ``cache`` bytes of chunks that it opened.
        Raises ObjectNotFound, IntegrityError."""
        store = self._existing(f"stream {stream_id}").store
        return ChunkedReader(store, self._tree(store, stream_id)[0], cache=cache)

    def read_back(self, infos: Iterable[Written], advance: Advance) -> None:
        """Prove from the bank that these streams are there and whole.

        Reads every pack that these writes made and names every chunk anew. Those that this process read since they were
        put need not be read again, once; they must be there. So must older packs, and those that nobody has proven yet
        are read. Parts that a stream has in common with its base were proven with the base and are not followed.
        ``advance`` is told the bytes read: about ``bytes_stored`` of all infos. Raises IntegrityError, BankUnavailable.
        """
        wanted = list(infos)
        if not wanted:
            return
        store = self._existing(f"stream {wanted[0].id}").store
        proof = ReadBack(store, advance=advance, threads=self._vault.threads)
        proof.index_objects(name for info in wanted for name in info.packs)
        for info in wanted:
            tree, base_id = self._tree(store, info.id)
            try:
                base = self._tree(store, base_id)[0] if base_id is not None else None
            except errors.ObjectNotFound:
                base = None  # deleted since: then nothing may be taken on trust
            proof.stream(tree, base)

    def check(self, level: str) -> Check:
        """Begin to look at what is stored, at a level of karbor.vault.report; a context manager. Changes nothing.

        Raises ObjectNotFound where the project has stored nothing, IntegrityError where its keys are lost.
        """
        flaws = self.check_keys()
        store = self._existing("a check").store
        return Check(
            store,
            level=level,
            threads=self._vault.threads,
            directory=self._vault.cache_dir,
            tree_of=lambda stream_id: self._tree(store, stream_id)[0],
            flaws=flaws,
        )

    def check_keys(self) -> Sequence[Flaw]:
        """Wrapped keys that are damaged; others are whole. Raises as ``check`` does, also where we know the keys."""
        store = self._existing("the key").store
        keys = self._vault.keyring.flaws
        if self._sealed:
            self._vault.keyring.sealed_keys(self._sealed)
            return []
        return [Flaw(*entry) for prefix in (format.VAULT_KEYS, f"{store.prefix}key/") for entry in keys(prefix)]

    def check_stream(self, stream_id: str, level: str, advance: Advance) -> StreamReport:
        """Which bytes of a stream are lost? See ``Check.stream``; ``check`` serves where there are several."""
        with self.check(level) as run:
            return run.stream(stream_id, advance)

    def put_record(
        self,
        kind: str,
        record_id: str,
        document: Mapping[str, Any],
        *,
        lease: Holding | None = None,
        lock: tuple[str, datetime] | None = None,
    ) -> None:
        """Store a sealed JSON document once. The same again is no error; another one, or one that was deleted or given
        up: Conflict. WriteLeaseLost or LeaseLost where the lease does not hold any more.

        With ``lock`` (mode, until) it is locked from its first moment on; where an earlier try locked it, as that did.
        ``settle_locks`` is what has the bank keep what it needs.
        """
        if self.forget_if_destroyed():
            raise errors.KeyDestroyed()
        confirm = lease.confirm if lease is not None else None
        opened, record = self._for_writing(), f"{kind}/{record_id}"
        if lock is not None and opened.records.locks.of(record) == Lock():
            opened.records.locks.add(record, LOCK, mode=lock[0], until=lock[1])
        opened.records.put(kind, record_id, document, confirm=confirm)

    def get_record(self, kind: str, record_id: str) -> dict[str, Any]:
        """Raises ObjectNotFound, IntegrityError."""
        return self._existing(f"{kind} {record_id}").records.get(kind, record_id)

    def records(self, kind: str, after: str = "", limit: int = 1000) -> Sequence[str]:
        """Ids in byte order behind ``after``; fewer than ``limit`` means the end was reached."""
        opened = self._for_reading()
        return opened.records.list(kind, after, limit) if opened else []

    def delete_record(self, kind: str, record_id: str) -> None:
        """Gone for all from the first moment on. May be called again, also for what was never there. Raises
        CheckpointLocked."""
        self._for_writing().records.delete(kind, record_id)

    def _tree(self, store: ChunkStore, stream_id: str) -> tuple[Tree, str | None]:
        root = _root(store, stream_id)
        return Tree(store, root.top, root.size), root.base_id


def _root(store: ChunkStore, stream_id: str) -> StreamRoot:
    """Raises ObjectNotFound, IntegrityError, NotSupported."""
    name = format.stream_name(stream_id)
    return StreamRoot.from_dict(store.codec.open_document(name, store.bank.get(store.prefix + name)), name=name)


def _leased(advance: Advance, lease: Holding | None) -> tuple[Advance, Callable[[], None]]:
    """``advance`` that also keeps the lease, and what to call before a commit."""
    if lease is None:
        return advance, lambda: None

    def keep(nbytes: int) -> None:
        lease.check()
        advance(nbytes)

    return keep, lease.confirm


def _unfit(store: ChunkStore, stream_id: str, lease: Holding | None) -> bool:
    """Whether clean-up may delete the stream before the holder of the lease is done with it."""
    lists = store.index.condemning(stream_id)
    return bool(lists if lease is None else lists & lease.heeds)

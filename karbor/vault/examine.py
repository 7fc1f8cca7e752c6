# SPDX-License-Identifier: Apache-2.0
"""Are the chunks that somebody needs really in the bank, whatever the cache of this host believes?

Looks at each chunk, pack and index object at most once per run, and goes on after damage. The cache only says where to
look first. Of a chunk with several copies one whole copy is enough. The cache of this host forgets a lost copy, so that
the next write that meets the content stores it anew: then older streams that share it are whole again.
"""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from karbor.model import errors
from karbor.sdk.streams import Advance
from karbor.vault import format
from karbor.vault.checkstate import Bad, CheckState
from karbor.vault.codec import open_chunk
from karbor.vault.index import Location
from karbor.vault.report import Flaw
from karbor.vault.session import TICK
from karbor.vault.store import ChunkStore, grouped

MISSING = "the object is missing"
SHORT = "the object ends too early"
CLOSED = "a sealed part does not open"
WRONG = "a chunk is not what its name says"
TOO_SHORT = "a chunk is shorter than the recipe says"
NOWHERE = "no object of the bank holds it"
UNLISTED = "no index object lists this pack"


class _Verdict(NamedTuple):
    """On one copy of a chunk. ``plain`` only where it was asked for."""

    id: bytes
    place: Location
    fault: str | None
    plain: bytes | None


class Examiner:
    """One run. ``nodes`` and ``content`` are called from one thread at a time; ``close`` ends its threads."""

    def __init__(self, store: ChunkStore, state: CheckState, *, level: str, threads: int) -> None:
        self.flaws: list[Flaw] = []
        self.unproven: list[str] = []
        self._store = store
        self._state = state
        self._reads_all = level == "data"
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="vault-check")
        self._lock = threading.Lock()  # guards flaws, unproven, and that a pack is looked at once
        self._markers: set[str] | None = None
        self._scanned = self._suspected = False
        self._blamed = False  # an index object is missing or damaged: it may have listed what is listed nowhere

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def nodes(self, ids: Collection[bytes], advance: Advance) -> Mapping[bytes, bytes]:
        """The plain bytes of those nodes that can be read; the others are noted as lost."""
        return self._examine(dict.fromkeys(ids, 0), keep=True, advance=lambda _: advance(0))

    def content(self, needs: Mapping[bytes, int], advance: Advance) -> None:
        """Look at chunks of which so many bytes are needed; those that cannot be read are noted as lost.

        ``advance`` is told the plain bytes that were proven.
        """
        fresh = self._state.unseen(needs)
        self._examine(fresh, keep=False, advance=advance)
        self._state.saw(fresh)

    def flaw(self, name: str, reason: str) -> None:
        """Note that an object is not as it was written. ``name`` is relative to the domain."""
        self.flaws.append(Flaw(self._store.prefix + name, reason))

    def _examine(self, needs: Mapping[bytes, int], *, keep: bool, advance: Advance) -> Mapping[bytes, bytes]:
        kept: dict[bytes, bytes] = {}
        first: dict[bytes, Bad] = {}
        tried: dict[bytes, set[bytes]] = {chunk_id: set() for chunk_id in needs}
        left = set(needs)
        while left:
            chosen: dict[bytes, Location] = {}
            places = self._places(left)
            for chunk_id in left:
                fresh = [place for place in places.get(chunk_id, ()) if place.pack_id not in tried[chunk_id]]
                if fresh:
                    chosen[chunk_id] = fresh[0]
                else:
                    self._state.add_bad(chunk_id, first.get(chunk_id) or Bad(NOWHERE, ""))
            left = set()
            for verdict in self._verdicts(chosen, needs, keep=keep, advance=advance):
                if verdict.fault is not None:
                    tried[verdict.id].add(verdict.place.pack_id)
                    name = self._store.prefix + format.pack_name(verdict.place.pack_id)
                    first.setdefault(verdict.id, Bad(verdict.fault, name))
                    left.add(verdict.id)
                    self._store.index.distrust(verdict.id, verdict.place.pack_id)
                    continue
                if verdict.id in first:
                    self.flaws.append(Flaw(first[verdict.id].object, f"{first[verdict.id].reason}; a copy is whole"))
                if verdict.plain is not None:
                    kept[verdict.id] = verdict.plain
            if any(first[chunk_id].reason == MISSING for chunk_id in left):
                self._store.follow()  # the pack may have been packed anew since
        return kept

    def _places(self, ids: Collection[bytes]) -> Mapping[bytes, Sequence[Location]]:
        found = dict(self._store.index.places(ids))
        if len(found) < len(ids) and not self._scanned:
            self._scanned = True
            self._store.scan()
            found.update(self._store.index.places(set(ids) - found.keys()))
        if len(found) < len(ids):
            self._suspects()
            found.update(self._listed(set(ids) - found.keys()))
        return found

    def _listed(self, ids: set[bytes]) -> Mapping[bytes, Sequence[Location]]:
        """Where the index objects say that these lie: a cache forgets a pack that somebody missed before."""
        found: dict[bytes, list[Location]] = {}
        for name in self._store.index_objects.names(format.index_name("")):
            try:
                directories = self._store.index_objects.get(name)
            except (errors.ObjectNotFound, errors.IntegrityError):
                continue  # told by ``_suspects``
            for directory in directories:
                for entry in directory.entries:
                    if entry.id in ids:
                        place = Location(directory.pack_id, entry.offset, entry.stored, entry.size, entry.flags)
                        found.setdefault(entry.id, []).append(place)
        return found

    def _verdicts(
        self, chosen: Mapping[bytes, Location], needs: Mapping[bytes, int], *, keep: bool, advance: Advance
    ) -> Iterator[_Verdict]:
        packs: dict[bytes, list[tuple[Location, bytes]]] = {}
        for place, chunk_id in sorted((place, chunk_id) for chunk_id, place in chosen.items()):
            packs.setdefault(place.pack_id, []).append((place, chunk_id))
        running: set[Future[Sequence[_Verdict]]] = set()
        try:
            for pack_id, group in packs.items():
                running.add(self._pool.submit(self._pack, pack_id, group, needs, keep=keep))
                while len(running) > self._threads:
                    yield from self._collect(running, advance)
            while running:
                yield from self._collect(running, advance)
        finally:
            for future in running:
                future.cancel()

    @staticmethod
    def _collect(running: set[Future[Sequence[_Verdict]]], advance: Advance) -> Iterator[_Verdict]:
        done, _ = wait(running, timeout=TICK, return_when=FIRST_COMPLETED)
        if not done:
            advance(0)
        for future in done:
            running.discard(future)
            verdicts = future.result()
            advance(sum(verdict.place.size for verdict in verdicts))
            yield from verdicts

    def _pack(
        self, pack_id: bytes, group: Sequence[tuple[Location, bytes]], needs: Mapping[bytes, int], *, keep: bool
    ) -> Sequence[_Verdict]:
        size = self.look_at(pack_id)
        if size is None:
            return [_Verdict(chunk_id, place, MISSING, None) for place, chunk_id in group]
        found: list[_Verdict] = []
        if not keep and not self._reads_all:
            for place, chunk_id in group:
                fault = SHORT if place.offset + place.stored > size else None
                found.append(_Verdict(chunk_id, place, fault or _too_short(place, needs[chunk_id]), None))
            return found
        for part in grouped(group):
            try:
                data = self._store.read(part)
            except errors.ObjectNotFound:
                found += [_Verdict(chunk_id, place, MISSING, None) for place, chunk_id in part]
                continue
            start = part[0][0].offset
            for place, chunk_id in part:
                at = place.offset - start
                found.append(self._open(chunk_id, place, data[at : at + place.stored], needs[chunk_id], keep=keep))
        self._state.saw_copies(pack_id, (place.offset for place, _ in group))
        return found

    def _open(self, chunk_id: bytes, place: Location, sealed: bytes, needed: int, *, keep: bool) -> _Verdict:
        codec = self._store.codec
        if len(sealed) < place.stored:
            return _Verdict(chunk_id, place, SHORT, None)
        shape = {"flags": place.flags, "size": place.size, "offset": place.offset}
        try:
            plain = open_chunk(codec.cipher(place.pack_id), chunk_id, **shape, sealed=sealed)
        except errors.IntegrityError:
            return _Verdict(chunk_id, place, CLOSED, None)
        if codec.chunk_id(plain, flags=place.flags) != chunk_id:
            return _Verdict(chunk_id, place, WRONG, None)
        return _Verdict(chunk_id, place, _too_short(place, needed), plain if keep else None)

    def rest_of_pack(self, pack_id: bytes, advance: Advance) -> None:
        """Look at what nobody needed of a pack."""
        if self.look_at(pack_id, needed=False) is None or not self._reads_all:
            advance(0)
            return
        try:
            entries = self._store.index_objects.directory(pack_id).entries
        except (errors.ObjectNotFound, errors.IntegrityError):
            return  # told before
        seen = self._state.copies(pack_id)
        rest = [
            (Location(pack_id, entry.offset, entry.stored, entry.size, entry.flags), entry.id)
            for entry in entries
            if entry.offset not in seen
        ]
        faults = {v.fault for v in self._pack(pack_id, rest, dict.fromkeys((one for _, one in rest), 0), keep=False)}
        for fault in sorted(fault for fault in faults if fault):
            self.flaw(format.pack_name(pack_id), f"{fault}, in a part that nobody needs")
        advance(sum(place.stored for place, _ in rest))

    def look_at(self, pack_id: bytes, *, needed: bool = True) -> int | None:
        """The size of a pack, None where it is missing. Notes what is wrong with it, but for its chunks.

        A pack that nobody needs may be listed nowhere: its writer has not come that far, or never did.
        """
        with self._lock:
            known = self._state.pack(pack_id)
            if known.seen:
                return known.size
            for source in self._store.index.sources_of(pack_id):
                self.look_at_index(source)
            known = self._state.pack(pack_id)
            if needed and not known.listed:
                self._suspects()
                known = self._state.pack(pack_id)
            name = format.pack_name(pack_id)
            size = self._size(name)
            self._state.saw_pack(pack_id, size)
            if size is None:
                return None
            if needed and not known.listed and not self._blamed:
                self.flaw(name, UNLISTED)
            expected = known.expected
            if self._reads_all or expected is None:
                try:
                    expected = self._store.index_objects.directory(pack_id).pack_size
                except (errors.ObjectNotFound, errors.IntegrityError) as fault:
                    self.flaw(name, f"its own directory cannot be read ({fault.detail})")
            if expected is not None and size != expected:
                self.flaw(name, f"it has {size} bytes instead of {expected}")
            return size

    def look_at_index(self, name: str) -> None:
        """Read an index object anew and note what is wrong with it or with its marker."""
        if not self._state.saw_object(name):
            return
        try:
            directories = self._store.index_objects.get(name)
        except errors.ObjectNotFound:
            return  # replaced by another one; where nothing replaced it, its packs are listed nowhere
        except errors.IntegrityError:
            self._blamed = True
            self.flaw(name, CLOSED)
            return
        self._state.expect_packs([(directory.pack_id, directory.pack_size) for directory in directories])
        marker = format.proof_name(name)
        if marker not in self._known_markers():
            self.unproven.append(self._store.prefix + marker)
            return
        try:
            self._store.codec.open_object(marker, self._store.bank.get(self._store.prefix + marker))
        except errors.ObjectNotFound:
            self.unproven.append(self._store.prefix + marker)
        except errors.IntegrityError:
            self.flaw(marker, CLOSED)

    def _suspects(self) -> None:
        """Something is listed nowhere: which index object is to blame?"""
        if self._suspected:
            return
        self._suspected = True
        there = set(self._store.index_objects.names(format.index_name("")))
        for name in sorted(there):
            self.look_at_index(name)
        for marker in sorted(self._known_markers()):
            name = format.index_name(marker.rpartition("/")[2])
            if name not in there:
                self._blamed = True
                self.flaw(name, MISSING)

    def _known_markers(self) -> set[str]:
        if self._markers is None:
            self._markers = set(self._store.index_objects.names(format.proof_name("")))
        return self._markers

    def _size(self, name: str) -> int | None:
        try:
            return self._store.bank.stat(self._store.prefix + name).size
        except errors.ObjectNotFound:
            return None


def _too_short(place: Location, needed: int) -> str | None:
    return TOO_SHORT if place.size < needed else None

# SPDX-License-Identifier: Apache-2.0
"""Are the chunks that somebody needs really in the bank, whatever the cache of this host believes?

Looks at each chunk, pack and index object at most once per run, and goes on after damage. The cache only says where to
look first. Of a chunk with several copies one whole copy is enough. The cache of this host notes a lost copy, so that
the next write that meets the content stores it anew: then older streams that share it are whole again.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from karbor.model import errors
from karbor.sdk.streams import Advance
from karbor.vault import format
from karbor.vault.checkstate import Bad, CheckState
from karbor.vault.codec import open_chunk
from karbor.vault.examineobjects import CLOSED, MISSING, UNREADABLE, Objects, asked_twice
from karbor.vault.index import Location
from karbor.vault.report import Flaw
from karbor.vault.session import TICK
from karbor.vault.store import ChunkStore, grouped

SHORT = "the object ends too early"
WRONG = "a chunk is not what its name says"
TOO_SHORT = "a chunk is shorter than the recipe says"
_NOTED = 100_000
NOWHERE = "no object of the bank holds it"


class _Verdict(NamedTuple):
    """On one copy of a chunk. ``plain`` only where it was asked for."""

    id: bytes
    place: Location
    fault: str | None
    plain: bytes | None


class Examiner:
    """One run. ``nodes`` and ``content`` are called from one thread at a time; ``close`` ends its threads.

    What it finds wrong with whole objects lies in ``objects``.
    """

    def __init__(self, store: ChunkStore, state: CheckState, *, level: str, threads: int) -> None:
        self.objects = Objects(store, state, reads_all=level == "data")
        self._store = store
        self._state = state
        self._reads_all = level == "data"
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="vault-check")
        self._scanned = False
        self.lost: set[tuple[bytes, bytes]] = set()  # copies, (chunk, pack), up to a bound

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

    def _examine(self, needs: Mapping[bytes, int], *, keep: bool, advance: Advance) -> Mapping[bytes, bytes]:
        kept: dict[bytes, bytes] = {}
        first: dict[bytes, Bad] = {}
        tried: dict[bytes, set[bytes]] = {chunk_id: set() for chunk_id in needs}
        left = set(needs)
        lost: list[tuple[bytes, bytes]] = []
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
                    lost.append((verdict.id, verdict.place.pack_id))
                    continue
                if verdict.id in first:
                    flaw = Flaw(first[verdict.id].object, f"{first[verdict.id].reason}; a copy is whole")
                    self.objects.flaws.append(flaw)
                if verdict.plain is not None:
                    kept[verdict.id] = verdict.plain
            if any(first[chunk_id].reason == MISSING for chunk_id in left):
                self._store.follow()  # the pack may have been packed anew since
        self._store.index.distrust(lost)
        if len(self.lost) < _NOTED:
            self.lost.update(lost)
        return kept

    def _places(self, ids: Collection[bytes]) -> Mapping[bytes, Sequence[Location]]:
        found = dict(self._store.index.places(ids))
        if len(found) < len(ids) and not self._scanned:
            self._scanned = True
            self._store.scan()
            found.update(self._store.index.places(set(ids) - found.keys()))
        if len(found) < len(ids):
            self.objects.blame()
            found.update(self._listed(set(ids) - found.keys()))
        return found

    def _listed(self, ids: set[bytes]) -> Mapping[bytes, Sequence[Location]]:
        """Where the index objects say that these lie: a cache forgets a pack that somebody missed before."""
        found: dict[bytes, list[Location]] = {}
        for name in self._store.index_objects.names(format.index_name("")):
            try:
                directories = self._store.index_objects.get(name)
            except (errors.ObjectNotFound, errors.IntegrityError):
                continue  # told by ``blame``
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
        size = self.objects.look_at(pack_id)
        if size is None:
            return [_Verdict(chunk_id, place, MISSING, None) for place, chunk_id in group]
        found: list[_Verdict] = []
        if not keep and not self._reads_all:
            for place, chunk_id in group:
                fault = SHORT if place.offset + place.stored > size else None
                found.append(_Verdict(chunk_id, place, fault or _too_short(place, needs[chunk_id]), None))
            return found
        for part in grouped(group):
            found += self._read(part, needs, keep=keep)
        self._state.saw_copies(pack_id, (place.offset for place, _ in group))
        return found

    def _read(
        self, part: Sequence[tuple[Location, bytes]], needs: Mapping[bytes, int], *, keep: bool
    ) -> Sequence[_Verdict]:
        """On chunks that are read with one request; where that fails, each is tried alone."""
        try:
            data = asked_twice(self._store.bank, lambda: self._store.read(part))
        except errors.ObjectNotFound:
            return [_Verdict(chunk_id, place, MISSING, None) for place, chunk_id in part]
        if data is None and len(part) > 1:
            return [verdict for entry in part for verdict in self._read([entry], needs, keep=keep)]
        found: list[_Verdict] = []
        for place, chunk_id in part:
            if data is None:
                found.append(_Verdict(chunk_id, place, UNREADABLE, None))
                continue
            at = place.offset - part[0][0].offset
            found.append(self._open(chunk_id, place, data[at : at + place.stored], needs[chunk_id], keep=keep))
        return found

    def _open(
        self, chunk_id: bytes, place: Location, sealed: bytes | memoryview, needed: int, *, keep: bool
    ) -> _Verdict:
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
        if self.objects.look_at(pack_id, needed=False) is None or not self._reads_all:
            advance(0)
            return
        entries = self.objects.entries(pack_id)
        seen = self._state.copies(pack_id)
        rest = [
            (Location(pack_id, entry.offset, entry.stored, entry.size, entry.flags), entry.id)
            for entry in entries
            if entry.offset not in seen
        ]
        faults = {v.fault for v in self._pack(pack_id, rest, dict.fromkeys((one for _, one in rest), 0), keep=False)}
        for fault in sorted(fault for fault in faults if fault):
            self.objects.flaw(format.pack_name(pack_id), f"{fault}, in a part that nobody needs")
        advance(sum(place.stored for place, _ in rest))


def _too_short(place: Location, needed: int) -> str | None:
    return TOO_SHORT if place.size < needed else None
